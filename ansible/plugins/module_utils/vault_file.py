"""The vault: one file of an environment's secrets, encrypted as Ansible Vault does.

Used by the lookup `vaulted` and by programs in bin/, on the control machine only. In it are
`secrets`, name to value, each of which becomes a secret of the Swarm, `machine_secrets`, name to value, of what runs
outside it, `signing_key`, and `inside_ca`, the authority with its `key` and `certificate`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.vault import AnsibleVaultError, VaultLib, VaultSecret


class VaultProblem(Exception):  # noqa: N818 - what it says is the sentence for people
    """The vault can't be used; the message is one sentence with cause and mend."""


def password_file(vault: Path) -> Path:
    """Return where a vault's password is: in the file that VAULT_PASSWORD_FILE names, or beside it."""
    named = os.environ.get("VAULT_PASSWORD_FILE")
    return Path(named) if named else vault.with_name("vault-password")


def library(vault: Path) -> VaultLib:
    """Return Ansible's vault with the password of this one."""
    path = password_file(vault)
    try:
        password = path.read_bytes().strip()
    except FileNotFoundError as error:
        raise VaultProblem(
            f"the vault {vault} has its password in {path}, which is not there: bring it back, or name the "
            "file it is in by VAULT_PASSWORD_FILE"
        ) from error
    except OSError as error:
        raise VaultProblem(
            f"the vault's password can't be read: {error.strerror}, {path}"
        ) from error
    if not password:
        raise VaultProblem(f"the file of the vault's password is empty: {path}")
    return VaultLib([("default", VaultSecret(password))])


def read(vault: Path) -> dict[str, Any]:
    """Return what is in a vault.

    Raises:
        VaultProblem: it is not there, not encrypted, its password is another one, or what is in it has not
            the form of a vault.
    """
    try:
        data = vault.read_bytes()
    except FileNotFoundError as error:
        raise VaultProblem(f"there is no vault {vault}: 'bin/vault ensure' makes it") from error
    except OSError as error:
        raise VaultProblem(f"the vault can't be read: {error.strerror}, {vault}") from error
    opened = library(vault)
    if not opened.is_encrypted(data):
        raise VaultProblem(
            f"{vault} is not encrypted: encrypt it with ansible-vault and the password in {password_file(vault)}"
        )
    try:
        text = opened.decrypt(data)
    except AnsibleVaultError as error:
        raise VaultProblem(
            f"the vault {vault} does not open with the password in {password_file(vault)}: it is another vault's, "
            "or the vault is damaged; name the right file by VAULT_PASSWORD_FILE"
        ) from error
    return checked(vault, text)


def checked(vault: Path, text: bytes) -> dict[str, Any]:
    """Return the content of a vault if it has the form of one."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # Not the error's own words: they quote the line.
        where = f"line {mark.line + 1} of " if mark else ""
        raise VaultProblem(
            f"{where}the vault {vault} is no YAML: 'bin/vault edit' mends it"
        ) from None
    content = {} if content is None else content
    parts = ("secrets", "machine_secrets", "inside_ca")
    form = isinstance(content, dict) and all(
        isinstance(content.get(part, {}), dict) for part in parts
    )
    if not form or not isinstance(content.get("signing_key", ""), str):
        raise VaultProblem(
            f"the vault {vault} has to have 'secrets' (name to value) and 'signing_key', and 'machine_secrets' and "
            "'inside_ca' are names to values, too: 'bin/vault edit' mends it"
        )
    authority = content.get("inside_ca", {})
    if authority and set(authority) != {"key", "certificate"}:
        raise VaultProblem(
            f"'inside_ca' in the vault {vault} has to have 'key' and 'certificate', and nothing else: 'bin/vault "
            "edit' mends it"
        )
    wrong = [
        str(name)
        for part in parts
        for name, value in content.get(part, {}).items()
        if not isinstance(name, str) or not isinstance(value, str) or not value
    ]
    if wrong:
        raise VaultProblem(
            f"in the vault {vault} these secrets are no text, or empty: {', '.join(sorted(wrong))}; 'bin/vault "
            "edit' mends it (a number needs quotes)"
        )
    return dict(content)


def write(vault: Path, content: dict[str, Any]) -> None:
    """Encrypt a vault's content into its file, in one step: there is never half of it."""

    class Dumper(yaml.SafeDumper):
        """Writes a text of several lines as such, so that people can edit it."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar(
            "tag:yaml.org,2002:str", value, style="|" if "\n" in value else None
        )

    Dumper.add_representer(str, text)
    plain = yaml.dump(content, Dumper=Dumper, sort_keys=True, allow_unicode=True, width=4096)
    replace(vault, library(vault).encrypt(plain))


def replace(path: Path, data: bytes) -> None:
    """Replace a file, readable for this user only; after a crash it is the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
        ) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""The vault: an environment's secrets as one text, in a file encrypted by Ansible Vault or in a cloud's secret manager.

Used by the lookup `vaulted` and by programs in bin/, on the control machine only. In it are
`secrets`, name to value, each of which becomes a secret of the Swarm, `machine_secrets`, name to value, of what runs
outside it, `signing_key`, and `inside_ca`, the authority with its `key` and `certificate`.

A vault is named by its file. That has the encrypted text, or else it says in which cloud's secret manager the text is:
there is one place at a time. For an environment that has none yet the environment variable SECRET_STORE says where it
is to be: vault (the default), aws, azure or gcp.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, Protocol

import yaml
from ansible.parsing.vault import AnsibleVaultError, VaultLib, VaultSecret

OWN_FILE = "vault"
KINDS = (OWN_FILE, "aws", "azure", "gcp")
SETTING = "SECRET_STORE"
NOTE = (
    "# The secrets are not in this file, but here; 'bin/vault move' brings them to another place.\n"
)


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


class Store(Protocol):
    """Where a vault's text is."""

    def read(self) -> tuple[str, str] | None:
        """Return the text and its version; None where there is none."""

    def write(self, text: str, follows: str | None) -> None:
        """Replace the version that `follows` names, or make the first one where that is None."""


def stored(vault: Path) -> bytes | None:
    """Return what is in a vault's file; None where there is none."""
    try:
        return vault.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise VaultProblem(f"the vault can't be read: {error.strerror}, {vault}") from error


class OwnFile:
    """The vault's file, encrypted. Who writes it is alone: `bin/vault` holds a lock."""

    def __init__(self, vault: Path) -> None:
        self.vault = vault

    def __str__(self) -> str:
        return str(self.vault.parent)

    def read(self) -> tuple[str, str] | None:
        """Return the text and what it is encrypted as."""
        vault = self.vault
        data = stored(vault)
        if data is None:
            return None
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
        try:
            return text.decode(), hashlib.sha256(data).hexdigest()
        except UnicodeDecodeError:
            raise VaultProblem(f"the vault {vault} is no text: bring back one that is") from None

    def write(self, text: str, follows: str | None) -> None:
        """Replace the file, in one step: there is never half of it."""
        replace(self.vault, library(self.vault).encrypt(text))


def note(vault: Path) -> dict[str, str] | None:
    """Return what a vault's file says of a secret manager; None where it has the text itself, or is not there."""
    data = stored(vault)
    if data is None or not re.search(rb"^secret_store:", data, re.MULTILINE):
        return None
    try:
        content = yaml.safe_load(data)
    except yaml.YAMLError:
        content = None
    known = KINDS[1:]
    form = isinstance(content, dict) and set(content) == {"secret_store", "secret", "place"}
    if (
        not form
        or not all(isinstance(value, str) for value in content.values())
        or content["secret_store"] not in known
    ):
        raise VaultProblem(
            f"{vault} does not say where the secrets are: it has to have 'secret_store' ({', '.join(known)}), 'secret' "
            "and 'place'; bring the file back, or remove it and name the place by SECRET_STORE"
        )
    return dict(content)


def write_note(vault: Path, kind: str) -> None:
    """Have a vault's file say that the text is in a secret manager, where the environment variables say."""
    there = new_store(vault, kind)
    content = {"secret_store": kind, "secret": there.secret, "place": there.place}
    replace(vault, (NOTE + yaml.safe_dump(content, sort_keys=False)).encode())


def new_store(vault: Path, kind: str) -> Any:
    """Return where the environment's secrets would be in a store."""
    if kind == OWN_FILE:
        return OwnFile(vault)
    import secret_stores

    return secret_stores.named(kind, f"beanft-{vault.parent.name}")


def kind_of(vault: Path) -> str:
    """Return in which store a vault is: vault, aws, azure or gcp; for one that is not there yet, where it is to be."""
    if not vault.exists():
        return os.environ.get(SETTING) or OWN_FILE
    return (note(vault) or {"secret_store": OWN_FILE})["secret_store"]


def store_of(vault: Path) -> Store:
    """Return where a vault's text is, whatever SECRET_STORE says."""
    store: Store
    found = note(vault)
    if found is None:
        store = new_store(vault, kind_of(vault))
    else:
        import secret_stores

        store = secret_stores.named(found["secret_store"], found["secret"], found["place"])
    return store


def checked_store(vault: Path) -> Store:
    """Return where a vault's text is.

    Raises:
        VaultProblem: there is no vault, or it is not where SECRET_STORE says.
    """
    if not vault.exists():
        raise VaultProblem(f"there is no vault {vault}: 'bin/vault ensure' makes it")
    kind, wanted = kind_of(vault), os.environ.get(SETTING)
    if wanted and wanted != kind:
        raise VaultProblem(
            f"SECRET_STORE={wanted}, but the secrets of {vault.parent.name} are in '{kind}': bring them there by "
            f"'bin/vault move {wanted}', or leave SECRET_STORE out"
        )
    return store_of(vault)


def nothing_at(store: Store, vault: Path) -> VaultProblem:
    """Return what to say where there is nothing in the store that a vault's file names."""
    return VaultProblem(
        f"there is no {store}, where {vault} says that the secrets are: use the credentials of the account that has "
        "it, or bring it back there"
    )


def load(vault: Path) -> tuple[dict[str, Any], str]:
    """Return what is in a vault, and its version.

    Raises:
        VaultProblem: it is not there, can't be opened or reached, or what is in it has not the form of a vault.
    """
    store = checked_store(vault)
    found = store.read()
    if found is None:
        raise nothing_at(store, vault)
    text, version = found
    return checked(vault, text), version


def read(vault: Path) -> dict[str, Any]:
    """Return what is in a vault; see `load`."""
    return load(vault)[0]


def checked(vault: Path, text: str) -> dict[str, Any]:
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


def dumped(content: dict[str, Any]) -> str:
    """Return a vault's content as text."""

    class Dumper(yaml.SafeDumper):
        """Writes a text of several lines as such, so that people can edit it."""

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar(
            "tag:yaml.org,2002:str", value, style="|" if "\n" in value else None
        )

    Dumper.add_representer(str, text)
    return yaml.dump(content, Dumper=Dumper, sort_keys=True, allow_unicode=True, width=4096)


def write(vault: Path, content: dict[str, Any], follows: str | None = None) -> None:
    """Put a vault's content where the vault is, as what follows the version that was read."""
    store_of(vault).write(dumped(content), follows)


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

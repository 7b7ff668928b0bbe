"""Keeps an environment's vault: see bin/vault."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import secrets
import shlex
import signal
import string
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import inside_authority
import signatures
import vault_file
from vault_file import VaultProblem

SECRET_KEY, SIGNING_KEY = "beanft_secret_key", "signing_key"
# Passwords of what runs on machines and not in the Swarm: no secrets of it by themselves.
BACKUP_PASSWORD = "backup_password"  # noqa: S105 - its name
MACHINE_SECRETS = ("data_database_password", "data_queue_password", BACKUP_PASSWORD)
INSIDE_CA = "inside_ca"
# Of a state that `bin/state load` has put here: what is added to it would be lost with it.
COPY_MARK = ".copy"
# What a secret of the Swarm can hold.
MOST_BYTES = 500_000


def random_value() -> str:
    """Return 64 random letters and digits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(64))


class Vault:
    """The vault of an environment, in its folder of state."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.path = state / "vault.yml"
        self.allowed_signers = state / "allowed_signers"
        # What a client of the environment's machines trusts; public.
        self.inside_ca = state / "inside-ca.pem"
        # Where an environment's only secret was before there was a vault.
        self.former = state / "secrets" / "secret_key"

    @property
    def where(self) -> str:
        """Say where the secrets are."""
        return str(vault_file.store_of(self.path))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else change the vault meanwhile."""
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / ".vault.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def read(self) -> dict[str, Any]:
        """Return the content."""
        return vault_file.read(self.path)

    def ensure(self, more: Iterable[str] = ()) -> list[str]:
        """Make what is missing, and passwords of machines that not every environment has; return what that was."""
        with self.locked():
            kind = vault_file.kind_of(self.path)
            made = self.ensure_password() if kind == vault_file.OWN_FILE else []
            content, version = self.begun()
            missing = self.add_missing(content, more)
            # What is in a cloud's secret manager is no copy.
            if missing and kind == vault_file.OWN_FILE:
                self.refuse_copy(f"lacks {', '.join(missing)}: run 'bin/vault ensure'")
            if missing:
                vault_file.write(self.path, content, version)
            if not self.path.exists():
                vault_file.write_note(self.path, kind)
            self.drop_former(content)
            made += missing + self.ensure_signer(content[SIGNING_KEY])
            return made + self.ensure_inside_ca(content[INSIDE_CA]["certificate"])

    def begun(self) -> tuple[dict[str, Any], str | None]:
        """Return what is there of a vault, with its version; another checkout may have put it into a cloud's store."""
        if self.path.exists():
            return vault_file.load(self.path)
        found = vault_file.store_of(self.path).read()
        return (vault_file.checked(self.path, found[0]), found[1]) if found else ({}, None)

    def refuse_copy(self, why: str) -> None:
        """Refuse to change a state that is a copy."""
        if (self.state / COPY_MARK).exists():
            raise VaultProblem(
                f"the vault of {self.state.name} is a copy and {why} in the checkout that keeps this environment, then "
                "'make save-state' for the pipeline's credential"
            )

    def ensure_password(self) -> list[str]:
        """Make the password of a vault that is not there yet."""
        path = vault_file.password_file(self.path)
        # Never for one that is: a new password does not open it.
        if path.exists() or (self.path.exists() and not vault_file.note(self.path)):
            return []
        path.parent.mkdir(parents=True, exist_ok=True)
        vault_file.replace(path, random_value().encode() + b"\n")
        return ["password"]

    def add_missing(self, content: dict[str, Any], more: Iterable[str]) -> list[str]:
        """Add to a vault's content what has to be in it, and return the names of that."""
        added = []
        if SECRET_KEY not in content.setdefault("secrets", {}):
            content["secrets"][SECRET_KEY] = self.former_value() or random_value()
            added.append(SECRET_KEY)
        if not content.get(SIGNING_KEY):
            content[SIGNING_KEY] = signatures.make_key()
            added.append(SIGNING_KEY)
        for name in (*MACHINE_SECRETS, *more):
            if name not in content.setdefault("machine_secrets", {}):
                content["machine_secrets"][name] = random_value()
                added.append(name)
        if not content.get(INSIDE_CA):
            content[INSIDE_CA] = inside_authority.make_authority(f"beanft {self.state.name}")
            added.append(INSIDE_CA)
        return added

    def former_value(self) -> str:
        """Return the secret from before there was a vault, or ''."""
        words = self.former.read_text().split() if self.former.exists() else []
        return words[0] if words else ""

    def drop_former(self, content: dict[str, Any]) -> None:
        """Remove the former file once the vault has what is in it."""
        if not self.former.exists():
            return
        if self.former_value() not in ("", content["secrets"][SECRET_KEY]):
            print(
                f"beanft: {self.former} has another value than the vault, which counts; remove that file "
                f"if nobody needs it, or take it over: bin/vault rotate {SECRET_KEY} with FROM= that file",
                file=sys.stderr,
            )
            return
        self.former.unlink()
        if not any(self.former.parent.iterdir()):
            self.former.parent.rmdir()

    def ensure_signer(self, private_key: str) -> list[str]:
        """Have the public side of the key among the allowed signers; those of before stay in it."""
        public = signatures.public_key(private_key)
        before = self.allowed_signers.read_text() if self.allowed_signers.exists() else ""
        if public in before:
            return []
        name = "beanft-" + self.state.name
        line = f'{name} namespaces="{signatures.NAMESPACE}" {public}\n'
        if before and not before.endswith("\n"):
            before += "\n"
        vault_file.replace(self.allowed_signers, (before + line).encode())
        self.allowed_signers.chmod(0o644)
        return ["allowed_signers"]

    def ensure_inside_ca(self, certificate: str) -> list[str]:
        """Have the authority's certificate in a file, for who asks the environment's machines."""
        if self.inside_ca.exists() and self.inside_ca.read_text() == certificate:
            return []
        vault_file.replace(self.inside_ca, certificate.encode())
        self.inside_ca.chmod(0o644)
        return [self.inside_ca.name]

    def rotate(self, name: str, source: Path | None) -> None:
        """Give a secret a new value: a random one, or what is in a file."""
        with self.locked():
            content, version = vault_file.load(self.path)
            machines = content.get("machine_secrets", {})
            names = sorted([*content.get("secrets", {}), *machines, SIGNING_KEY])
            if name not in names:
                raise VaultProblem(
                    f"no secret '{name}' in {self.where}; there are: {', '.join(names)}. "
                    "A new one is added by 'bin/vault edit'."
                )
            if name == BACKUP_PASSWORD:
                raise VaultProblem(
                    f"'{BACKUP_PASSWORD}' opens the backups that there are, and no other one does: give the repository "
                    "another password first, by 'restic key add', then write that one here by 'bin/vault edit'"
                )
            value = value_of(source) if source else None
            if name == SIGNING_KEY:
                content[SIGNING_KEY] = value + "\n" if value else signatures.make_key()
                # First: what the new key signs has to be known, and a key that is none is noticed.
                self.ensure_signer(content[SIGNING_KEY])
            else:
                holder = machines if name in machines else content["secrets"]
                holder[name] = value or random_value()
            vault_file.write(self.path, content, version)

    def show(self) -> list[tuple[str, str]]:
        """Return names and fingerprints; a secret's is also the end of its name in the Swarm."""
        content = self.read()
        rows = [
            (name, hashlib.sha256(value.encode()).hexdigest()[:12])
            for name, value in sorted(
                [*content.get("secrets", {}).items(), *content.get("machine_secrets", {}).items()]
            )
        ]
        if content.get(SIGNING_KEY):
            public = signatures.public_key(content[SIGNING_KEY])
            rows.append((SIGNING_KEY, signatures.fingerprint(public)))
        if content.get(INSIDE_CA):
            certificate = content[INSIDE_CA]["certificate"]
            try:
                rows.append((INSIDE_CA, inside_authority.fingerprint(certificate)))
            except ValueError as error:
                raise VaultProblem(
                    f"'{INSIDE_CA}' in {self.path} has no certificate: bring it back by 'bin/vault edit', or remove "
                    "all of it, and 'bin/vault ensure' makes another authority"
                ) from error
        return rows

    def edit(self) -> None:
        """Open the text in the person's editor, in memory where there is a place, and keep what has a vault's form."""
        with self.locked(), signatures.private_folder() as folder:
            store = vault_file.checked_store(self.path)
            found = store.read()
            if found is None:
                raise vault_file.nothing_at(store, self.path)
            text, version = found
            plain = signatures.private_file(folder / "vault.yml", text)
            edited = self.edited(plain)
            if edited != text:
                store.write(edited, version)

    def edited(self, plain: Path) -> str:
        """Return what a person makes of a file: again and again, until it has a vault's form or they give up."""
        editor = shlex.split(os.environ.get("EDITOR") or "vi")
        while True:
            try:
                code = subprocess.run([*editor, plain], check=False).returncode
                text = plain.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise VaultProblem(
                    f"nothing could be edited by EDITOR={editor[0]} ({error}): name another one; the vault is as before"
                ) from None
            if code:
                raise VaultProblem(f"{editor[0]} did not end well ({code}); the vault is as before")
            try:
                vault_file.checked(self.path, text)
            except VaultProblem as problem:
                if not sys.stdin.isatty():
                    raise VaultProblem(f"what you wrote was not kept: {problem}") from None
                print(f"vault: {problem}")
                try:
                    input("Enter goes back to what you wrote, Ctrl-C gives it up: ")
                except (KeyboardInterrupt, EOFError):
                    raise VaultProblem(
                        "what you wrote was given up; the vault is as before"
                    ) from None
            else:
                return text

    def move(self, kind: str) -> None:
        """Bring all secrets into another store, and go on with them there; where they were they stay, or are removed.

        A run that ended in the middle is completed by the next one.
        """
        with self.locked():
            if not self.path.exists():
                raise VaultProblem(
                    f"there is nothing to move: 'bin/vault ensure' with SECRET_STORE={kind} begins there"
                )
            self.refuse_copy(f"is not moved: run 'bin/vault move {kind}'")
            source, target = (
                vault_file.store_of(self.path),
                vault_file.new_store(self.path, kind),
            )
            if str(source) == str(target):
                raise VaultProblem(f"the secrets are in {source} already")
            found = source.read()
            if found is None:
                raise vault_file.nothing_at(source, self.path)
            text, _ = found
            vault_file.checked(self.path, text)
            if kind == vault_file.OWN_FILE:
                self.ensure_password()
                # This file says where the secrets are, until it has them.
                target.write(text, None)
                return
            there = target.read()
            if there and there[0] != text:
                raise VaultProblem(
                    f"there are other secrets in {target}, whose place these would take: if nobody needs them, remove "
                    "them there; nothing was moved"
                )
            if not there:
                target.write(text, None)
            if (target.read() or ("",))[0] != text:
                raise VaultProblem(
                    f"{target} does not give back what was put there: nothing was moved; run the same again"
                )
            vault_file.write_note(self.path, kind)


def value_of(source: Path) -> str:
    """Return the secret in a file, without the line's end behind it."""
    try:
        value = source.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is no text"
        raise VaultProblem(f"no secret can be read from FROM={source}: {cause}") from None
    if not value or len(value.encode()) > MOST_BYTES:
        raise VaultProblem(
            f"FROM={source} is empty, or longer than the {MOST_BYTES} bytes of a secret"
        )
    return value


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="bin/vault", description="The secrets of ENV at CLOUD.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("ensure", help="make what is missing").add_argument(
        "names", nargs="*", help="passwords that have to be there, too"
    )
    verbs.add_parser("show", help="names and fingerprints, never values")
    verbs.add_parser("edit", help="open it in $EDITOR")
    verbs.add_parser("rotate", help="a new value: random, or from the file FROM=").add_argument(
        "name"
    )
    verbs.add_parser("move", help="bring all of them into another store").add_argument(
        "to", choices=vault_file.KINDS
    )
    options = parser.parse_args()
    vault = Vault(Path(os.environ["BEANFT_STATE"]))
    match options.verb:
        case "ensure":
            made = vault.ensure(options.names)
            print(f"vault: made {', '.join(made)} in {vault.where}" if made else "vault: complete")
        case "show":
            for name, mark in vault.show():
                print(f"{name:<32}  {mark}")
        case "edit":
            vault.edit()
        case "move":
            before, left = vault.where, vault_file.kind_of(vault.path) != vault_file.OWN_FILE
            vault.move(options.to)
            print(f"vault: all secrets are in {vault.where} now")
            if left:
                print(
                    f"vault: the {before} is used no more: remove it when you have tried the new place"
                )
        case "rotate":
            source = os.environ.get("FROM")
            vault.rotate(options.name, Path(source) if source else None)
            print(f"vault: {options.name} has a new value")


def run() -> None:
    """Run, and say in one sentence what went wrong."""
    try:
        main()
    except (VaultProblem, signatures.SignatureProblem) as problem:
        sys.exit(f"beanft: {problem}")
    except OSError as problem:
        sys.exit(f"beanft: the vault could not be kept: {problem.strerror}, {problem.filename}")


if __name__ == "__main__":
    # A key's folder is removed when a pipeline ends us, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run()

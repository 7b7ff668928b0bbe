#!/usr/bin/python3
"""Copies the repository of backups to an object store, and brings it back from there.

Role backup puts it beside beanft-backup, which calls it when a backup has been proven. What is copied is restic's
repository as it is: encrypted, files whose names are their contents' checksums, none of which is ever changed. Standard
library only, and the programs rclone and restic.

    beanft-backup-store copy      what is new there, and nothing that was given up
    beanft-backup-store fetch     where this machine has no repository, and the store has
    beanft-backup-store maintain  remove there what was removed here, and check the copy
    beanft-backup-store status    when the last copy was
    beanft-backup-store age       fail where that is too long ago
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path("/etc/beanft/backup")
STATE = Path("/var/lib/beanft-backup")
# The remote's name in rclone's file.
REMOTE = "store"
# A repository is one when it has that; it has its identity in it.
CONFIG = "config"
# A store that does not answer is no reason to wait for long: the next backup copies again.
PATIENCE = ["--contimeout=15s", "--timeout=60s", "--retries=2", "--low-level-retries=3"]
# Names are checksums, so a file of the same size is the same; and one list for all is cheaper than many.
COMPARED = ["--size-only", "--fast-list"]
FILTERS = ["--exclude=/locks/**"]

Json = dict[str, Any]


class StoreError(Exception):
    """The message is a sentence, with the cause and the mend."""


class DamagedError(StoreError):
    """What is there can't be restored from; no copy of what is new mends that."""


def now() -> dt.datetime:
    """Now, to the second, in UTC."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def write(path: Path, content: str, mode: int = 0o600) -> None:
    """Write a file, whole or not at all."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(content)
    partial.chmod(mode)
    partial.replace(path)


def run(*command: str) -> subprocess.CompletedProcess[bytes]:
    """Run a program; credentials are the machine's own, or in rclone's file."""
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "RCLONE_CONFIG": str(FOLDER / "rclone.conf"),
        "RCLONE_CACHE_DIR": str(STATE / "cache"),
    }
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment,
        cwd="/",
        check=False,
    )


def why(where: str, done: subprocess.CompletedProcess[bytes]) -> str:
    """Return what went wrong, in a sentence."""
    said = done.stderr.decode(errors="replace")
    bucket = where.split("/", 1)[0]
    if re.search(r"AccessDenied|Forbidden|status code: 40[13]\b|InvalidAccessKeyId", said):
        return (
            f"this machine may not use {where}: its role has to allow s3:ListBucket for the bucket and s3:GetObject, "
            "s3:PutObject, s3:PutObjectAcl and s3:DeleteObject below it; 'make provision' gives a machine these rights"
        )
    if re.search(r"NoCredentialProviders|no valid credentials|EC2RoleRequestError", said):
        return (
            f"this machine has no identity at the cloud with which it could use {where}: 'make provision' gives it "
            "one; elsewhere set backup_s3_key_id and backup_s3_secret"
        )
    if re.search(r"NoSuchBucket|directory not found", said):
        return (
            f"there is no bucket {bucket}: 'make provision' makes it, or name another backup_store"
        )
    if re.search(r"dial tcp|i/o timeout|no such host|connection re|TLS handshake", said):
        return f"the store of {where} can't be reached: {last_words(said)}"
    return (
        f"copying to or from {where} failed: {last_words(said) or f'exit code {done.returncode}'}"
    )


def last_words(said: str) -> str:
    """Return what a program complained about at last, without the time of day."""
    lines = [re.sub(r"^[\d/]+ [\d:]+ ", "", line.strip()) for line in said.splitlines()]
    telling = [line for line in lines if re.search(r"(?i)fatal|error|failed", line)]
    return (telling or lines or [""])[-1][:300]


class Store:
    """The copy, and the repository that it is of."""

    def __init__(self) -> None:
        settings: Json = json.loads((FOLDER / "config.json").read_text())
        self.where: str = settings["store"]
        self.here = Path(settings["repository"])
        self.there = f"{REMOTE}:{self.where}"
        self.check_percent: int = settings["check_percent"]
        self.max_age_minutes: int = settings["max_age_minutes"]
        self.metrics_directory: str = settings["metrics_directory"]

    def rclone(self, verb: str, *arguments: str) -> bytes:
        """Run rclone and return what it printed."""
        done = run("rclone", verb, *PATIENCE, *arguments)
        if done.returncode:
            raise StoreError(why(self.where, done))
        return done.stdout

    def config(self) -> bytes:
        """Return the file that tells repositories apart, of the copy; nothing where there is none."""
        names = self.rclone("lsf", "--files-only", self.there).decode().split()
        return self.rclone("cat", f"{self.there}/{CONFIG}") if CONFIG in names else b""

    def copy(self) -> None:
        """Bring there what is new. At every moment what is there can be restored from."""
        found = self.config()
        if found and found != (self.here / CONFIG).read_bytes():
            raise StoreError(
                f"{self.where} has the copy of another repository, and nothing was changed there: name another "
                "backup_store, or move that one away"
            )
        # A backup is there when all that it consists of is.
        self.rclone(
            "copy", *COMPARED, *FILTERS, "--exclude=/snapshots/**", str(self.here), self.there
        )
        self.rclone("sync", *COMPARED, str(self.here / "snapshots"), f"{self.there}/snapshots")

    def fetch(self) -> bool:
        """Bring the repository back where this machine has none; return whether it did."""
        if (self.here / CONFIG).exists() or not self.config():
            return False
        # What makes it one comes last, so that a fetch that was cut off is gone on with.
        but = f"--exclude=/{CONFIG}"
        self.rclone("copy", *COMPARED, *FILTERS, but, self.there, str(self.here))
        self.rclone("copyto", f"{self.there}/{CONFIG}", str(self.here / CONFIG))
        return True

    def maintain(self) -> None:
        """Remove there what was removed here, and read a share of the copy."""
        self.copy()
        # What refers to data goes before the data.
        self.rclone("sync", *COMPARED, str(self.here / "index"), f"{self.there}/index")
        self.rclone("sync", *COMPARED, *FILTERS, str(self.here), self.there)
        done = run(
            "restic", "--repo", f"rclone:{self.there}", "--password-file", str(FOLDER / "password"),
            "--no-cache", "--no-lock", "check", f"--read-data-subset={self.check_percent}%",
        )  # fmt: skip
        if done.returncode:
            raise DamagedError(
                f"the copy in {self.where} is damaged: {last_words(done.stderr.decode(errors='replace'))}; move it "
                "away, and the next backup makes it anew"
            )

    # ------------------------------------------------------------------ what is remembered
    def state(self) -> Json:
        """Return how it went so far."""
        try:
            return dict(json.loads((STATE / "store.json").read_text()))
        except (FileNotFoundError, ValueError):
            return {}

    def note(self, problem: str = "", damage: str | None = None) -> None:
        """Write down how it went, for people and for who collects figures.

        Args:
            problem: why nothing was copied; '' where it was.
            damage: what a check of the copy found; None where none was made, '' is nothing.

        """
        state, moment = self.state(), now().isoformat()
        if state.get("where") != self.where:
            state = {"where": self.where, "since": moment}
        state["problem"] = problem
        if damage is not None:
            state["damage"] = damage
        if not problem:
            state["last_good"] = moment
        write(STATE / "store.json", json.dumps(state, indent=1, sort_keys=True) + "\n")
        if not self.metrics_directory:
            return
        last = state.get("last_good")
        figures = {
            "ok": (
                int(not problem and not state.get("damage")),
                "Whether backups were copied to the store at last, and what is there is whole.",
            ),
            "success_timestamp_seconds": (
                int(dt.datetime.fromisoformat(last).timestamp()) if last else 0,
                "When backups were copied to the store.",
            ),
        }
        lines = []
        for short, (value, words) in figures.items():
            name = f"beanft_backup_copy_last_{short}"
            lines += [f"# HELP {name} {words}", f"# TYPE {name} gauge", f"{name} {value}"]
        write(
            Path(self.metrics_directory, "beanft_backup_copy.prom"), "\n".join(lines) + "\n", 0o644
        )

    def minutes(self) -> float:
        """Return how old the last copy is; where there is none, how long there could have been one."""
        state = self.state()
        if state.get("where") != self.where:
            return 0
        last = state.get("last_good") or state["since"]
        return (now() - dt.datetime.fromisoformat(last)).total_seconds() / 60

    def late(self) -> str:
        """Return a sentence where the last copy is too old, or damaged."""
        if damage := self.state().get("damage"):
            return str(damage)
        if self.minutes() <= self.max_age_minutes:
            return ""
        cause = self.state().get("problem") or "no run ended"
        return (
            f"the last copy of backups in {self.where} is {self.minutes():.0f} min old, and {self.max_age_minutes} "
            f"are allowed: {cause}"
        )

    def sentence(self) -> str:
        """Return how it is with the copy, in a line or two."""
        state = self.state()
        if state.get("where") != self.where:
            return f"copy     there is none in {self.where} yet"
        lines = [f"copy     in {self.where}, last {self.minutes():.0f} min ago"]
        if not state.get("last_good"):
            lines = [f"copy     there is no good one in {self.where}"]
        problems = [state["problem"], state.get("damage")]
        lines += [f"copy     PROBLEM {problem}" for problem in problems if problem]
        if self.minutes() > self.max_age_minutes:
            lines.append(f"copy     TOO OLD: {self.max_age_minutes} min are allowed")
        return "\n".join(lines)


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="beanft-backup-store")
    parser.add_argument("verb", choices=["copy", "fetch", "maintain", "status", "age"])
    verb = parser.parse_args().verb
    os.umask(0o077)
    store = Store()
    if verb == "status":
        print(store.sentence())
    elif verb == "fetch":
        print(json.dumps({"changed": store.fetch()}))
    elif verb == "age":
        if late := store.late():
            raise StoreError(late)
    else:
        try:
            store.copy() if verb == "copy" else store.maintain()
        except DamagedError as error:
            store.note(damage=str(error))
            raise
        except (StoreError, OSError) as error:
            store.note(str(error))
            raise
        store.note(damage="" if verb == "maintain" else None)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (StoreError, OSError) as problem:
        print(f"beanft-backup-store: {problem}", file=sys.stderr)
        sys.exit(1)

#!/usr/bin/python3
"""Backs up what an installation can't make again, proves each backup by a restore, and restores one.

Role backup puts it on the machine with the data, as beanft-backup. Standard library only, and the programs
restic, docker and PostgreSQL's own.

    beanft-backup run        back up now; the timer does so, too
    beanft-backup status     when the last good one was
    beanft-backup age        fail where that is too long ago
    beanft-backup init       make the repository, or make sure that it is ours
    beanft-backup find       which backup there is of a moment
    beanft-backup prepare    bring one back beside what serves, and compare
    beanft-backup switch     let what was prepared take the place of what there is, which is put aside
    beanft-backup undo       the other way round
    beanft-backup records    bring the release records back to a Swarm that has none
    beanft-backup maintain   remove what nobody needs any more, and check the repository
"""

from __future__ import annotations

import argparse
import base64
import datetime as dt
import fcntl
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NoReturn

FOLDER = Path("/etc/beanft/backup")
STATE = Path("/var/lib/beanft-backup")
LOCK = Path("/run/beanft-backup.lock")
# Copies the repository to an object store, where the role has one.
STORE_PROGRAM = "/usr/local/sbin/beanft-backup-store"
# The same in every backup, so that one finds the one before.
STAGE = STATE / "stage"
PROOF = STATE / "proof"
MANIFEST = "manifest.json"
SQLITE, POSTGRESQL, RECORDS = "sqlite", "postgresql", "records"
DATABASE_FILE = Path("db/beanft.sqlite3")
NAMES = ("db", "files")
# Keys under which the application keeps files; columns that have them end in _key.
FILE_KEY = re.compile(r"[a-z]+/[0-9a-f]{32}\.[a-z]+")
RECORD_LABEL = "beanft.release-of"
SFTP = re.compile(r"sftp:(?://(?P<url>[^/]+)/|(?P<scp>[^/:]+):)")
TRIES = 3
LOCKED_SECONDS, LOCKED_PAUSE_SECONDS = 300, 3
# restic's, where a file could not be read; the backup is there all the same.
INCOMPLETE = 3
# Above so many new files all of them are read back, and not these alone: a command line has an end.
MOST_INCLUDES = 500
# A backup of records that have not changed is made once a day all the same: old ones go.
RECORDS_SECONDS = 86_400
ALARM_AGAIN_SECONDS = 3_600
PREPARED_SECONDS = 6 * 3_600
# A restore waits so long for a backup under way.
WAIT_SECONDS = 900

Json = dict[str, Any]


class BackupError(Exception):
    """It can't be done; the message is a sentence or two, with the cause and the mend."""


class DeletedMeanwhileError(Exception):
    """A file went between the copy of the database and that of the files; the next try has neither."""


@dataclass(frozen=True)
class Settings:
    """What the role says."""

    repository: str
    environment: str
    stack: str
    volume: str
    directory: str
    database: str
    port: int
    keep: dict[str, int]
    check_hours: int
    check_percent: int
    max_age_minutes: int
    alarm_command: list[str]
    metrics_directory: str
    store: str = ""
    server: dict[str, str] = field(default_factory=dict)
    """How a managed PostgreSQL is got at, by libpq's environment; the machine's own where it is empty."""

    @classmethod
    def read(cls) -> Settings:
        """Read them from the role's file."""
        try:
            return cls(**json.loads((FOLDER / "config.json").read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise BackupError(
                f"{FOLDER}/config.json can't be used ({error}): run 'make site', which writes it"
            ) from error


@dataclass
class Made:
    """A backup that was made, and proven."""

    kind: str
    snapshot: str
    at: str
    rows: dict[str, int] = field(default_factory=dict)
    files: int = 0
    missing: int = 0
    bytes: int = 0
    added: int = 0
    seconds: float = 0.0

    def told(self) -> Json:
        """Return it as JSON has it."""
        return {**vars(self), "rows_total": sum(self.rows.values())}


# ------------------------------------------------------------------ small things
def now() -> dt.datetime:
    """Now, to the second, in UTC."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def moment(text: str) -> dt.datetime:
    """Return a time that somebody wrote; without a zone it is UTC."""
    found = dt.datetime.fromisoformat(re.sub(r"\.\d+", "", text.strip()))
    return found.astimezone(dt.UTC) if found.tzinfo else found.replace(tzinfo=dt.UTC)


def run(
    *command: str, data: bytes | IO[bytes] | None = None, out: IO[bytes] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, with few words of the environment."""
    given: dict[str, Any] = {"stdin": data or subprocess.DEVNULL}
    if isinstance(data, bytes):
        given = {"input": data}
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "AWS_SHARED_CREDENTIALS_FILE": str(FOLDER / "s3"),
    }
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        command,
        stdout=out or subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd="/",
        check=False,
        **given,
    )
    return done


def ask_store(settings: Settings, verb: str) -> str:
    """Let the copy in the object store be dealt with, where there is to be one; return what was said."""
    if not settings.store:
        return ""
    done = run(STORE_PROGRAM, verb)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise BackupError((said or [f"{verb} failed"])[-1].removeprefix("beanft-backup-store: "))
    return done.stdout.decode().strip()


def last_words(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return what a program complained about, without what only its makers understand."""
    lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    telling = [line for line in lines if re.search(r"(?i)^fatal|error|failed|denied|refused", line)]
    return " / ".join((telling or lines)[-2:]) or f"exit code {done.returncode}"


def empty(folder: Path) -> Path:
    """Return a folder in which nothing is, and into which nobody else looks."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    return folder


def write(path: Path, content: str, mode: int = 0o600) -> None:
    """Write a file, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(content)
    partial.chmod(mode)
    partial.replace(path)


def read_state(name: str) -> Json:
    """Return what is remembered under a name, or nothing."""
    try:
        return dict(json.loads((STATE / name).read_text()))
    except (FileNotFoundError, ValueError):
        return {}


def write_state(name: str, content: Json) -> None:
    """Remember something."""
    write(STATE / name, json.dumps(content, indent=1, sort_keys=True) + "\n")


def sha256(path: Path) -> str:
    """Return a file's checksum."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def alone(wait: float = 0) -> Iterator[None]:
    """Let no second one run meanwhile, after some seconds at most; one that was killed holds nothing up."""
    deadline = time.monotonic() + wait
    with LOCK.open("a+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.5)
                    continue
                file.seek(0)
                raise BackupError(
                    f"another backup or restore is under way ({file.read().strip()}): nothing was done; "
                    "it ends by itself, try again then"
                ) from None
            break
        file.truncate(0)
        file.write(f"process {os.getpid()}, since {now():%H:%M:%S} UTC")
        file.flush()
        yield
        file.truncate(0)


# ------------------------------------------------------------------ the repository
class Repository:
    """Where backups are: restic's repository, and how to get at it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = settings.repository
        self._options = ["--repo", self.name, "--password-file", str(FOLDER / "password")]
        self._options += ["--cache-dir", str(STATE / "cache")]
        if found := SFTP.match(self.name):
            self._options += ["--option", f"sftp.command={self._ssh(found)}"]

    @staticmethod
    def _ssh(found: re.Match[str]) -> str:
        where, _, port = (found["url"] or found["scp"]).partition(":")
        options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes"]
        options += [f"UserKnownHostsFile={FOLDER}/known_hosts", "ConnectTimeout=20"]
        options += ["ServerAliveInterval=10", "ServerAliveCountMax=3"]
        words = ["ssh", "-i", str(FOLDER / "ssh_key"), *(f"-o {option}" for option in options)]
        return " ".join([*words, *(["-p", port] if port else []), where, "-s sftp"])

    def restic(self, *arguments: str, cached: bool = True) -> str:
        """Run restic and return what it printed."""
        done = self._run(*([] if cached else ["--no-cache"]), *arguments)
        if done.returncode:
            raise BackupError(self._why(next(word for word in arguments if word[0] != "-"), done))
        return done.stdout.decode(errors="replace")

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        """Run restic, and wait while another machine has the repository for itself."""
        deadline = time.monotonic() + LOCKED_SECONDS
        while True:
            done = run("restic", *self._options, *arguments)
            if (
                not done.returncode
                or b"already locked" not in done.stderr
                or time.monotonic() > deadline
            ):
                return done
            # Takes away the locks of those that died, and no others.
            run("restic", *self._options, "unlock")
            time.sleep(LOCKED_PAUSE_SECONDS)

    def _why(self, verb: str, done: subprocess.CompletedProcess[bytes]) -> str:
        said = done.stderr.decode(errors="replace")
        if "wrong password or no key found" in said:
            return (
                f"the password does not open the repository {self.name}: it belongs to another environment, or the "
                "vault is not the one that made it; bring back that vault, or name another backup_repository"
            )
        if "Is there a repository at the following location" in said:
            return (
                f"there is no repository at {self.name}: bring it back, mount its disk, or name another "
                f"backup_repository; to begin a new one there, remove {STATE}/repository-id"
            )
        return f"restic {verb} failed on {self.name}: {last_words(done)}"

    def identity(self) -> str:
        """Return the repository's own name for itself."""
        return str(json.loads(self.restic("cat", "config"))["id"])

    def recorded(self) -> str:
        """Return the identity that it has to have, or '' where none is on record."""
        path = STATE / "repository-id"
        return path.read_text().strip() if path.exists() else ""

    def make_sure(self, identity: str = "") -> str:
        """Raise unless it is the one on record, or has an identity that is given; return its identity."""
        found, wanted = self.identity(), identity or self.recorded()
        if not wanted:
            raise BackupError(f"no repository is on record here: run 'make site', for {self.name}")
        if found != wanted:
            raise BackupError(
                f"{self.name} is not this environment's repository: it is {found[:12]}, and {wanted[:12]} is on "
                "record; nothing was touched. Mount or name the right one, or, to begin with this one, remove "
                f"{STATE}/repository-id and what backup_repository_id says, then run 'make site'"
            )
        return found

    def init(self, identity: str) -> Json:
        """Make the repository where there is none and none was; return its identity.

        Args:
            identity: what it has to be by the environment's record; '' where that does not know.

        """
        path, before = STATE / "repository-id", self.recorded()
        if before and identity and before != identity:
            raise BackupError(
                f"backup_repository_id says {identity[:12]}, and this machine's backups went to {before[:12]}: "
                f"mend the variable, or remove {path} where that repository is given up"
            )
        wanted = before or identity
        made = False
        if wanted:
            self.make_sure(wanted)
        else:
            # Not the other way round: where a store has no bucket yet, restic asks for its repository again and again.
            try:
                self.restic("init")
                made = True
            except BackupError as problem:
                if "already" not in str(problem):
                    raise
            # Who has this environment's password made it.
            wanted = self.identity()
        if before != wanted:
            # What was proven and saved, was so in another one.
            for name in ("proven.json", "records.json", "maintained.json"):
                (STATE / name).unlink(missing_ok=True)
            write(path, wanted + "\n")
        if not (STATE / "since").exists():
            write(STATE / "since", f"{now().isoformat()}\n")
        return {"changed": made or before != wanted, "id": wanted, "made": made}

    def snapshots(self, *tags: str) -> list[Json]:
        """Return this environment's backups with any of these tags, oldest first."""
        chosen = [word for tag in tags for word in ("--tag", tag)]
        text = self.restic("snapshots", "--json", "--host", self.settings.environment, *chosen)
        return sorted(json.loads(text) or [], key=lambda item: moment(item["time"]))

    def find(self, at: str, *tags: str) -> Json:
        """Return the backup with an id, or the newest that is not after a moment; '' is the newest."""
        there = self.snapshots(*tags)
        if not there:
            raise BackupError(
                f"{self.name} has no backup of {' or '.join(tags)} for {self.settings.environment}"
            )
        by_id = [
            item
            for item in there
            if re.fullmatch(r"[0-9a-f]{6,64}", at) and item["id"].startswith(at)
        ]
        if len(by_id) == 1 or not at:
            return by_id[0] if by_id else there[-1]
        others = [item for item in self.snapshots() if len(at) >= 6 and item["id"].startswith(at)]
        if others and not by_id:
            raise BackupError(
                f"backup {at} is of {' '.join(others[0]['tags'])}, and what serves here has its data in "
                f"{' or '.join(tags)}: 'make move' brings them to where the backup is from, then restore"
            )
        try:
            latest = moment(at)
        except ValueError:
            raise BackupError(
                f"AT={at} is neither the id of a backup nor a time such as 2026-01-31T12:00"
            ) from None
        before = [item for item in there if moment(item["time"]) <= latest]
        if not before:
            raise BackupError(
                f"there is no backup from {latest:%Y-%m-%d %H:%M:%S} UTC or before: the oldest is "
                f"{there[0]['id'][:8]} of {moment(there[0]['time']):%Y-%m-%d %H:%M:%S}, the newest "
                f"{there[-1]['id'][:8]} of {moment(there[-1]['time']):%Y-%m-%d %H:%M:%S}"
            )
        return before[-1]

    def manifest(self, snapshot: str) -> Json:
        """Return what a backup says of itself."""
        text = self.restic("dump", snapshot, str(STAGE / MANIFEST), cached=False)
        return dict(json.loads(text))

    def save(self, kind: str, at: dt.datetime, *paths: Path) -> Json:
        """Keep some paths as a backup; return restic's figures."""
        done = self._run(
            "backup", "--json", "--host", self.settings.environment, "--tag", kind,
            "--time", f"{at:%Y-%m-%d %H:%M:%S}", "--exclude", "*.part", *map(str, paths),
        )  # fmt: skip
        if done.returncode not in (0, INCOMPLETE):
            raise BackupError(self._why("backup", done))
        lines = [
            json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith("{")
        ]
        summary: Json = next(line for line in lines if line.get("message_type") == "summary")
        if done.returncode == INCOMPLETE:
            self.restic("forget", summary["snapshot_id"])
            raise DeletedMeanwhileError(last_words(done))
        return summary

    def restore(self, snapshot: str, target: Path, *includes: str) -> Path:
        """Bring a backup's files back below a folder; return that."""
        chosen = [word for path in includes for word in ("--include", path)]
        # Not from the cache: it is the repository that has to have it.
        self.restic("restore", snapshot, "--target", str(target), *chosen, cached=False)
        return target

    def paths(self, snapshot: str) -> set[str]:
        """Return the paths of a backup's files."""
        lines = self.restic("ls", "--json", snapshot, cached=False).splitlines()
        nodes = [json.loads(line) for line in lines if line.startswith("{")]
        return {node["path"] for node in nodes if node.get("type") == "file"}


def below(root: Path, path: Path) -> Path:
    """Return where a path of a backup is below the folder into which it was restored."""
    return root / path.relative_to("/")


def maintain(settings: Settings, repository: Repository) -> Json:
    """Remove what nobody needs any more, and check what there is."""
    forget(settings, repository, "--prune")
    # By another part each time.
    repository.restic("check", f"--read-data-subset={settings.check_percent}%", cached=False)
    write_state("maintained.json", {"at": now().isoformat()})
    with suppress(BackupError):
        # On record with the copy.
        ask_store(settings, "maintain")
    return {"changed": True}


def forget(settings: Settings, repository: Repository, *options: str) -> None:
    """Give up backups that are too many."""
    keep = [
        word
        for name, count in settings.keep.items()
        if count
        for word in (f"--keep-{name}", str(count))
    ]
    repository.restic(
        "forget", "--host", settings.environment, "--group-by", "host,tags", *keep, *options
    )


# ------------------------------------------------------------------ SQLite
def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a database that is in use, as it is at one moment."""
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as origin,
        closing(sqlite3.connect(target)) as copy,
    ):
        origin.backup(copy)
        # One file that holds it all.
        copy.execute("PRAGMA journal_mode = DELETE")


@dataclass
class Content:
    """What is in a database: rows by table, its schema's revision, and the files that rows refer to."""

    rows: dict[str, int]
    schema: str
    files: dict[str, str]
    """The key of each file, with its checksum where a row has it."""


def content_of(path: Path) -> Content:
    """Look through a database file, which nobody uses; raise where it is damaged."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:

        def column(statement: str) -> list[str]:
            return [str(row[0]) for row in database.execute(statement)]

        found = column("PRAGMA integrity_check(1)")
        if found != ["ok"]:
            raise BackupError(f"the database is damaged: {found[0]}")
        rows: dict[str, int] = {}
        files: dict[str, str] = {}
        names = column(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        for name in sorted(names):
            table = f'"{name}"'
            (rows[name],) = database.execute(f"SELECT count(*) FROM {table}").fetchone()
            columns = column(f"SELECT name FROM pragma_table_info('{name}')")
            for key in (each for each in columns if each.endswith("_key")):
                known = "sha256" if key == "storage_key" and "sha256" in columns else "NULL"
                query = f'SELECT "{key}", {known} FROM {table} WHERE "{key}" IS NOT NULL'
                for value, digest in database.execute(query):
                    if FILE_KEY.fullmatch(str(value)):
                        files[str(value)] = files.get(str(value)) or digest or ""
        schema = (
            column("SELECT version_num FROM alembic_version") if "alembic_version" in rows else []
        )
    return Content(rows, schema[0] if schema else "", files)


def lacking(content: Content, folder: Path) -> list[str]:
    """Return the keys of files that rows refer to and that are not below a folder."""
    return [key for key in content.files if not (folder / key).is_file()]


def damaged(files: dict[str, str], folder: Path) -> list[str]:
    """Return the keys of files that are not what their rows say."""
    return [key for key, digest in files.items() if digest and sha256(folder / key) != digest]


def compare_rows(found: dict[str, int], wanted: dict[str, int]) -> None:
    """Raise unless the same tables have the same numbers of rows."""
    for name in sorted({*found, *wanted}):
        if found.get(name) != wanted.get(name):
            raise BackupError(
                f"table {name} has {found.get(name, 'no')} rows in what was restored, and {wanted.get(name, 'no')} "
                "rows were saved"
            )


class Sqlite:
    """The volume with SQLite's database and files."""

    kind = SQLITE

    def __init__(self, settings: Settings, repository: Repository) -> None:
        self.settings, self.repository = settings, repository
        self.folder = Path(settings.directory)
        self.files = self.folder / "files"
        self.restoring = self.folder / ".restoring"

    def there(self) -> bool:
        """Return whether there is something to back up."""
        return bool(self.settings.directory) and (self.folder / DATABASE_FILE).is_file()

    def back_up(self) -> Made:
        """Copy, keep, and prove it."""
        at = now()
        copy = empty(STAGE) / "database.sqlite3"
        copy_sqlite(self.folder / DATABASE_FILE, copy)
        content = content_of(copy)
        missing = lacking(content, self.files)
        status = (self.folder / DATABASE_FILE).stat()
        manifest = {
            "kind": self.kind,
            "environment": self.settings.environment,
            "at": at.isoformat(),
            "rows": content.rows,
            "schema": content.schema,
            "files": str(self.files),
            "missing": missing,
            "owner": [status.st_uid, status.st_gid],
        }
        (STAGE / MANIFEST).write_text(json.dumps(manifest))
        paths = [STAGE, *([self.files] if self.files.is_dir() else [])]
        saved = self.repository.save(self.kind, at, *paths)
        made = Made(self.kind, saved["snapshot_id"], at.isoformat(), content.rows)
        made.files, made.missing = len(content.files), len(missing)
        made.bytes, made.added = saved["total_bytes_processed"], saved["data_added"]
        with rejected_unless_proven(self.repository, made.snapshot):
            self.prove(made, content, set(missing))
        return made

    def prove(self, made: Made, content: Content, missing: set[str]) -> None:
        """Restore the database, and the files that are new since the last proof, and compare."""
        there = self.repository.paths(made.snapshot)
        wanted = {key: digest for key, digest in content.files.items() if key not in missing}
        gone = [key for key in wanted if str(self.files / key) not in there]
        if gone:
            raise DeletedMeanwhileError(gone[0])
        before = set(read_state("proven.json").get("files", []))
        new = {key: digest for key, digest in wanted.items() if key not in before}
        includes = [str(STAGE), *(str(self.files / key) for key in new)]
        if len(includes) > MOST_INCLUDES:
            includes = []
        root = self.repository.restore(made.snapshot, empty(PROOF), *includes)
        compare_rows(content_of(below(root, STAGE) / "database.sqlite3").rows, content.rows)
        files = below(root, self.files)
        if bad := damaged(new, files):
            # The backup is as good as the original: say so, and keep what can be kept.
            raise BackupError(
                f"the file {bad[0]} is not what the database says of it, here or in the backup: look for a damaged "
                "disk, restore that file, or delete what refers to it"
            )
        write_state("proven.json", {"files": sorted(wanted)})

    def prepare(self, snapshot: str) -> Json:
        """Bring a backup back beside what there is, and compare."""
        if self.settings.volume:
            done = run(
                "docker", "volume", "create", "--label", "beanft=volume", self.settings.volume
            )
            if done.returncode:
                raise BackupError(
                    f"the volume {self.settings.volume} can't be made: {last_words(done)}"
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        root = self.repository.restore(snapshot, empty(self.restoring))
        manifest: Json = json.loads((below(root, STAGE) / MANIFEST).read_text())
        content = content_of(below(root, STAGE) / "database.sqlite3")
        compare_rows(content.rows, manifest["rows"])
        files = below(root, Path(manifest["files"]))
        absent = set(lacking(content, files)) - set(manifest["missing"])
        if absent:
            raise BackupError(
                f"the backup lacks the file {sorted(absent)[0]}, to which a row refers"
            )
        there = {key: digest for key, digest in content.files.items() if (files / key).is_file()}
        if bad := damaged(there, files):
            raise BackupError(
                f"the file {bad[0]} of the backup is not what the database says of it"
            )
        return manifest

    def switch(self, manifest: Json, aside: str) -> Json:
        """Let what was restored take its place; what was there gets another name."""
        root, (uid, gid) = self.restoring, manifest["owner"]
        database = empty(self.restoring / "db")
        (below(root, STAGE) / "database.sqlite3").rename(database / DATABASE_FILE.name)
        files = below(root, Path(manifest["files"]))
        files.mkdir(parents=True, exist_ok=True)
        for path in (database, files):
            path.chmod(0o750)
        for path in (self.folder, database, database / DATABASE_FILE.name, files):
            os.chown(path, uid, gid)
        switched = {
            "aside": aside,
            "put_aside": [name for name in NAMES if (self.folder / name).exists()],
        }
        try:
            for name in switched["put_aside"]:
                path = self.folder / name
                path.rename(path.with_name(f"{name}.{aside}"))
            database.rename(self.folder / "db")
            files.rename(self.files)
        except OSError:
            self.undo(switched)
            raise
        shutil.rmtree(self.restoring)
        return switched

    def undo(self, switched: Json) -> None:
        """Let what was put aside take its place again."""
        for name in NAMES:
            path = self.folder / name
            before = path.with_name(f"{name}.{switched['aside']}")
            was_there = name in switched["put_aside"]
            if was_there and not before.exists():
                continue  # it did not get that far
            if path.exists():
                path.rename(path.with_name(f"{name}.undone_{switched['aside']}"))
            if was_there:
                before.rename(path)


@contextmanager
def rejected_unless_proven(repository: Repository, snapshot: str) -> Iterator[None]:
    """Take back a backup that could not be proven: nobody is to restore it."""
    try:
        yield
    except (BackupError, DeletedMeanwhileError, OSError, sqlite3.Error):
        with suppress(BackupError):
            repository.restic("forget", snapshot)
        raise
    finally:
        shutil.rmtree(PROOF, ignore_errors=True)
        shutil.rmtree(STAGE, ignore_errors=True)


# ------------------------------------------------------------------ PostgreSQL
def as_postgres(program: str, settings: Settings, *arguments: str) -> list[str]:
    """Return a command that the database's superuser runs, by the local socket, or a managed server's master."""
    who = ["runuser", "-u", "postgres", "--"]
    if settings.server:
        who = ["env", *(f"{name}={value}" for name, value in sorted(settings.server.items()))]
    return [*who, program, f"--port={settings.port}", *arguments]


class Session:
    """A connection that stays open: what it has seen once, it sees until it ends."""

    def __init__(self, settings: Settings, database: str) -> None:
        options = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"]
        self._process = subprocess.Popen(
            as_postgres("psql", settings, *options, f"--dbname={database}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
        )
        self.database = database
        # It waits while others work, and counts as long as it takes.
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            self.tell(f"SET {name} = 0")

    def tell(self, statement: str) -> None:
        """Run a statement that answers nothing."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        try:
            self._process.stdin.write(f"{statement};\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._fail()

    def ask(self, statement: str) -> str:
        """Run a statement that answers one line."""
        self.tell(statement)
        assert self._process.stdout is not None  # noqa: S101
        line = self._process.stdout.readline()
        if not line:
            self._fail()
        return line.rstrip("\n")

    def _fail(self) -> NoReturn:
        self._process.kill()
        said = self._process.stderr.read() if self._process.stderr else ""
        cause = " / ".join(line for line in said.splitlines() if line.strip()) or "no answer"
        raise BackupError(f"PostgreSQL refuses, in database {self.database}: {cause}")

    def rows(self) -> dict[str, int]:
        """Return how many rows each table has."""
        each = self.ask(
            "SELECT coalesce(string_agg(format('SELECT %L AS t, count(*) AS n FROM public.%I', tablename, "
            "tablename), ' UNION ALL '), '') FROM pg_tables WHERE schemaname = 'public'"
        )
        if not each:
            return {}
        return dict(json.loads(self.ask(f"SELECT json_object_agg(t, n) FROM ({each}) AS counted")))

    def schema(self, rows: dict[str, int]) -> str:
        """Return the revision of the application's schema."""
        if not rows.get("alembic_version"):
            return ""
        return self.ask("SELECT version_num FROM public.alembic_version")

    def __enter__(self) -> Session:
        """Use it for a while."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        with suppress(OSError):
            self._process.communicate(timeout=10)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class Postgresql:
    """A database of this machine's PostgreSQL or of a managed one: schema `public`, where the application has all."""

    kind = POSTGRESQL

    def __init__(self, settings: Settings, repository: Repository) -> None:
        self.settings, self.repository = settings, repository
        self.name = settings.database

    def server(self) -> Session:
        """Return a connection that is in no way of a database."""
        return Session(self.settings, "postgres")

    def there(self) -> bool:
        """Return whether there is something to back up."""
        if not self.name:
            return False
        with Session(self.settings, self.name) as session:
            return session.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") != "0"

    def back_up(self) -> Made:
        """Dump, keep, and prove it."""
        at = now()
        empty(STAGE)
        with Session(self.settings, self.name) as session:
            session.tell("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            seen = session.ask("SELECT pg_export_snapshot()")
            rows = session.rows()
            schema = session.schema(rows)
            self._dump(seen)
            session.tell("COMMIT")
        manifest = {
            "kind": self.kind,
            "environment": self.settings.environment,
            "at": at.isoformat(),
            "rows": rows,
            "schema": schema,
        }
        (STAGE / MANIFEST).write_text(json.dumps(manifest))
        saved = self.repository.save(self.kind, at, STAGE)
        made = Made(self.kind, saved["snapshot_id"], at.isoformat(), rows)
        made.bytes, made.added = saved["total_bytes_processed"], saved["data_added"]
        with rejected_unless_proven(self.repository, made.snapshot):
            root = self.repository.restore(made.snapshot, empty(PROOF))
            scratch = f"{self.name}_backup_proof"
            try:
                self.bring_back(below(root, STAGE), scratch, rows)
            finally:
                self.drop(scratch)
        return made

    def _dump(self, seen: str) -> None:
        # What the session has seen and counted. Not compressed: restic does that, and finds what is the same.
        options = ["--format=custom", "--compress=0", "--schema=public", f"--snapshot={seen}"]
        with (STAGE / "database.pgc").open("wb") as file:
            done = run(
                *as_postgres("pg_dump", self.settings, *options, f"--dbname={self.name}"), out=file
            )
        if done.returncode:
            raise BackupError(f"pg_dump of {self.name} failed: {last_words(done)}")

    def drop(self, name: str) -> None:
        """Drop a database of ours that nobody uses."""
        with self.server() as server:
            server.tell(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            server.ask("SELECT 1")

    def bring_back(self, stage: Path, name: str, rows: dict[str, int]) -> None:
        """Make a database of a dump, and compare."""
        with self.server() as server:
            owner = server.ask(
                f"SELECT coalesce((SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{self.name}'), '')"
            )
            if not owner:
                raise BackupError(
                    f"there is no database {self.name} here: run 'make site', which makes it"
                )
            server.tell(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            server.tell(f'CREATE DATABASE "{name}" OWNER "{owner}" TEMPLATE template0')
            server.tell(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
            server.ask("SELECT 1")
        options = [
            "--clean",
            "--if-exists",
            "--no-owner",
            f"--role={owner}",
            "--no-privileges",
            "--no-comments",
        ]
        options += ["--single-transaction", "--exit-on-error", f"--dbname={name}"]
        with (stage / "database.pgc").open("rb") as file:
            done = run(*as_postgres("pg_restore", self.settings, *options), data=file)
        if done.returncode:
            raise BackupError(f"pg_restore failed: {last_words(done)}")
        with Session(self.settings, name) as session:
            compare_rows(session.rows(), rows)
            session.tell("ANALYZE")
            session.ask("SELECT 1")

    def prepare(self, snapshot: str) -> Json:
        """Bring a backup back beside what there is, and compare."""
        root = self.repository.restore(snapshot, empty(PROOF))
        try:
            manifest: Json = json.loads((below(root, STAGE) / MANIFEST).read_text())
            self.bring_back(below(root, STAGE), f"{self.name}_restoring", manifest["rows"])
        except (BackupError, OSError):
            self.drop(f"{self.name}_restoring")
            raise
        finally:
            shutil.rmtree(PROOF, ignore_errors=True)
        return manifest

    def _renamed(self, before: str, after: str) -> None:
        query = f"SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = '{before}'"
        try:
            with self.server() as server:
                server.tell(f'ALTER DATABASE "{before}" ALLOW_CONNECTIONS false')
                server.ask(query)
                server.tell(f'ALTER DATABASE "{before}" RENAME TO "{after}"')
                server.tell(f'ALTER DATABASE "{after}" ALLOW_CONNECTIONS true')
                server.ask("SELECT 1")
        except BackupError:
            with suppress(BackupError), self.server() as server:
                server.tell(f'ALTER DATABASE "{before}" ALLOW_CONNECTIONS true')
                server.ask("SELECT 1")
            raise

    def switch(self, manifest: Json, aside: str) -> Json:
        """Let what was restored take its place; what was there gets another name."""
        del manifest
        self._renamed(self.name, f"{self.name}_{aside}")
        try:
            self._renamed(f"{self.name}_restoring", self.name)
        except BackupError:
            self._renamed(f"{self.name}_{aside}", self.name)
            raise
        return {"aside": aside, "put_aside": [self.name]}

    def undo(self, switched: Json) -> None:
        """Let what was put aside take its place again."""
        self._renamed(self.name, f"{self.name}_undone_{switched['aside']}")
        self._renamed(f"{self.name}_{switched['aside']}", self.name)


# ------------------------------------------------------------------ release records
class Records:
    """The release records in the Swarm's store."""

    kind = RECORDS

    def __init__(self, settings: Settings, repository: Repository) -> None:
        self.settings, self.repository = settings, repository
        self._read: list[Json] | None = None

    def read(self) -> list[Json]:
        """Return names and contents, oldest first."""
        if self._read is not None:
            return self._read
        listed = run(
            "docker",
            "config",
            "ls",
            "--quiet",
            "--filter",
            f"label={RECORD_LABEL}={self.settings.stack}",
        )
        ids = listed.stdout.decode().split()
        found = run("docker", "config", "inspect", *ids) if ids else listed
        for done in (listed, found):
            if done.returncode:
                raise BackupError(f"the Swarm's release records can't be read: {last_words(done)}")
        configs = json.loads(found.stdout) if ids else []
        specs = sorted((item["Spec"] for item in configs), key=lambda spec: str(spec["Name"]))
        self._read = [
            {"name": spec["Name"], "data": spec["Data"], "labels": spec["Labels"]} for spec in specs
        ]
        return self._read

    def current(self) -> Json:
        """Return the release that serves, or nothing."""
        contents = [json.loads(base64.b64decode(item["data"])) for item in self.read()]
        plain = [json.loads(item["record"]) if "signature" in item else item for item in contents]
        good = [item for item in plain if item["result"] == "succeeded"]
        return dict(max(good, key=lambda item: int(item["number"]))) if good else {}

    def changed(self) -> bool:
        """Return whether there is something that the last backup of them does not have, or that is a day old."""
        last = read_state("records.json")
        if last.get("sha256") != self._digest():
            return bool(self.read())
        return (now() - moment(last["at"])).total_seconds() > RECORDS_SECONDS

    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(self.read(), sort_keys=True).encode()).hexdigest()

    def back_up(self) -> Made:
        """Keep them, and prove it."""
        at, records = now(), self.read()
        empty(STAGE)
        manifest = {
            "kind": self.kind,
            "environment": self.settings.environment,
            "at": at.isoformat(),
            "rows": {"records": len(records)},
        }
        (STAGE / MANIFEST).write_text(json.dumps(manifest))
        (STAGE / "records.json").write_text(json.dumps(records))
        saved = self.repository.save(self.kind, at, STAGE)
        made = Made(self.kind, saved["snapshot_id"], at.isoformat(), {"records": len(records)})
        made.bytes, made.added = saved["total_bytes_processed"], saved["data_added"]
        with rejected_unless_proven(self.repository, made.snapshot):
            root = self.repository.restore(made.snapshot, empty(PROOF))
            if json.loads((below(root, STAGE) / "records.json").read_text()) != records:
                raise BackupError("the release records differ in what was restored")
        write_state("records.json", {"at": at.isoformat(), "sha256": self._digest()})
        return made

    def bring_back(self, snapshot: str) -> int:
        """Write the records into a Swarm that has none; return how many."""
        if self.read():
            return 0
        text = self.repository.restic("dump", snapshot, str(STAGE / "records.json"), cached=False)
        records = json.loads(text)
        for record in records:
            labels = [
                word
                for key, value in record["labels"].items()
                for word in ("--label", f"{key}={value}")
            ]
            done = run(
                "docker",
                "config",
                "create",
                *labels,
                record["name"],
                "-",
                data=base64.b64decode(record["data"]),
            )
            if done.returncode:
                raise BackupError(
                    f"the release record {record['name']} can't be written: {last_words(done)}"
                )
        return len(records)


# ------------------------------------------------------------------ what is done
Source = Sqlite | Postgresql | Records


def is_postgresql(record: Json) -> bool:
    """Return whether a release's data are in PostgreSQL."""
    environment = record["stack"]["services"]["worker"].get("environment", {})
    return str(environment.get("BEANFT_DATABASE_URL", "")).startswith("postgresql")


def sources(settings: Settings, repository: Repository) -> tuple[list[Source], str]:
    """Return what there is to back up, and what could not be looked at."""
    sqlite, postgresql = Sqlite(settings, repository), Postgresql(settings, repository)
    if not settings.stack:
        return [source for source in (sqlite, postgresql) if source.there()], ""
    records = Records(settings, repository)
    try:
        current = records.current()
        # First, so that each backup of the data finds the records of its time before it.
        beside: list[Source] = [records] if records.changed() else []
    except BackupError as problem:
        # The engine is down: the data are saved all the same, as the last time.
        kinds = [item["kind"] for item in read_state("status.json").get("made", [])]
        found: list[Source] = [it for it in (sqlite, postgresql) if it.kind in kinds and it.there()]
        if not found:
            raise
        return found, str(problem)
    if not current:
        return beside, ""
    # Where the data are is on record with the release; what else is here is a cache, or of before a move.
    if is_postgresql(current):
        if settings.database and not postgresql.there():
            raise BackupError(
                f"the database {settings.database}, which the current release uses, is empty"
            )
        return [*beside, *([postgresql] if settings.database else [])], ""
    if not sqlite.there():
        raise BackupError(
            f"{settings.directory}/{DATABASE_FILE}, which the current release uses, is gone"
        )
    return [*beside, sqlite], ""


def back_up(settings: Settings, wait: float) -> Json:
    """Back up all there is; return what was made."""
    started = time.monotonic()
    repository = Repository(settings)
    with alone(wait):
        try:
            repository.make_sure()
            made = []
            there, problem = sources(settings, repository)
            for source in there:
                made.append(once_more(source.back_up))
            if made:
                forget(settings, repository)
            last = read_state("maintained.json").get("at")
            if not last:
                write_state("maintained.json", {"at": now().isoformat()})
            elif (now() - moment(last)).total_seconds() > settings.check_hours * 3600:
                maintain(settings, repository)
        except (BackupError, OSError, sqlite3.Error, ValueError, KeyError) as error:
            note(settings, {"failed_at": now().isoformat(), "problem": str(error) or repr(error)})
            raise
        seconds = round(time.monotonic() - started, 1)
        told = [item.told() for item in made]
        # Records that have not changed were saved before.
        before = read_state("status.json").get("made", [])
        kept = [
            *told,
            *(
                it
                for it in before
                if it["kind"] == RECORDS and RECORDS not in [each.kind for each in made]
            ),
        ]
        note(
            settings,
            {
                "last_good": now().isoformat(),
                "made": kept,
                "seconds": seconds,
                "problem": problem,
                "failed_at": "",
            },
        )
        try:
            ask_store(settings, "copy")
        except BackupError as not_copied:
            # On record with the copy: the backup is as good as without it.
            problem = "; ".join(filter(None, [problem, f"not copied: {not_copied}"]))
    return {"changed": bool(made), "made": told, "seconds": seconds, "problem": problem}


def once_more(back_up_source: Callable[[], Made]) -> Made:
    """Back up, and again where something was deleted meanwhile."""
    for _ in range(TRIES):
        started = time.monotonic()
        try:
            made = back_up_source()
        except DeletedMeanwhileError as gone:
            last = str(gone)
        else:
            made.seconds = round(time.monotonic() - started, 1)
            return made
    raise BackupError(
        f"{TRIES} times in a row a file was deleted between two copies, at last {last}"
    )


def note(settings: Settings, news: Json) -> None:
    """Write down how it went, for people and for who collects figures."""
    status = {**read_state("status.json"), **news}
    write_state("status.json", status)
    if not settings.metrics_directory:
        return
    lines = []
    figures = {
        "beanft_backup_last_run_ok": (
            0 if status.get("failed_at") else 1,
            "Whether the last backup was good.",
        ),
        "beanft_backup_seconds": (
            status.get("seconds", 0),
            "How long the last good backup took, with its proof.",
        ),
        "beanft_backup_bytes": (
            sum(item["bytes"] for item in status.get("made", [])),
            "Bytes in the last good backup.",
        ),
    }
    if status.get("last_good"):
        stamp = int(moment(status["last_good"]).timestamp())
        figures["beanft_backup_last_success_timestamp_seconds"] = (
            stamp,
            "When the last good backup ended.",
        )
    for name, (value, words) in figures.items():
        lines += [f"# HELP {name} {words}", f"# TYPE {name} gauge", f"{name} {value}"]
    folder = Path(settings.metrics_directory)
    if not folder.is_dir():
        # For whoever collects them, and everybody may read them.
        folder.mkdir(parents=True)
        folder.chmod(0o755)
    write(folder / "beanft_backup.prom", "\n".join(lines) + "\n", 0o644)


def age_seconds(status: Json) -> float:
    """Return how old the last good backup is; where there is none, how long there could have been one."""
    since = STATE / "since"
    last = status.get("last_good") or (since.read_text() if since.exists() else now().isoformat())
    return (now() - moment(last)).total_seconds()


def sentence(settings: Settings) -> str:
    """Return how it is with backups here, in a line or two."""
    status = read_state("status.json")
    lines = []
    if status.get("last_good"):
        for item in status["made"]:
            what = f"{item['rows_total']} rows in {len(item['rows'])} tables"
            if item["kind"] == RECORDS:
                what = f"{item['rows_total']} of releases"
            if item["files"]:
                what += f", {item['files']} files"
            lines.append(
                f"backup   {item['kind']} {item['snapshot'][:8]} of {moment(item['at']):%Y-%m-%d %H:%M:%S} UTC: "
                f"{what}, {item['bytes'] / 1e6:.1f} MB, {item['seconds']} s"
            )
            if item["missing"]:
                lines.append(f"         {item['missing']} files that rows refer to are gone")
        lines.append(
            f"backup   last good {age_seconds(status) / 60:.0f} min ago, proven by a restore"
        )
    else:
        lines.append("backup   there is no good one yet")
    if status.get("problem"):
        lines.append(f"backup   PROBLEM {status.get('failed_at', '')}: {status['problem']}")
    if age_seconds(status) > settings.max_age_minutes * 60:
        lines.append(f"backup   TOO OLD: {settings.max_age_minutes} min are allowed")
    return "\n".join(filter(None, [*lines, ask_store(settings, "status")]))


def alarm(settings: Settings) -> int:
    """Return 1 where the last good backup, or its copy, is too old, and say so to who wants to know."""
    status = read_state("status.json")
    seconds = age_seconds(status)
    late = []
    if seconds > settings.max_age_minutes * 60:
        late.append(
            f"the last good backup of {settings.environment} is {seconds / 60:.0f} min old, and "
            f"{settings.max_age_minutes} are allowed: {status.get('problem') or 'no run ended'}"
        )
    try:
        ask_store(settings, "age")
    except BackupError as too_old:
        late.append(str(too_old))
    if not late:
        (STATE / "alarm.json").unlink(missing_ok=True)
        return 0
    text = "; ".join(late)
    # Priority err for the journal.
    print(f"<3>{text}", file=sys.stderr)
    told = read_state("alarm.json").get("at")
    again = not told or (now() - moment(told)).total_seconds() > ALARM_AGAIN_SECONDS
    if settings.alarm_command and again:
        done = run(*settings.alarm_command, text)
        if done.returncode:
            print(f"<3>backup_alarm_command failed: {last_words(done)}", file=sys.stderr)
        else:
            write_state("alarm.json", {"at": now().isoformat()})
    return 1


def source_of(kind: str, settings: Settings, repository: Repository) -> Sqlite | Postgresql:
    """Return where a kind of backup goes on this machine."""
    if kind == POSTGRESQL and settings.database:
        return Postgresql(settings, repository)
    if kind == SQLITE and settings.directory:
        return Sqlite(settings, repository)
    raise BackupError(
        f"a backup of {kind} can't be restored here: this machine has no place for it"
    )


def bring_back_repository(settings: Settings) -> bool:
    """Bring the repository back from its copy where the disk with it is gone; return whether that was so."""
    if not settings.store or Path(settings.repository, "config").exists():
        return False
    with alone(WAIT_SECONDS):
        return bool(json.loads(ask_store(settings, "fetch"))["changed"])


def find(settings: Settings, at: str, kind: str) -> Json:
    """Return which backup there is of a moment."""
    bring_back_repository(settings)
    repository = Repository(settings)
    repository.make_sure()
    kinds = [kind] if kind else [SQLITE, POSTGRESQL]
    found = repository.find(at, *kinds)
    manifest = repository.manifest(found["id"])
    return {**manifest, "changed": False, "snapshot": found["id"]}


def prepare(settings: Settings, snapshot: str, kind: str) -> Json:
    """Check the repository, bring a backup back beside what there is, and compare."""
    repository = Repository(settings)
    with alone(WAIT_SECONDS):
        (STATE / "prepared.json").unlink(missing_ok=True)
        repository.make_sure()
        source = source_of(kind, settings, repository)
        try:
            repository.restic("check", cached=False)
            manifest = source.prepare(snapshot)
        except (BackupError, OSError, sqlite3.Error, ValueError, KeyError) as error:
            raise BackupError(
                f"backup {snapshot[:8]} can't be restored, and nothing was touched: {error}. Take an earlier one by "
                "AT=, or mend the repository (restic check says more)"
            ) from error
        prepared = {
            "kind": kind,
            "snapshot": snapshot,
            "manifest": manifest,
            "at": now().isoformat(),
        }
        write_state("prepared.json", prepared)
    return {
        **manifest,
        "changed": True,
        "snapshot": snapshot,
        "rows_total": sum(manifest["rows"].values()),
    }


def switch(settings: Settings) -> Json:
    """Let what was prepared take the place of what there is."""
    with alone(WAIT_SECONDS):
        prepared = read_state("prepared.json")
        if not prepared or (now() - moment(prepared["at"])).total_seconds() > PREPARED_SECONDS:
            raise BackupError(
                "nothing is prepared here, or it is hours old: prepare a backup first"
            )
        aside = f"before_{now():%Y%m%d_%H%M%S}"
        source = source_of(prepared["kind"], settings, Repository(settings))
        switched = source.switch(prepared["manifest"], aside)
        write_state("switched.json", {**switched, "kind": prepared["kind"]})
        (STATE / "prepared.json").unlink()
        # Other files are there now.
        (STATE / "proven.json").unlink(missing_ok=True)
    return {"changed": True, **switched}


def undo(settings: Settings) -> Json:
    """Take the last switch back."""
    with alone(WAIT_SECONDS):
        switched = read_state("switched.json")
        if not switched:
            raise BackupError("there is no restore to take back")
        source_of(switched["kind"], settings, Repository(settings)).undo(switched)
        (STATE / "switched.json").unlink()
        (STATE / "proven.json").unlink(missing_ok=True)
    return {"changed": True}


def bring_back_records(settings: Settings, at: str) -> Json:
    """Bring back the release records as they were at a moment, or soon after, where there are none."""
    repository = Repository(settings)
    repository.make_sure()
    there = repository.snapshots(RECORDS)
    if not there:
        raise BackupError(f"{repository.name} has no release records of {settings.environment}")
    before = [item for item in there if moment(item["time"]) <= moment(at)]
    count = Records(settings, repository).bring_back((before or there[:1])[-1]["id"])
    return {"changed": count > 0, "records": count}


def parser() -> argparse.ArgumentParser:
    """Return what the command line may say."""
    whole = argparse.ArgumentParser(
        prog="beanft-backup", description="Backups that were restored once."
    )
    verbs = whole.add_subparsers(dest="verb", required=True)
    once = verbs.add_parser("run", help="back up now")
    once.add_argument("--json", action="store_true")
    once.add_argument(
        "--wait", type=float, default=0, help="seconds to wait for another one to end"
    )
    verbs.add_parser("status", help="when the last good one was")
    verbs.add_parser("age", help="fail where the last good one is too old")
    begun = verbs.add_parser("init", help="make the repository, or make sure that it is ours")
    begun.add_argument("--identity", default="", help="what it has to be, where that is on record")
    verbs.add_parser("maintain", help="remove what nobody needs any more, and check")
    found = verbs.add_parser("find", help="which backup there is")
    found.add_argument("--at", default="", help="an id, or a moment; the newest without it")
    found.add_argument("--kind", default="", choices=["", SQLITE, POSTGRESQL])
    verbs.add_parser("records", help="release records").add_argument("--at", required=True)
    prepared = verbs.add_parser("prepare", help="bring one back beside what there is")
    prepared.add_argument("--snapshot", required=True)
    prepared.add_argument("--kind", required=True, choices=[SQLITE, POSTGRESQL])
    verbs.add_parser("switch", help="let it take the place of what there is")
    verbs.add_parser("undo", help="take that back")
    return whole


def main() -> int:
    """Do what the command line says."""
    options = parser().parse_args()
    os.umask(0o077)
    settings = Settings.read()
    answer: Json
    match options.verb:
        case "age":
            return alarm(settings)
        case "status":
            print(sentence(settings))
            return 0
        case "run":
            answer = back_up(settings, options.wait)
            if not options.json:
                print(sentence(settings))
                return 0
        case "init":
            # A machine made anew goes on with the repository of the one before.
            fetched = bring_back_repository(settings)
            answer = Repository(settings).init(options.identity)
            answer["changed"] |= fetched
        case "maintain":
            with alone():
                repository = Repository(settings)
                repository.make_sure()
                answer = maintain(settings, repository)
        case "find":
            answer = find(settings, options.at, options.kind)
        case "records":
            answer = bring_back_records(settings, options.at)
        case "prepare":
            answer = prepare(settings, options.snapshot, options.kind)
        case "switch":
            answer = switch(settings)
        case _:
            answer = undo(settings)
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BackupError, OSError, sqlite3.Error) as problem:
        print(f"beanft-backup: {problem}", file=sys.stderr)
        sys.exit(1)

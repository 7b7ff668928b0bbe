"""Copies of an SQLite database, made while it is in use and checked before they count."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from beanft.core.database import utcnow

KEPT = 5
FOLDER = "backups"


class BackupError(Exception):
    """There is no good copy; the message is one sentence."""


def back_up(source: Path, label: str) -> Path:
    """Copy a database to ``backups/LABEL-TIME.sqlite3`` beside it, and keep the newest 5.

    Raises:
        BackupError: it couldn't be copied, or the copy isn't sound.

    """
    folder = source.parent / FOLDER
    target = folder / f"{label}-{utcnow():%Y%m%dT%H%M%SZ}.sqlite3"
    partial = target.with_name(target.name + ".part")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        partial.unlink(missing_ok=True)
        _copy(source, partial)
        _sync(partial)
        partial.rename(target)
        _sync(folder)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            partial.unlink()
        raise BackupError(f"{source} can't be backed up to {folder}: {error}.") from error
    for old in sorted(folder.glob("*.sqlite3"), key=_time)[:-KEPT]:
        old.unlink()
    return target


def _copy(source: Path, target: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as origin,
        closing(sqlite3.connect(target)) as copy,
    ):
        origin.backup(copy)
        # One file that holds it all: the copy is not used, so it needs no write-ahead log.
        copy.execute("PRAGMA journal_mode = DELETE")
        (found,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(f"the copy is damaged ({found}), and so is the database")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _time(path: Path) -> str:
    return path.stem.rpartition("-")[2]

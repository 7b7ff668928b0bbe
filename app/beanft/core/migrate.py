"""Migrations by alembic, for the command line; servers don't import this."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from traceback import walk_tb
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import event

from beanft.config import Access
from beanft.core.backup import BackupError, back_up
from beanft.core.database import WRITE_LOCK, Database, make_engine, postgresql_arguments
from beanft.core.schema_revision import MIGRATIONS, database_revision, shipped

LOCK_SECONDS = 30
STATEMENT_SECONDS = 300
# Not the lock of all who write: on PostgreSQL the release before goes on writing meanwhile.
MIGRATION_LOCK = WRITE_LOCK + 1


class MigrationError(Exception):
    """An upgrade failed and changed nothing; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did: the revisions it applied, and the copy that there is from before."""

    applied: list[str]
    backup: str | None


def _config(url: str, access: Access | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    config.attributes["access"] = access
    return config


def _prepare(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000}")
    # alembic changes a table by dropping it for a changed copy: the rows that refer to it
    # would go as well. References are checked before the commit instead.
    cursor.execute("PRAGMA foreign_keys = OFF")
    cursor.close()


def migration_engine(url: str, access: Access | None = None) -> sa.Engine:
    """Return an engine that waits for locks, and for one statement, within bounds."""
    if sa.make_url(url).get_backend_name() == "postgresql":
        bounds = postgresql_arguments(
            access or Access(), lock_seconds=LOCK_SECONDS, statement_seconds=STATEMENT_SECONDS
        )
        return sa.create_engine(url, connect_args=bounds)
    engine = make_engine(url)
    event.listen(engine, "connect", _prepare)
    return engine


def upgrade(url: str, access: Access | None = None, *, backed_up: str | None = None) -> Upgraded:
    """Bring the database to this release's schema; a newer one is left alone.

    An SQLite database that has a schema is backed up first. A PostgreSQL database is backed up
    by whoever runs the upgrade, who says so. What is pending is applied as a whole or not at all.

    Args:
        url: the database.
        access: how to get at its server.
        backed_up: the name of the backup of a PostgreSQL database.

    Raises:
        BackupError: there is no good copy; nothing was changed.
        MigrationError: a migration failed; nothing was changed.

    """
    with Database(url, access) as database:
        found = database_revision(database)
        steps = pending(database)
        file = None if database.is_postgresql else database.engine.url.database
    backup = None
    if steps and found is not None:
        backup = _backup(file, found, backed_up)
    if steps:
        try:
            command.upgrade(_config(url, access), "head")
        except Exception as error:
            cause = str(getattr(error, "orig", None) or error).partition("\n")[0]
            where = _failing(error) or "An upgrade"
            raise MigrationError(f"{where} failed, and nothing was changed: {cause}.") from error
    return Upgraded(steps, backup)


def _backup(file: str | None, found: str, backed_up: str | None) -> str | None:
    """Back an SQLite file up, or make sure that a PostgreSQL database was backed up."""
    if file is not None:
        return str(back_up(Path(file), found))
    if not backed_up:
        raise BackupError(
            f"This PostgreSQL database is at {found} and this command makes no backup of it: "
            "make one, then say which it is with --backed-up NAME. Nothing was changed."
        )
    return backed_up


def _failing(error: Exception) -> str | None:
    """Return the migration's file in which an error arose."""
    files = (Path(frame.f_code.co_filename) for frame, _line in walk_tb(error.__traceback__))
    return next((path.name for path in files if path.parent == MIGRATIONS / "versions"), None)


def current(database: Database) -> dict[str, Any]:
    """Return the database's revision (None without a schema) and this release's."""
    return {"current": database_revision(database), "head": shipped().head}


def pending(database: Database) -> list[str]:
    """Return the revisions that an upgrade would apply, in order."""
    found = database_revision(database)
    if found is not None and found not in shipped().known:
        return []
    script = ScriptDirectory.from_config(_config(""))
    steps = script.iterate_revisions("head", found or "base")
    return [step.revision for step in steps][::-1]

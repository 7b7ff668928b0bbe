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

from beanft.core.backup import back_up
from beanft.core.database import Database, make_engine
from beanft.core.schema_revision import MIGRATIONS, database_revision, shipped

LOCK_SECONDS = 30
STATEMENT_SECONDS = 300


class MigrationError(Exception):
    """An upgrade failed and changed nothing; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did: the revisions it applied, and the copy it made before."""

    applied: list[str]
    backup: Path | None


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    return config


def _prepare(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000}")
    # alembic changes a table by dropping it for a changed copy: the rows that refer to it
    # would go as well. References are checked before the commit instead.
    cursor.execute("PRAGMA foreign_keys = OFF")
    cursor.close()


def migration_engine(url: str) -> sa.Engine:
    """Return an engine that waits for locks, and for one statement, within bounds."""
    if sa.make_url(url).get_backend_name() == "postgresql":
        bounds = f"-c lock_timeout={LOCK_SECONDS}s -c statement_timeout={STATEMENT_SECONDS}s"
        return sa.create_engine(url, connect_args={"options": bounds})
    engine = make_engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
    return engine


def upgrade(url: str) -> Upgraded:
    """Bring the database to this release's schema; a newer one is left alone.

    An SQLite database that has a schema is backed up first. What is pending is applied as a
    whole or not at all.

    Raises:
        BackupError: there is no good copy; nothing was changed.
        MigrationError: a migration failed; nothing was changed.

    """
    with Database(url) as database:
        found = database_revision(database)
        steps = pending(database)
        file = database.engine.url.database if database.engine.dialect.name == "sqlite" else None
    backup = back_up(Path(file), found) if steps and found is not None and file else None
    if steps:
        try:
            command.upgrade(_config(url), "head")
        except Exception as error:
            cause = getattr(error, "orig", None) or error
            where = _failing(error) or "An upgrade"
            raise MigrationError(f"{where} failed, and nothing was changed: {cause}.") from error
    return Upgraded(steps, backup)


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

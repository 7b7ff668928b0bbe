"""Migrations by alembic, for the command line; servers don't import this."""

from __future__ import annotations

from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from beanft.core.database import Database
from beanft.core.schema_revision import MIGRATIONS, database_revision, shipped


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    return config


def upgrade(url: str) -> None:
    """Bring the database to this release's schema; a newer one is left alone."""
    database = Database(url)
    found = database_revision(database)
    database.close()
    if found is None or found in shipped().known:
        command.upgrade(_config(url), "head")


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

"""Tests on PostgreSQL and Valkey: a database and a queue for each test process.

``BEANFT_TEST_STORES`` names the file that ``bin/stores`` wrote; without it tests run on files.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from beanft.config import Settings, load_settings
from beanft.core import migrate
from beanft.core.database import make_engine
from beanft.core.schema_revision import shipped
from beanft.jobs.queue import open_queue
from beanft.tables import metadata

STORES = os.environ.get("BEANFT_TEST_STORES", "")


class Servers:
    """One test process' database and queue.

    Args:
        number: the test process'.

    """

    def __init__(self, number: int) -> None:
        self.stores: dict[str, Any] = json.loads(Path(STORES).read_text(encoding="utf-8"))
        self.number = number
        self.name = f"test_{number}"
        self.settings = load_settings({"BEANFT_ENVIRONMENT": "test", **self.places()})
        self.make(self.name)
        migrate.upgrade(self.settings.database_url, self.settings.database_access)
        self._engine = self.engine(self.name)
        self._queue = open_queue(self.settings)

    def url(self, name: str) -> str:
        """Return the address of a database."""
        return f"postgresql+psycopg://beanft@{self.stores['database']}/{name}"

    def places(self, name: str | None = None) -> dict[str, str]:
        """Return the settings that lead to a database, this one's by default, and to the queue."""
        return {
            "BEANFT_DATABASE_URL": self.url(name or self.name),
            "BEANFT_DATABASE_CA": self.stores["ca"],
            "BEANFT_QUEUE_URL": f"valkeys://beanft@{self.stores['queue']}/{self.number}",
            "BEANFT_QUEUE_CA": self.stores["ca"],
            "BEANFT_SECRETS_DIR": self.stores["secrets"],
        }

    def engine(self, name: str) -> sa.Engine:
        """Return an engine for a database; each statement is a transaction."""
        engine = make_engine(self.url(name), self.settings.database_access)
        return engine.execution_options(isolation_level="AUTOCOMMIT", beanft_alone=False)

    def make(self, name: str) -> None:
        """Make a database anew, empty and without a schema."""
        self.say("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self.say("postgres", f"CREATE DATABASE {name}")

    def say(self, name: str, statement: str) -> None:
        """Run a statement in a database."""
        engine = self.engine(name)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    def empty(self) -> None:
        """Forget all rows and announcements, in one round; the schema's revision is the newest."""
        names = [table.name for table in reversed(metadata.sorted_tables)]
        statements = [
            *(f"DELETE FROM {name};" for name in names),  # noqa: S608 - of our own tables
            "CREATE TABLE IF NOT EXISTS alembic_version (version_num varchar(32) PRIMARY KEY);",
            "DELETE FROM alembic_version;",
            f"INSERT INTO alembic_version VALUES ('{shipped().head}');",  # noqa: S608
        ]
        with self._engine.connect() as connection:
            connection.exec_driver_sql(
                f"DO $$ BEGIN SET LOCAL client_min_messages = error; {' '.join(statements)} END $$"
            )
        self._queue.huey.storage.flush_queue()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()
        self._queue.close()


def settings_of(places: dict[str, str], **more: str) -> Settings:
    """Return the settings of a test's installation."""
    return load_settings({"BEANFT_ENVIRONMENT": "test", **places, **more})

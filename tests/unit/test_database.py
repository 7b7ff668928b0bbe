"""Transactions lose nothing, and the schema is what the tables say."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from beanft.core import migrate
from beanft.core.database import Database
from beanft.core.schema_revision import database_revision, is_sufficient, shipped
from beanft.tables import metadata
from beanft.users.models import User


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    with database.writing() as writer:
        writer.add(User(email="a@example.org"))
        writer.flush()
        with database.reading() as reader:
            assert reader.scalar(sa.select(sa.func.count()).select_from(User)) == 0


def test_a_reading_session_refuses_to_write(database: Database) -> None:
    with database.reading() as session:
        session.add(User(email="a@example.org"))
        with pytest.raises(RuntimeError, match="only reads"):
            session.flush()


def test_an_exception_rolls_back(database: Database) -> None:
    def fail() -> None:
        with database.writing() as session:
            session.add(User(email="a@example.org"))
            session.flush()
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.reading() as session:
        assert session.scalars(sa.select(User)).all() == []


@pytest.mark.sqlite
def test_pragmas(database: Database) -> None:
    with database.writing() as session:
        for name, value in (("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 2)):
            assert session.execute(sa.text(f"PRAGMA {name}")).scalar() == value


def test_moments_have_zones(database: Database) -> None:
    with database.writing() as session:
        session.add(User(email="a@example.org"))
    with database.reading() as session:
        user = session.scalars(sa.select(User)).one()
        assert user.created_at.tzinfo is not None


def test_the_migrations_make_the_tables_of_the_code(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.sqlite
def test_revisions_pending_current_and_newer(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/new/db.sqlite3")
    assert database_revision(database) is None
    assert not is_sufficient(None)
    assert migrate.pending(database)[-1] == shipped().head
    migrate.upgrade(str(database.engine.url))
    assert migrate.current(database) == {"current": shipped().head, "head": shipped().head}
    assert migrate.pending(database) == []
    with database.writing() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = 'from-the-future'"))
    assert is_sufficient(database_revision(database))
    assert migrate.pending(database) == []
    migrate.upgrade(str(database.engine.url))
    assert database_revision(database) == "from-the-future"
    database.close()

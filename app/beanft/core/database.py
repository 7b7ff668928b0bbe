"""The database: typed models' base class, and transactions that lose no update.

SQLite in WAL with SQLAlchemy's default transactions loses updates silently when several
processes read and then write: the read takes a snapshot and the write goes on from it. So a
transaction that may write begins with ``BEGIN IMMEDIATE``; one that only reads takes no lock
and is refused a flush.
"""

from __future__ import annotations

import datetime as dt
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Session

BUSY_TIMEOUT_SECONDS = 10
UNREACHABLE_CODES = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
    }
)
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def utcnow() -> dt.datetime:
    """Now, with the UTC zone."""
    return dt.datetime.now(dt.UTC)


def new_id() -> str:
    """Return a random id of 20 hex digits: opaque, and safe in an address."""
    return secrets.token_hex(10)


class UtcDateTime(sa.types.TypeDecorator[dt.datetime]):
    """A moment with the UTC zone; SQLite drops the zone, so it is put back on reading."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self, value: dt.datetime | None, dialect: sa.Dialect
    ) -> dt.datetime | None:
        """Refuse moments without a zone, and store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a zone can't be stored")
        return value.astimezone(dt.UTC)

    def process_result_value(
        self, value: dt.datetime | None, dialect: sa.Dialect
    ) -> dt.datetime | None:
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value


class Base(DeclarativeBase):
    """Base class of all tables."""

    metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy declares it so
        dt.datetime: UtcDateTime(),
        dict[str, Any]: sa.JSON(none_as_null=True),
        list[str]: sa.JSON(none_as_null=True),
    }


class ReadOnlySession(Session):
    """A session that may not write: writes need ``Database.writing``."""

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        """Raise if there is anything to write."""
        if self.new or self.dirty or self.deleted:
            raise RuntimeError("this session only reads; use Database.writing()")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # BEGIN is ours to say
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_SECONDS * 1000)}")
    cursor.execute("PRAGMA journal_mode = WAL")
    # In WAL mode, NORMAL may lose what was committed last when a machine loses its power; what
    # a client was told is stored has to be.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    reading = connection.get_execution_options().get("beanft_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def make_engine(url: str) -> sa.Engine:
    """Return an engine for ``url``; for SQLite, make the file's directory too."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


class Database:
    """Opens transactions; one for each process."""

    def __init__(self, url: str) -> None:
        # Late, since tables import this module: foreign keys name tables of other areas.
        import beanft.tables  # noqa: F401 - imported to register them

        self.engine = make_engine(url)
        self._reading_engine = self.engine.execution_options(beanft_reading=True)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One consistent snapshot, without a write lock."""
        with ReadOnlySession(self._reading_engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction that commits at the end, or rolls back on an exception.

        On SQLite it holds the only write lock from its first statement: keep it short, and
        hash passwords or parse files before it.
        """
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close the pooled connections."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        """Use the database for a while."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the pooled connections."""
        self.close()


def is_busy(error: sa.exc.OperationalError) -> bool:
    """True when the database was locked by somebody else for too long."""
    original = error.orig
    return isinstance(original, sqlite3.OperationalError) and "locked" in str(original)


def is_unreachable(error: sa.exc.SQLAlchemyError) -> bool:
    """True when there was no answer from the database: its file or server is gone or broken."""
    if not isinstance(error, sa.exc.DBAPIError):
        return isinstance(error, sa.exc.TimeoutError)  # no connection of the pool got free
    if error.connection_invalidated or isinstance(error, sa.exc.InterfaceError):
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)
    # Of an extended code, the low byte is the kind.
    return code is not None and (code & 0xFF) in UNREACHABLE_CODES

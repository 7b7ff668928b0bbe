"""The database: typed models' base class, and transactions that lose no update.

SQLite in WAL with SQLAlchemy's default transactions loses updates silently when several
processes read and then write: the read takes a snapshot and the write goes on from it. So a
transaction that may write begins with ``BEGIN IMMEDIATE``; one that only reads takes no lock
and is refused a flush.

On PostgreSQL the same holds by other means: what may write takes one lock of the whole database
before anything else, and what only reads is ``REPEATABLE READ, READ ONLY``.
"""

from __future__ import annotations

import datetime as dt
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.orm import DeclarativeBase, Session

from beanft.config import Access

BUSY_TIMEOUT_SECONDS = 10
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 60
IDLE_SECONDS = 60  # within a transaction: whoever died on the way must not hold a lock for ever
# The lock of all who write; any number will do, as long as all take the same one.
WRITE_LOCK = int.from_bytes(b"beanft", "big")
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
# PostgreSQL's: lock not available, cancelled by its timeout, serialization failure, deadlock.
BUSY_STATES = frozenset({"55P03", "57014", "40001", "40P01"})
# And the classes of: connection, login, no such database, no room, shutting down or starting,
# the system's own errors, damage; 25006 is a server that only reads, such as a standby.
UNREACHABLE_CLASSES = frozenset({"08", "28", "3D", "53", "57", "58", "XX"})
READ_ONLY_STATE = "25006"
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


@cache
def _text_dumper() -> Any:
    # Imported late, as all of psycopg: with SQLite there is no need of its memory.
    from psycopg.types.string import StrDumperUnknown

    class WithoutNul(StrDumperUnknown):
        """Replaces NUL, which PostgreSQL's texts can't hold and SQLite's can."""

        def dump(self, obj: str) -> Any:
            """Return a text's bytes."""
            return super().dump(obj.replace("\0", "\ufffd"))

    return WithoutNul


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    connection.adapters.register_dumper(str, _text_dumper())


def _begin_postgresql(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if not options.get("beanft_reading", False) and options.get("beanft_alone", True):
        # The lock comes before the first snapshot, so each sees what the one before committed.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")


def postgresql_arguments(
    access: Access,
    *,
    lock_seconds: float,
    statement_seconds: float = STATEMENT_SECONDS,
) -> dict[str, Any]:
    """Return what a connection is made with besides the address; nothing waits without bounds."""
    bounds = {
        "lock_timeout": lock_seconds,
        "statement_timeout": statement_seconds,
        "idle_in_transaction_session_timeout": IDLE_SECONDS,
    }
    options = [f"-c {name}={int(seconds * 1000)}" for name, seconds in bounds.items()]
    arguments: dict[str, Any] = {
        "application_name": "beanft",
        "connect_timeout": CONNECT_SECONDS,
        # A machine that died says nothing; these notice.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
        "options": " ".join([*options, "-c timezone=UTC"]),
    }
    if access.password is not None:
        arguments["password"] = access.password
    if access.ca is not None:
        arguments |= {"sslmode": "verify-full", "sslrootcert": str(access.ca)}
    return arguments


def make_engine(url: str, access: Access | None = None) -> sa.Engine:
    """Return an engine for ``url``; for SQLite, make the file's directory too."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "postgresql":
        engine = sa.create_engine(
            url,
            connect_args=postgresql_arguments(
                access or Access(), lock_seconds=BUSY_TIMEOUT_SECONDS
            ),
            pool_pre_ping=True,
            pool_timeout=BUSY_TIMEOUT_SECONDS,
        )
        event.listen(engine, "connect", _prepare_postgresql)
        event.listen(engine, "begin", _begin_postgresql)
        return engine
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


class Database:
    """Opens transactions; one for each process.

    Args:
        url: SQLite's file, or PostgreSQL's server.
        access: how to get at the server.

    """

    def __init__(self, url: str, access: Access | None = None) -> None:
        # Late, since tables import this module: foreign keys name tables of other areas.
        import beanft.tables  # noqa: F401 - imported to register them

        self.engine = make_engine(url, access)
        self.is_postgresql = self.engine.dialect.name == "postgresql"
        reading: dict[str, Any] = {"beanft_reading": True}
        if self.is_postgresql:
            reading |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reading_engine = self.engine.execution_options(**reading)
        self._beside_engine = self.engine.execution_options(beanft_alone=False)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One consistent snapshot, without a write lock."""
        with ReadOnlySession(self._reading_engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self, *, alone: bool = True) -> Iterator[Session]:
        """One transaction that commits at the end, or rolls back on an exception.

        It holds the only write lock from its first statement: keep it short, and hash passwords
        or parse files before it.

        Args:
            alone: False for what may run beside others that write, since it takes long and
                changes nothing by what it has read. On SQLite there is no such thing.

        """
        engine = self.engine if alone else self._beside_engine
        with Session(engine, expire_on_commit=False) as session, session.begin():
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


def is_busy(error: sa.exc.SQLAlchemyError) -> bool:
    """True when the database was locked by somebody else for too long."""
    original = getattr(error, "orig", None)
    if getattr(original, "sqlstate", None) in BUSY_STATES:
        return True
    return isinstance(original, sqlite3.OperationalError) and "locked" in str(original)


def is_unreachable(error: sa.exc.SQLAlchemyError) -> bool:
    """True when there was no answer from the database: its file or server is gone or broken."""
    if not isinstance(error, sa.exc.DBAPIError):
        return isinstance(error, sa.exc.TimeoutError)  # no connection of the pool got free
    if error.connection_invalidated or isinstance(error, sa.exc.InterfaceError):
        return True
    if hasattr(error.orig, "sqlstate"):  # psycopg's; one without a state is of the connection
        state = getattr(error.orig, "sqlstate", None)
        if state is None:
            return isinstance(error, sa.exc.OperationalError)
        return state == READ_ONLY_STATE or state[:2] in UNREACHABLE_CLASSES
    code = getattr(error.orig, "sqlite_errorcode", None)
    # Of an extended code, the low byte is the kind.
    return code is not None and (code & 0xFF) in UNREACHABLE_CODES

"""PostgreSQL gives what SQLite gives: no lost updates, bounded waits, and errors that say what to do."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from beanft.config import Access, Settings
from beanft.core import database as core
from beanft.core.database import Database, is_busy, is_unreachable, utcnow
from beanft.security.throttle import Throttle
from beanft.users.models import User
from beanft.users.service import authenticate, register
from beanft.wsgi import create_web
from tests.servers import Servers


def setting(database: Database, name: str) -> str:
    with database.reading() as session:
        return str(session.scalar(sa.text(f"SHOW {name}")))


def test_who_reads_sees_one_state_and_can_not_write(database: Database) -> None:
    count = sa.select(sa.func.count()).select_from(User)
    with database.reading() as reader:
        assert reader.scalar(count) == 0
        with database.writing() as writer:
            writer.add(User(email="a@example.org"))
        assert reader.scalar(count) == 0
        with pytest.raises(sa.exc.InternalError, match="read-only"):
            reader.execute(sa.text("DELETE FROM users"))
    with database.reading() as reader:
        assert reader.scalar(count) == 1


def test_nothing_waits_without_bounds(database: Database) -> None:
    assert setting(database, "lock_timeout") == "10s"
    assert setting(database, "statement_timeout") == "1min"
    assert setting(database, "idle_in_transaction_session_timeout") == "1min"
    assert setting(database, "timezone") == "UTC"


def test_the_connection_is_encrypted(database: Database) -> None:
    with database.reading() as session:
        used = sa.text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert session.scalar(used) is True


def test_a_server_with_another_certificate_is_refused(settings: Settings, tmp_path: Path) -> None:
    """The CA is another one of the same name: what Debian trusts."""
    other = Path("/etc/ssl/certs/ca-certificates.crt")
    assert other.is_file()
    access = dataclasses.replace(settings.database_access, ca=other)
    with Database(settings.database_url, access) as database:
        with pytest.raises(sa.exc.OperationalError, match="certificate verify failed") as caught:
            setting(database, "timezone")
        assert is_unreachable(caught.value)


def test_a_wrong_password_is_not_said_again(settings: Settings) -> None:
    access = Access("hush-hush", settings.database_access.ca)
    with Database(settings.database_url, access) as database:
        with pytest.raises(sa.exc.OperationalError, match="authentication failed") as caught:
            setting(database, "timezone")
        assert is_unreachable(caught.value)
        assert "hush-hush" not in str(caught.value) + repr(access) + repr(database.engine.url)


def test_who_writes_waits_and_gives_up_in_time(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "BUSY_TIMEOUT_SECONDS", 0.2)
    with (
        Database(settings.database_url, settings.database_access) as hasty,
        database.writing() as writer,
    ):
        writer.add(User(email="a@example.org"))
        writer.flush()
        with pytest.raises(sa.exc.OperationalError) as caught, hasty.writing() as session:
            session.add(User(email="b@example.org"))
        assert is_busy(caught.value)
        assert not is_unreachable(caught.value)
        # What may take long and has read nothing runs beside it.
        with hasty.writing(alone=False) as session:
            session.add(User(email="c@example.org"))


def test_who_waited_sees_what_the_one_before_wrote(database: Database) -> None:
    with database.writing() as session:
        session.add(Throttle(key="x", failures=0, window_start=utcnow()))
    begun = threading.Event()
    seen = []

    def second() -> None:
        begun.set()
        with database.writing() as session:
            row = session.get_one(Throttle, "x")
            seen.append(row.failures)

    thread = threading.Thread(target=second)
    with database.writing() as session:
        session.get_one(Throttle, "x").failures = 1
        session.flush()
        thread.start()
        begun.wait()
        time.sleep(0.2)
        assert seen == []
    thread.join()
    assert seen == [1]


def test_a_nul_finds_nobody_and_breaks_nothing(database: Database) -> None:
    register(database, "ada@example.org", "a good long password")
    assert authenticate(database, "ada\0@example.org", "a good long password", "10.0.0.1") is None


def test_a_connection_that_was_cut_is_replaced(database: Database, servers: Servers) -> None:
    assert setting(database, "timezone") == "UTC"
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    servers.say("postgres", f"{cut} AND datname = '{servers.name}'")
    assert setting(database, "timezone") == "UTC"


def test_pages_say_that_the_database_is_away(settings: Settings, nobody: str) -> None:
    url = f"postgresql+psycopg://beanft@{nobody}/x"
    settings = dataclasses.replace(settings, database_url=url, environment="local")
    app = create_web(settings)
    client: Any = app.test_client()
    with client.session_transaction() as session:
        session["token"] = "of somebody who was logged in"
    for path in ("/account", "/"):
        with capture_logs():  # else traces are set in colours, for seconds
            answer = client.get(path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        assert "database doesn&#39;t answer" in answer.text
        assert nobody.rpartition(":")[2] not in answer.text
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["check"]) == (503, "database")
    app.extensions["beanft"].database.close()

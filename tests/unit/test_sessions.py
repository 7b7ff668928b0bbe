"""Sessions: their names for people, and a busy database."""

from __future__ import annotations

import datetime as dt
from unittest import mock

import pytest
import sqlalchemy as sa

from beanft.config import Settings
from beanft.core import database as core
from beanft.core.database import Database, utcnow
from beanft.users import service, sessions
from beanft.users.models import UserSession

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150 Safari/537.36"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605 Version/19 Safari/604"
)


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (CHROME, "Chrome on Linux"),
        (f"{CHROME} Edg/150", "Edge on Linux"),
        (SAFARI, "Safari on iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0; rv:150) Gecko/1 Firefox/150", "Firefox on Windows"),
        ("curl/8.1", "curl"),
        ("Something (Android)", "Android"),
        ("x" * 120, "x" * 40),
        ("", "unknown"),
    ],
)
def test_a_browser_has_a_name(user_agent: str, name: str) -> None:
    assert sessions.browser_name(user_agent) == name


def begin(database: Database) -> str:
    user = service.register(database, "ada@example.org", "a good long password")
    return sessions.begin_session(database, user.id, sessions.Visitor("10.0.0.1", CHROME), 14)


def test_a_session_is_noted_as_seen_and_expires(database: Database) -> None:
    token = begin(database)
    long_ago = utcnow() - dt.timedelta(hours=1)
    with database.writing() as session:
        session.execute(sa.update(UserSession).values(seen_at=long_ago))
    assert sessions.find_session(database, token) is not None
    with database.writing() as session:
        held = session.scalars(sa.select(UserSession)).one()
        assert held.seen_at > long_ago
        held.expires_at = long_ago
    assert sessions.find_session(database, token) is None
    assert sessions.find_session(database, token + "x") is None


def test_a_page_is_shown_when_nobody_can_write(settings: Settings, database: Database) -> None:
    token = begin(database)
    with database.writing() as session:
        session.execute(sa.update(UserSession).values(seen_at=utcnow() - dt.timedelta(hours=1)))
    with mock.patch.object(core, "BUSY_TIMEOUT_SECONDS", 0.05):
        impatient = Database(settings.database_url, settings.database_access)
        with database.writing() as session:
            session.execute(sa.update(UserSession).values(browser="held by a writer"))
            assert sessions.find_session(impatient, token) is not None
        impatient.close()

"""API keys: scopes, expiry, and a ring that remembers."""

from __future__ import annotations

import datetime as dt
import time

import pytest
import sqlalchemy as sa

from beanft.core.database import Database, utcnow
from beanft.core.errors import InvalidError
from beanft.users import keys, service
from beanft.users.models import ApiKey, User

WEEK = dt.timedelta(days=7)


@pytest.fixture
def user(database: Database) -> User:
    """Somebody."""
    return service.register(database, "ada@example.org", "a good long password")


def test_a_key_without_scopes_may_do_everything(database: Database, user: User) -> None:
    key, secret = keys.make_key(database, user.id, "report")
    ring = keys.KeyRing(database, 5)
    assert ring.principal(secret) == keys.Principal(user.id, key.id, keys.ALL_SCOPES)
    assert ring.principal(secret + "x") is None


def test_a_key_may_do_what_it_was_made_for(database: Database, user: User) -> None:
    _key, secret = keys.make_key(database, user.id, "report", ["predict", "models:read"], WEEK)
    principal = keys.KeyRing(database, 5).principal(secret)
    assert principal is not None
    assert principal.scopes == {"predict", "models:read"}


@pytest.mark.parametrize(
    ("name", "scopes", "life", "field"),
    [
        (" ", None, None, "name"),
        ("x" * 81, None, None, "name"),
        ("x", [], None, "scopes"),
        ("x", ["predict", "everything"], None, "scopes"),
        ("x", None, dt.timedelta(0), "life"),
    ],
)
def test_wrong_keys_are_refused_by_field(
    database: Database,
    user: User,
    name: str,
    scopes: list[str] | None,
    life: dt.timedelta | None,
    field: str,
) -> None:
    with pytest.raises(InvalidError) as caught:
        keys.make_key(database, user.id, name, scopes, life)
    assert [error["field"] for error in caught.value.errors] == [field]


def test_an_expired_key_is_refused_within_the_rings_seconds(database: Database, user: User) -> None:
    key, secret = keys.make_key(database, user.id, "report", life=WEEK)
    ring = keys.KeyRing(database, 0.2)
    assert ring.principal(secret) is not None
    with database.writing() as session:
        session.execute(sa.update(ApiKey).values(expires_at=utcnow()))
    assert ring.principal(secret) is not None  # remembered
    time.sleep(0.25)
    assert ring.principal(secret) is None
    with database.writing() as session:
        session.get_one(ApiKey, key.id).expires_at = utcnow() + WEEK
    assert ring.principal(secret) is not None


def test_the_ring_asks_the_database_once(database: Database, user: User) -> None:
    _key, secret = keys.make_key(database, user.id, "report", ["predict"], WEEK)
    ring = keys.KeyRing(database, 60)
    first = ring.principal(secret)
    asked: list[str] = []
    sa.event.listen(
        database.engine, "before_cursor_execute", lambda *call: asked.append(str(call[2]))
    )
    assert all(ring.principal(secret) is first for _ in range(1000))
    assert asked == []


def test_twenty_usable_keys_and_no_more(database: Database, user: User) -> None:
    made = [keys.make_key(database, user.id, str(number))[0] for number in range(keys.MOST_KEYS)]
    with pytest.raises(InvalidError, match="Revoke one first"):
        keys.make_key(database, user.id, "one more")
    with database.writing() as session:
        session.get_one(ApiKey, made[0].id).expires_at = utcnow()
    keys.revoke_key(database, user.id, made[1].id)
    for name in ("in its place", "and in its"):
        keys.make_key(database, user.id, name)
    listed = keys.keys_of(database, user.id)
    assert {key.id for key in listed[-2:]} == {made[0].id, made[1].id}

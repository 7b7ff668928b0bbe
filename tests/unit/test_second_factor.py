"""Time-based codes and recovery codes: each is right once, for its own person."""

from __future__ import annotations

import datetime as dt
import re
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
import sqlalchemy as sa

from beanft.core.database import Database
from beanft.core.errors import ConflictError, InvalidError, ThrottledError
from beanft.security import throttle
from beanft.users import second_factor, service
from beanft.users.models import RecoveryCode, User

NOW = dt.datetime(2026, 5, 4, 12, 0, 7, tzinfo=dt.UTC)
STEP = dt.timedelta(seconds=30)
HERE = "10.0.0.1"


@pytest.fixture
def user(database: Database) -> User:
    """Somebody who has begun."""
    user = service.register(database, "ada@example.org", "a good long password")
    second_factor.begin(database, user.id)
    return found(database, user)


def found(database: Database, user: User) -> User:
    now = service.find_user(database, user.id)
    assert now is not None
    return now


def code(user: User, moment: dt.datetime) -> str:
    assert user.totp_secret is not None
    return pyotp.TOTP(user.totp_secret).at(moment)


def on(database: Database, user: User) -> list[str]:
    return second_factor.enable(database, user.id, code(user, NOW), now=NOW)


def test_codes_are_those_of_the_standard() -> None:
    # RFC 6238, appendix B, SHA-1, cut to six digits.
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for seconds, digits in ((59, "287082"), (1111111109, "081804"), (2000000000, "279037")):
        moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
        step = second_factor._matching_step(secret, digits, moment, -1)
        assert step == seconds // 30


def test_it_is_on_only_after_a_right_code(database: Database, user: User) -> None:
    assert user.totp_enabled_at is None
    wrong = f"{(int(code(user, NOW)) + 1) % 1_000_000:06}"
    with pytest.raises(InvalidError) as caught:
        second_factor.enable(database, user.id, wrong, now=NOW)
    assert caught.value.errors[0]["field"] == "code"
    assert found(database, user).totp_enabled_at is None
    codes = on(database, user)
    assert found(database, user).totp_enabled_at == NOW
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"([a-z2-7]{4}-){5}[a-z2-7]{4}", text) for text in codes)
    with pytest.raises(ConflictError):
        on(database, user)
    with pytest.raises(ConflictError):
        second_factor.begin(database, user.id)


def test_a_code_is_right_once_and_for_about_a_minute(database: Database, user: User) -> None:
    on(database, user)
    # The one that turned it on was seen.
    assert not second_factor.accept(database, user.id, code(user, NOW), HERE, now=NOW)
    later = NOW + 10 * STEP
    spaced = code(user, later)[:3] + " " + code(user, later)[3:]
    assert second_factor.accept(database, user.id, spaced, HERE, now=later)
    assert not second_factor.accept(database, user.id, spaced, HERE, now=later)
    before = code(user, later - STEP)  # older than the one that was taken
    assert not second_factor.accept(database, user.id, before, HERE, now=later)
    much = later + 20 * STEP
    for drift, right in ((-2, False), (-1, True), (2, False), (1, True)):
        offered = code(user, much + drift * STEP)
        assert second_factor.accept(database, user.id, offered, HERE, now=much) is right, drift


def test_a_recovery_code_is_right_once_and_for_its_person(database: Database, user: User) -> None:
    codes = on(database, user)
    other = service.register(database, "bob@example.org", "a good long password")
    second_factor.begin(database, other.id)
    on(database, found(database, other))
    assert not second_factor.accept(database, other.id, codes[0], HERE, now=NOW)
    assert second_factor.accept(database, user.id, f" {codes[0].upper()} ", HERE, now=NOW)
    assert not second_factor.accept(database, user.id, codes[0], HERE, now=NOW)
    assert second_factor.codes_left(database, user.id) == 9
    with database.reading() as session:
        kept = session.scalars(sa.select(RecoveryCode.code_hash)).all()
    assert not set(kept) & {text.replace("-", "") for text in codes}
    renewed = second_factor.renew_codes(database, user.id)
    assert not second_factor.accept(database, user.id, codes[1], HERE, now=NOW)
    assert second_factor.accept(database, user.id, renewed[1], HERE, now=NOW)


def test_guesses_are_throttled_apart_from_the_password(database: Database, user: User) -> None:
    on(database, user)
    for _ in range(throttle.USER_FAILURES):
        assert not second_factor.accept(database, user.id, "000000", HERE, now=NOW)
        # Whoever knows the password can't clear this count with it.
        throttle.forgive(database, user.email, HERE)
    later = NOW + 5 * STEP
    with pytest.raises(ThrottledError):
        second_factor.accept(database, user.id, code(user, later), "10.0.0.2", now=later)
    after = NOW + throttle.WINDOW + STEP
    assert second_factor.accept(database, user.id, code(user, after), HERE, now=after)


def test_off_forgets_everything(database: Database, user: User) -> None:
    codes = on(database, user)
    second_factor.disable(database, user.id)
    now = found(database, user)
    assert (now.totp_secret, now.totp_enabled_at) == (None, None)
    assert second_factor.codes_left(database, user.id) == 0
    assert not second_factor.accept(database, user.id, codes[0], HERE, now=NOW)
    with pytest.raises(ConflictError):
        second_factor.renew_codes(database, user.id)
    with pytest.raises(ConflictError):
        on(database, user)
    with pytest.raises(InvalidError):
        second_factor.confirm(database, user.id, codes[0], HERE, now=NOW)
    # The next secret begins anew, also within the same half minute.
    second_factor.begin(database, user.id)
    assert len(on(database, found(database, user))) == 10


def test_what_an_app_reads(database: Database, user: User) -> None:
    address = urlsplit(second_factor.address_for_app(user))
    assert (address.scheme, address.netloc) == ("otpauth", "totp")
    assert parse_qs(address.query) == {"secret": [user.totp_secret], "issuer": ["beanft"]}
    svg = second_factor.qr_svg(user)
    assert svg.startswith("<svg")
    assert "style=" not in svg
    assert "viewBox" in svg

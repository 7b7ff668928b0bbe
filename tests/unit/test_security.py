"""Passwords, redirects, throttling, files."""

from __future__ import annotations

import datetime as dt
import io
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from beanft.core.database import Database, utcnow
from beanft.core.errors import NotFoundError, ThrottledError, TooLargeError
from beanft.security import password_rules, throttle
from beanft.security.passwords import hash_password, verify_password
from beanft.security.redirects import safe_next
from beanft.security.throttle import Throttle
from beanft.storage.files import FileStorage, undone_on_error


def test_passwords_are_argon2id_with_these_parameters() -> None:
    encoded = hash_password("a good long password")
    assert encoded.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify_password(encoded, "a good long password")
    assert not verify_password(encoded, "another password")
    assert not verify_password(None, "nobody's password")


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short", "10 to 200"),
        ("x" * 201, "10 to 200"),
        ("qwertyuiop", "easy to guess"),
        ("1234567890", "easy to guess"),
        ("password12", "easy to guess"),
        ("Passw0rd1!!", "easy to guess"),
        ("iloveyou123", "easy to guess"),
        ("aaaaaaaaaaaaaaaaaaaa", "easy to guess"),
        ("password" * 25, "easy to guess"),
        ("beanftbeanft", "easy to guess"),
        ("beanft2026x", "this site's name"),
        ("ada.lovelace@example.org", "your address"),
        ("lovelace1815", "your address"),
        ("example.org", "your address"),
    ],
)
def test_passwords_that_everybody_tries_are_refused(password: str, said: str) -> None:
    problem = password_rules.problem(password, "ada.lovelace@example.org")
    assert problem is not None
    assert said in problem


@pytest.mark.parametrize(
    "password",
    [
        "a good long password",
        "correct horse battery staple",
        "tr0ub4dor&3x",
        "no digits nor capitals",
        "пароль из четырёх слов",
        "  spaces   count  ",
        "🐢🐇🦊🐝🦉🐌🐙🦀🐠🐋",
        "jf8w9ekc0q" * 20,
    ],
)
def test_no_composition_is_asked_and_nothing_is_cut_off(password: str) -> None:
    assert password_rules.problem(password, "ada@example.org") is None
    encoded = hash_password(password)
    assert verify_password(encoded, password)
    assert not verify_password(encoded, password[:-1])


@pytest.mark.parametrize(
    "text", ["4@8({[<369!1|0$57+%2" * 4, "a1" * 100, "4(@130!5$7" * 20, "\0" * 200]
)
def test_judging_a_password_takes_no_time(text: str) -> None:
    password_rules.problem("the lists are loaded", "")
    began = time.process_time()
    password_rules.problem(text, "a@example.org")
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "javascript:x",
        "",
        None,
        "/\t/x",
        "\t//evil.example",
        " //evil.example",
        "///evil.example",
        "/\\/evil.example",
        "\\\\evil.example",
        "http:evil.example",
        "//evil.example@beanft.example",
        "/\n/evil.example",
        "/x\r\nSet-Cookie: a=b",
        "data:text/html,x",
        "evil.example",
        "?next=//evil.example",
        "#//evil.example",
    ],
)
def test_next_stays_on_the_site(target: str | None) -> None:
    assert safe_next(target, "/home") == "/home"


def test_next_may_be_a_path() -> None:
    assert safe_next("/models/1?a=b", "/home") == "/models/1?a=b"


def test_an_account_is_closed_after_five_failures_and_opens_again(database: Database) -> None:
    for number in range(throttle.USER_FAILURES):
        throttle.count_attempt(database, "ada@example.org", f"10.0.0.{number}")
    with pytest.raises(ThrottledError) as caught:
        throttle.count_attempt(database, "ada@example.org", "10.0.0.9")
    assert 0 < int(caught.value.headers["Retry-After"]) <= 901
    throttle.count_attempt(database, "bob@example.org", "10.0.0.9")
    with database.writing() as session:
        session.execute(
            sa.update(Throttle).values(window_start=utcnow() - dt.timedelta(minutes=16))
        )
    throttle.count_attempt(database, "ada@example.org", "10.0.0.9")


def test_an_address_is_closed_after_thirty_failures(database: Database) -> None:
    for number in range(throttle.ADDRESS_FAILURES):
        throttle.count_attempt(database, f"user{number}@example.org", "10.0.0.1")
    with pytest.raises(ThrottledError):
        throttle.count_attempt(database, "new@example.org", "10.0.0.1")


def test_a_right_password_is_forgiven(database: Database) -> None:
    for _ in range(3 * throttle.ADDRESS_FAILURES):
        throttle.count_attempt(database, "ada@example.org", "10.0.0.1")
        throttle.forgive(database, "ada@example.org", "10.0.0.1")


def test_all_log_ins_together_are_slowed_down_and_not_closed(database: Database) -> None:
    now = utcnow()
    later = now + throttle.GLOBAL_DRAIN
    for number in range(throttle.GLOBAL_FAILURES):
        throttle.count_attempt(database, f"u{number}@example.org", f"10.1.{number // 9}.1", now=now)
    with pytest.raises(ThrottledError) as caught:
        throttle.count_attempt(database, "new@example.org", "10.0.0.1", now=now)
    assert int(caught.value.headers["Retry-After"]) <= 10
    # 3 seconds later there is room for one, whoever it is.
    throttle.count_attempt(database, "new@example.org", "10.0.0.1", now=later)
    with pytest.raises(ThrottledError):
        throttle.count_attempt(database, "other@example.org", "10.0.0.1", now=later)
    # One that was right makes room again.
    throttle.forgive(database, "new@example.org", "10.0.0.1")
    throttle.count_attempt(database, "other@example.org", "10.0.0.1", now=later)
    # What was refused was not counted: the account is as before.
    for _ in range(throttle.USER_FAILURES):
        throttle.count_attempt(database, "new@example.org", "10.0.0.1", now=later + throttle.WINDOW)


def test_files_are_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    kept = storage.save("datasets", "csv", io.BytesIO(b"abc"), most=3)
    with storage.open(kept.key) as stream:
        assert stream.read() == b"abc"
    with pytest.raises(TooLargeError):
        storage.save("datasets", "csv", io.BytesIO(b"abcd"), most=3)
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == [kept.key.split("/")[1]]
    with pytest.raises(ZeroDivisionError), undone_on_error(storage, kept.key):
        _ = 1 / 0
    assert storage.stamp(kept.key) is None
    storage.delete(kept.key)


@pytest.mark.parametrize("key", ["../x", "datasets/../../etc/passwd", "/etc/passwd", "x"])
def test_only_keys_that_the_storage_made_are_opened(tmp_path: Path, key: str) -> None:
    with pytest.raises(NotFoundError):
        FileStorage(tmp_path).open(key)

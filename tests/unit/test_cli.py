"""Commands: what they print, and how they end."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyotp
import pytest

from beanft.cli.main import main
from beanft.core.database import Database
from beanft.users import second_factor, service


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installation without a schema; returns its database's address."""
    url = f"sqlite:///{tmp_path}/db/beanft.sqlite3"
    monkeypatch.setenv("BEANFT_ENVIRONMENT", "test")
    monkeypatch.setenv("BEANFT_DATABASE_URL", url)
    monkeypatch.setenv("BEANFT_STORAGE_PATH", str(tmp_path / "files"))
    return url


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> object:
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    return json.loads(out)


def test_a_new_installation_step_by_step(
    installation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pending = run(capsys, "db", "pending")
    assert isinstance(pending, list)
    head = pending[-1]
    assert run(capsys, "db", "current") == {"current": None, "head": head}
    done = {"current": head, "head": head, "backup": None}
    assert run(capsys, "db", "upgrade") == {**done, "applied": pending}
    assert run(capsys, "db", "upgrade") == {**done, "applied": []}
    assert run(capsys, "db", "current") == {"current": head, "head": head}
    assert run(capsys, "db", "pending") == []
    first = run(capsys, "models", "ensure-sample")
    assert isinstance(first, dict)
    assert set(first) == {"name", "version", "sha256", "changed"}
    assert run(capsys, "models", "ensure-sample") == {**first, "changed": False}


def test_accounts_by_link_and_by_standard_input(
    installation: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(capsys, "db", "upgrade")
    made = run(capsys, "users", "create", "Ada@example.org")
    assert isinstance(made, dict)
    assert made["email"] == "ada@example.org"
    database = Database(installation)
    token = made["link"].removeprefix("/welcome/")
    assert service.use_link(database, token, "a good long password").email == "ada@example.org"

    monkeypatch.setattr("sys.stdin", io.StringIO("another good password\n"))
    made = run(capsys, "users", "create", "bob@example.org", "--password-stdin")
    assert isinstance(made, dict)
    assert "link" not in made
    assert service.authenticate(database, "bob@example.org", "another good password", "10.0.0.1")
    database.close()

    assert main(["users", "create", "bob@example.org"]) == 1
    assert "Log in instead" in capsys.readouterr().err


def test_who_lost_the_password_or_the_second_factor_comes_in_again(
    installation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "db", "upgrade")
    with Database(installation) as database:
        ada = service.register(database, "ada@example.org", "a good long password")
        second_factor.begin(database, ada.id)
        secret = service.user_by_email(database, "ada@example.org").totp_secret
        assert secret is not None
        second_factor.enable(database, ada.id, pyotp.TOTP(secret).now())

        kept = run(capsys, "users", "recover", "Ada@example.org")
        assert isinstance(kept, dict)
        assert (kept["email"], kept["second_factor"]) == ("ada@example.org", True)
        token = kept["link"].removeprefix("/welcome/")
        service.use_link(database, token, "another good password")
        assert service.user_by_email(database, "ada@example.org").totp_enabled_at is not None

        off = run(capsys, "users", "recover", "ada@example.org", "--without-second-factor")
        assert isinstance(off, dict)
        assert off["second_factor"] is False
        now = service.user_by_email(database, "ada@example.org")
        assert (now.totp_enabled_at, now.totp_secret) == (None, None)
        assert second_factor.codes_left(database, ada.id) == 0
        # Nobody can use a code of before, and the password is the one that the first link set.
        assert service.authenticate(
            database, "ada@example.org", "another good password", "10.0.0.1"
        )


@pytest.mark.parametrize(
    ("email", "words"),
    [
        ("nobody@example.org", "no account with the address nobody@example.org"),
        ("nobody", "not an e-mail address"),
    ],
)
def test_nobody_is_recovered(
    installation: str, capsys: pytest.CaptureFixture[str], email: str, words: str
) -> None:
    run(capsys, "db", "upgrade")
    assert main(["users", "recover", email]) == 1
    assert words in capsys.readouterr().err

"""Commands: what they print, and how they end."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from beanft.cli.main import main
from beanft.core.database import Database
from beanft.users import service


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

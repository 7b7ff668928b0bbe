"""Settings, and the refusal to start without a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from beanft.cli.main import main
from beanft.config import ConfigError, load_settings


@pytest.mark.parametrize("environment", ["local", "staging", "production"])
def test_no_start_without_the_secret(environment: str, tmp_path: Path) -> None:
    env = {"BEANFT_ENVIRONMENT": environment, "BEANFT_SECRETS_DIR": str(tmp_path)}
    with pytest.raises(ConfigError, match="refuses to start") as caught:
        load_settings(env)
    assert "\n" not in str(caught.value)
    (tmp_path / "beanft_secret_key").write_text("short")
    with pytest.raises(ConfigError, match="shorter"):
        load_settings(env)
    (tmp_path / "beanft_secret_key").write_text("s" * 40 + "\n")
    settings = load_settings(env)
    assert settings.secret_key == "s" * 40
    assert settings.cookie_secure
    assert "sss" not in repr(settings)


def test_the_command_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BEANFT_ENVIRONMENT", "production")
    monkeypatch.setenv("BEANFT_SECRETS_DIR", str(tmp_path))
    assert main(["serve", "web"]) == 78
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BEANFT_ENVIRONMENT", "prod"),
        ("BEANFT_PORT", "http"),
        ("BEANFT_PORT", "80.5"),
        ("BEANFT_DRAIN_SECONDS", "-1"),
        ("BEANFT_DRAIN_SECONDS", "nan"),
        ("BEANFT_COOKIE_SECURE", "maybe"),
        ("BEANFT_UPLOAD_MAX_BYTES", "0"),
    ],
)
def test_wrong_settings_are_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load_settings({name: value})


def test_limits_and_cookies_can_be_set() -> None:
    settings = load_settings({"BEANFT_UPLOAD_MAX_BYTES": "5", "BEANFT_COOKIE_SECURE": "true"})
    assert settings.limits.upload_max_bytes == 5
    assert settings.cookie_secure
    assert load_settings({}).limits.upload_max_bytes == 120_000_000
    assert load_settings({}).secret_key != load_settings({}).secret_key


@pytest.fixture
def servers(tmp_path: Path) -> dict[str, str]:
    """Settings of an installation in production on PostgreSQL and Valkey."""
    for name in ("beanft_secret_key", "beanft_database_password", "beanft_queue_password"):
        (tmp_path / name).write_text("s" * 40 + "\n")
    (tmp_path / "ca.pem").touch()
    return {
        "BEANFT_ENVIRONMENT": "production",
        "BEANFT_SECRETS_DIR": str(tmp_path),
        "BEANFT_DATABASE_URL": "postgresql+psycopg://beanft@db.example.org/beanft",
        "BEANFT_DATABASE_CA": str(tmp_path / "ca.pem"),
        "BEANFT_QUEUE_URL": "valkeys://beanft@queue.example.org/0",
        "BEANFT_QUEUE_CA": str(tmp_path / "ca.pem"),
    }


def test_servers_are_reached_by_password_and_certificate(servers: dict[str, str]) -> None:
    settings = load_settings(servers)
    for access in (settings.database_access, settings.queue_access):
        assert access.password == "s" * 40
        assert access.ca == Path(servers["BEANFT_DATABASE_CA"])
    assert settings.queue_url == servers["BEANFT_QUEUE_URL"]
    assert "sss" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BEANFT_DATABASE_URL", "postgresql://beanft@db/beanft", "must look like"),
        ("BEANFT_DATABASE_URL", "postgresql+psycopg://db/beanft", "must look like"),
        ("BEANFT_DATABASE_URL", "postgresql+psycopg://beanft@db", "must look like"),
        ("BEANFT_DATABASE_URL", "postgresql+psycopg://beanft@db:x/beanft", "must look like"),
        ("BEANFT_DATABASE_URL", "postgresql+psycopg://beanft:pw@db/beanft", "has a password"),
        ("BEANFT_DATABASE_URL", "postgresql+psycopg://b@db/b?sslmode=disable", "has options"),
        ("BEANFT_DATABASE_URL", "sqlite:////var/lib/x.sqlite3", "BEANFT_DATABASE_CA is for"),
        ("BEANFT_DATABASE_CA", "", "without BEANFT_DATABASE_CA"),
        ("BEANFT_DATABASE_CA", "/nowhere.pem", "there is no such file"),
        ("BEANFT_QUEUE_URL", "redis://beanft@queue/0", "must look like"),
        ("BEANFT_QUEUE_URL", "valkeys://beanft@queue/x", "must look like"),
        ("BEANFT_QUEUE_URL", "valkeys://queue/0", "must look like"),
        ("BEANFT_QUEUE_URL", "valkeys://beanft:pw@queue/0", "has a password"),
        ("BEANFT_QUEUE_URL", "valkey://beanft@queue/0", "must begin with valkeys"),
        ("BEANFT_QUEUE_URL", "", "BEANFT_QUEUE_CA is for Valkey"),
        ("BEANFT_QUEUE_CA", "", "without BEANFT_QUEUE_CA"),
        ("BEANFT_QUEUE_PATH", "/var/lib/queue.sqlite3", "exclude each other"),
    ],
)
def test_bad_addresses_of_servers(
    servers: dict[str, str], name: str, value: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load_settings({**servers, name: value})
    assert "pw" not in str(caught.value)
    assert "BEANFT_" in str(caught.value)


@pytest.mark.parametrize("name", ["beanft_database_password", "beanft_queue_password"])
def test_no_start_without_a_servers_password(servers: dict[str, str], name: str) -> None:
    (Path(servers["BEANFT_SECRETS_DIR"]) / name).unlink()
    with pytest.raises(ConfigError, match="refuses to start") as caught:
        load_settings(servers)
    assert name in str(caught.value)


def test_postgresql_is_for_several_machines_and_so_is_its_queue(servers: dict[str, str]) -> None:
    for name in ("BEANFT_QUEUE_URL", "BEANFT_QUEUE_CA"):
        del servers[name]
    with pytest.raises(ConfigError, match="set BEANFT_QUEUE_URL"):
        load_settings(servers)
    servers["BEANFT_ENVIRONMENT"] = "test"
    assert load_settings(servers).queue_url is None

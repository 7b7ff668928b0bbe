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

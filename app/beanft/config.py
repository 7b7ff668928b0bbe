"""Settings, read once from the environment and from secret files.

A frozen dataclass and not pydantic-settings: the API has to start in about a second, and
importing pydantic alone takes a good part of that.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ENVIRONMENTS = ("development", "test", "local", "staging", "production")
RELAXED_ENVIRONMENTS = ("development", "test")
SECRET_KEY_FILE = "beanft_secret_key"  # noqa: S105 - the name of a file, not a secret
SECRET_KEY_MIN_CHARS = 32


class ConfigError(Exception):
    """A setting is missing or wrong; the message is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds on what people may send.

    Sizes are bytes, lengths are characters.
    """

    upload_max_bytes: int = 120_000_000
    upload_max_rows: int = 2_000_000
    upload_max_columns: int = 200
    cell_max_chars: int = 10_000
    api_max_bytes: int = 10_000_000
    predict_max_rows: int = 100_000
    api_requests_per_minute: int = 60_000  # of one key, in one process
    datasets_per_user: int = 100
    storage_per_user_bytes: int = 1_000_000_000
    active_jobs_per_user: int = 5


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs between two installations."""

    environment: str
    secret_key: str = field(repr=False)
    host: str = "0.0.0.0"  # noqa: S104 - in a container; the network decides who gets here
    port: int = 8000
    database_url: str = "sqlite:////var/lib/beanft/db/beanft.sqlite3"
    queue_path: Path = Path("/var/lib/beanft/db/queue.sqlite3")
    storage_path: Path = Path("/var/lib/beanft/files")
    run_dir: Path = Path("/run/beanft")
    drain_seconds: float = 3.0
    cookie_secure: bool = True
    version: str = "0.0.0"
    revision: str = "unknown"
    web_threads: int = 4
    session_days: int = 14
    lease_seconds: float = 30.0
    worker_grace_seconds: float = 10.0
    fit_max_seconds: float = 900.0
    key_cache_seconds: float = 5.0
    model_cache_size: int = 256
    limits: Limits = field(default_factory=Limits)

    @property
    def relaxed(self) -> bool:
        """True where a missing secret or an unencrypted cookie is acceptable."""
        return self.environment in RELAXED_ENVIRONMENTS


def _number(env: Mapping[str, str], name: str, default: float, *, least: float = 0) -> float:
    text = env.get(name, "")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(f"{name} must be a number, not {text!r}.") from None
    if not least <= value < float("inf"):
        raise ConfigError(f"{name} must be at least {least:g}, not {text}.")
    return value


def _integer(env: Mapping[str, str], name: str, default: int, *, least: int = 1) -> int:
    value = _number(env, name, default, least=least)
    if value != int(value):
        raise ConfigError(f"{name} must be a whole number, not {env[name]}.")
    return int(value)


def _boolean(env: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = env.get(name, "").strip().lower()
    if not text:
        return default
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off"}:
        return False
    raise ConfigError(f"{name} must be true or false, not {text!r}.")


def _secret_key(env: Mapping[str, str], environment: str) -> str:
    path = Path(env.get("BEANFT_SECRETS_DIR") or "/run/secrets") / SECRET_KEY_FILE
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError:
        secret = ""
    if not secret:
        if environment in RELAXED_ENVIRONMENTS:
            return secrets.token_urlsafe(48)
        raise ConfigError(
            f"beanft refuses to start in {environment!r} without its secret key: "
            f"put at least {SECRET_KEY_MIN_CHARS} random characters in {path}."
        )
    if len(secret) < SECRET_KEY_MIN_CHARS and environment not in RELAXED_ENVIRONMENTS:
        raise ConfigError(
            f"The secret key in {path} is shorter than {SECRET_KEY_MIN_CHARS} characters."
        )
    return secret


def _limits(env: Mapping[str, str]) -> Limits:
    preset = Limits()

    def limit(name: str) -> int:
        return _integer(env, f"BEANFT_{name.upper()}", int(getattr(preset, name)))

    return Limits(**{name: limit(name) for name in Limits.__dataclass_fields__})


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from ``env`` (default: the process environment).

    Raises:
        ConfigError: a setting can't be used, or the secret key is missing outside
            development and test.

    """
    env = os.environ if env is None else env
    environment = env.get("BEANFT_ENVIRONMENT") or "development"
    if environment not in ENVIRONMENTS:
        raise ConfigError(
            f"BEANFT_ENVIRONMENT must be one of {', '.join(ENVIRONMENTS)}, not {environment!r}."
        )
    preset = Settings(environment=environment, secret_key="")
    return Settings(
        environment=environment,
        secret_key=_secret_key(env, environment),
        host=env.get("BEANFT_HOST") or preset.host,
        port=_integer(env, "BEANFT_PORT", preset.port),
        database_url=env.get("BEANFT_DATABASE_URL") or preset.database_url,
        queue_path=Path(env.get("BEANFT_QUEUE_PATH") or preset.queue_path),
        storage_path=Path(env.get("BEANFT_STORAGE_PATH") or preset.storage_path),
        run_dir=Path(env.get("BEANFT_RUN_DIR") or preset.run_dir),
        drain_seconds=_number(env, "BEANFT_DRAIN_SECONDS", preset.drain_seconds),
        cookie_secure=_boolean(
            env, "BEANFT_COOKIE_SECURE", default=environment not in RELAXED_ENVIRONMENTS
        ),
        version=env.get("BEANFT_VERSION") or preset.version,
        revision=env.get("BEANFT_REVISION") or preset.revision,
        web_threads=_integer(env, "BEANFT_WEB_THREADS", preset.web_threads),
        session_days=_integer(env, "BEANFT_SESSION_DAYS", preset.session_days),
        lease_seconds=_number(env, "BEANFT_LEASE_SECONDS", preset.lease_seconds, least=1),
        worker_grace_seconds=_number(
            env, "BEANFT_WORKER_GRACE_SECONDS", preset.worker_grace_seconds
        ),
        fit_max_seconds=_number(env, "BEANFT_FIT_MAX_SECONDS", preset.fit_max_seconds, least=1),
        key_cache_seconds=_number(env, "BEANFT_KEY_CACHE_SECONDS", preset.key_cache_seconds),
        model_cache_size=_integer(env, "BEANFT_MODEL_CACHE_SIZE", preset.model_cache_size),
        limits=_limits(env),
    )

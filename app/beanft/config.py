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
from urllib.parse import SplitResult, urlsplit

ENVIRONMENTS = ("development", "test", "local", "staging", "production")
RELAXED_ENVIRONMENTS = ("development", "test")
SECRET_KEY_FILE = "beanft_secret_key"  # noqa: S105 - the name of a file, not a secret
SECRET_KEY_MIN_CHARS = 32
DATABASE_PASSWORD_FILE = "beanft_database_password"  # noqa: S105 - likewise
QUEUE_PASSWORD_FILE = "beanft_queue_password"  # noqa: S105 - likewise


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
class Access:
    """How a server knows us and we know it: the password, and the CA that its certificate is of."""

    password: str | None = field(default=None, repr=False)
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs between two installations."""

    environment: str
    secret_key: str = field(repr=False)
    host: str = "0.0.0.0"  # noqa: S104 - in a container; the network decides who gets here
    port: int = 8000
    metrics_port: int = 0  # of a worker, which serves nobody but Prometheus; 0: none
    database_url: str = "sqlite:////var/lib/beanft/db/beanft.sqlite3"
    database_access: Access = field(default_factory=Access)
    queue_path: Path = Path("/var/lib/beanft/db/queue.sqlite3")
    queue_url: str | None = None  # of Valkey; without one the queue is the file above
    queue_access: Access = field(default_factory=Access)
    storage_path: Path = Path("/var/lib/beanft/files")
    file_cache_bytes: int = 1_000_000_000
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


def _password(env: Mapping[str, str], file: str) -> str | None:
    path = Path(env.get("BEANFT_SECRETS_DIR") or "/run/secrets") / file
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _ca(env: Mapping[str, str], name: str) -> Path | None:
    text = env.get(name)
    if not text:
        return None
    if not Path(text).is_file():
        raise ConfigError(f"{name} names {text}, and there is no such file.")
    return Path(text)


def _server(name: str, text: str, form: str) -> SplitResult:
    """Take a server's address apart; what is secret, or weakens the connection, isn't in it."""
    problem = ConfigError(f"{name} must look like {form}.")
    try:
        found = urlsplit(text)
        port = found.port
    except ValueError:
        raise problem from None
    if found.password is not None:
        raise ConfigError(f"{name} has a password in it: put that into a secret file instead.")
    if not found.username or not found.hostname or not found.path.strip("/") or port == 0:
        raise problem
    if found.query or found.fragment:
        raise ConfigError(f"{name} has options behind its path: {form} is all that it may say.")
    return found


def _access(
    env: Mapping[str, str], what: str, file: str, environment: str, *, encrypted: bool = True
) -> Access:
    """Return how to get at a server; outside development and test it has to be the safe way.

    Args:
        env: the environment.
        what: begins the names of the server's settings.
        file: the name of the password's file.
        environment: where this runs.
        encrypted: whether the address says that the connection is to be.

    """
    access = Access(_password(env, file), _ca(env, f"{what}_CA"))
    if environment in RELAXED_ENVIRONMENTS:
        return access
    if access.password is None:
        folder = env.get("BEANFT_SECRETS_DIR") or "/run/secrets"
        raise ConfigError(
            f"beanft refuses to start in {environment!r} without the password for {what}_URL: "
            f"put it in {folder}/{file}."
        )
    if not encrypted:
        raise ConfigError(f"{what}_URL must begin with valkeys:// in {environment!r}: with TLS.")
    if access.ca is None:
        raise ConfigError(
            f"beanft refuses to start in {environment!r} without {what}_CA: "
            f"name the file with the CA of the server in {what}_URL."
        )
    return access


def check_database_url(name: str, text: str) -> bool:
    """Return whether an address is PostgreSQL's.

    Args:
        name: what the address is the value of.
        text: the address.

    Raises:
        ConfigError: it is neither PostgreSQL's nor SQLite's, or says what it may not.

    """
    if text.startswith("sqlite:///"):
        return False
    form = "postgresql+psycopg://USER@HOST/DATABASE"
    if not text.startswith("postgresql+psycopg://"):
        raise ConfigError(f"{name} must look like {form} or sqlite:///FILE.")
    _server(name, text, form)
    return True


def _database(env: Mapping[str, str], environment: str, preset: str) -> tuple[str, Access]:
    url = env.get("BEANFT_DATABASE_URL") or preset
    if check_database_url("BEANFT_DATABASE_URL", url):
        return url, _access(env, "BEANFT_DATABASE", DATABASE_PASSWORD_FILE, environment)
    if env.get("BEANFT_DATABASE_CA"):
        raise ConfigError("BEANFT_DATABASE_CA is for PostgreSQL; BEANFT_DATABASE_URL names none.")
    return url, Access()


def _queue(
    env: Mapping[str, str], environment: str, database_url: str
) -> tuple[str | None, Access]:
    url = env.get("BEANFT_QUEUE_URL")
    if not url:
        if env.get("BEANFT_QUEUE_CA"):
            raise ConfigError("BEANFT_QUEUE_CA is for Valkey; there is no BEANFT_QUEUE_URL.")
        if environment not in RELAXED_ENVIRONMENTS and not database_url.startswith("sqlite"):
            raise ConfigError(
                f"beanft refuses to start in {environment!r} with PostgreSQL and a queue in a "
                "file, which other machines don't see: set BEANFT_QUEUE_URL."
            )
        return None, Access()
    if env.get("BEANFT_QUEUE_PATH"):
        raise ConfigError("BEANFT_QUEUE_URL and BEANFT_QUEUE_PATH exclude each other: set one.")
    form = "valkeys://USER@HOST/NUMBER"
    if not url.startswith(("valkeys://", "valkey://")):
        raise ConfigError(f"BEANFT_QUEUE_URL must look like {form}.")
    found = _server("BEANFT_QUEUE_URL", url, form)
    if not found.path[1:].isdecimal():
        raise ConfigError(f"BEANFT_QUEUE_URL must look like {form}.")
    encrypted = found.scheme == "valkeys"
    access = _access(env, "BEANFT_QUEUE", QUEUE_PASSWORD_FILE, environment, encrypted=encrypted)
    if access.ca is not None and not encrypted:
        raise ConfigError("BEANFT_QUEUE_CA is for valkeys://; BEANFT_QUEUE_URL has no TLS.")
    return url, access


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
    secret_key = _secret_key(env, environment)
    database_url, database_access = _database(env, environment, preset.database_url)
    queue_url, queue_access = _queue(env, environment, database_url)
    return Settings(
        environment=environment,
        secret_key=secret_key,
        host=env.get("BEANFT_HOST") or preset.host,
        port=_integer(env, "BEANFT_PORT", preset.port),
        metrics_port=_integer(env, "BEANFT_METRICS_PORT", preset.metrics_port, least=0),
        database_url=database_url,
        database_access=database_access,
        queue_path=Path(env.get("BEANFT_QUEUE_PATH") or preset.queue_path),
        queue_url=queue_url,
        queue_access=queue_access,
        storage_path=Path(env.get("BEANFT_STORAGE_PATH") or preset.storage_path),
        file_cache_bytes=_integer(env, "BEANFT_FILE_CACHE_BYTES", preset.file_cache_bytes),
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

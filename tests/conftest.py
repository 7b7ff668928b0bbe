"""Fixtures: a migrated database, both applications, people, and a trained model."""

from __future__ import annotations

import dataclasses
import functools
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings as hypothesis_settings
from jinja2 import BytecodeCache, FileSystemBytecodeCache
from werkzeug.test import TestResponse

from beanft.config import Settings
from beanft.core.database import Database
from beanft.extensions import NAME, Site
from beanft.storage.choose import open_storage
from beanft.storage.files import Storage
from beanft.training.models import Model
from beanft.training.sample import SAMPLES
from beanft.users import keys, service
from beanft.users.models import User
from tests.kept import Kept, KeptFiles, KeptRows
from tests.servers import STORES, Servers, settings_of

# Tests don't fail by the clock: a machine may be busy. And a change is judged by the same examples as the one before;
# FULL=1 looks for others, each time.
hypothesis_settings.register_profile(
    "beanft", deadline=None, derandomize=os.environ.get("FULL", "0") in ("", "0")
)
hypothesis_settings.load_profile("beanft")

PASSWORD = "a good long password"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file; tests copy it, since migrating takes longer than copying."""
    from beanft.core import migrate

    path = tmp_path_factory.mktemp("database") / "empty.sqlite3"
    migrate.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def servers(worker_id: str) -> Iterator[Servers]:
    """The database and the queue of this test process, on servers."""
    found = Servers(int(worker_id.removeprefix("gw")) if worker_id != "master" else 0)
    yield found
    found.close()


@pytest.fixture
def places(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, str]:
    """Where an installation of the test's own keeps what it keeps, as the environment says it."""
    files = {"BEANFT_STORAGE_PATH": f"{tmp_path}/files"}
    if STORES:
        servers: Servers = request.getfixturevalue("servers")
        servers.empty()
        return {**files, **servers.places()}
    (tmp_path / "db").mkdir()
    shutil.copy(request.getfixturevalue("empty_database"), tmp_path / "db" / "beanft.sqlite3")
    return {
        **files,
        "BEANFT_DATABASE_URL": f"sqlite:///{tmp_path}/db/beanft.sqlite3",
        "BEANFT_QUEUE_PATH": f"{tmp_path}/db/queue.sqlite3",
        "BEANFT_SECRETS_DIR": f"{tmp_path}/secrets",
    }


@pytest.fixture
def settings(tmp_path: Path, places: dict[str, str]) -> Settings:
    """Settings of an installation of the test's own."""
    return settings_of(
        places,
        BEANFT_RUN_DIR=f"{tmp_path}/run",
        BEANFT_VERSION="1.2.3",
        BEANFT_REVISION="0123abcd",
        BEANFT_KEY_CACHE_SECONDS="0.2",
        BEANFT_UPLOAD_MAX_BYTES="1000000",
        BEANFT_API_MAX_BYTES="1000000",
        BEANFT_PREDICT_MAX_ROWS="1000",
    )


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The test's database."""
    database = Database(settings.database_url, settings.database_access)
    yield database
    database.close()


@pytest.fixture
def storage(settings: Settings, database: Database) -> Storage:
    """Where the test's files are."""
    return open_storage(settings, database)


@pytest.fixture
def kept_files(settings: Settings, database: Database) -> Kept:
    """The same behind the application's back."""
    return KeptRows(database) if STORES else KeptFiles(settings.storage_path)


def _close(app: Flask) -> None:
    site: Site = app.extensions[NAME]
    if "recorder" in site.__dict__:
        site.recorder.close()
    site.database.close()
    if "queue" in site.__dict__:
        site.queue.close()


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> BytecodeCache:
    """What templates were compiled to: else each test would do that again, a quarter of its time."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def web(settings: Settings, compiled_templates: BytecodeCache) -> Iterator[Flask]:
    """The pages' application."""
    from beanft.wsgi import create_web

    app = create_web(settings)
    app.jinja_env.bytecode_cache = compiled_templates
    yield app
    _close(app)


@pytest.fixture
def api(settings: Settings) -> Iterator[Flask]:
    """The API's application."""
    from beanft.wsgi import create_api

    app = create_api(settings)
    yield app
    _close(app)


@pytest.fixture
def site(web: Flask) -> Site:
    """The pages' services."""
    found: Site = web.extensions[NAME]
    return found


class Browser:
    """A visitor: keeps cookies and sends a page's CSRF token with its forms."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str, **options: Any) -> TestResponse:
        """Fetch a page."""
        return self.client.get(path, **options)

    def token(self, page: str) -> str:
        """Return a page's CSRF token."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page).text)
        assert found, f"{page} has no form"
        return found.group(1)

    def post(
        self, path: str, data: dict[str, Any] | None = None, *, page: str = "/login", **options: Any
    ) -> TestResponse:
        """Send a form; the token is the session's, so any page of it will do."""
        token = self.token(page)
        return self.client.post(path, data={"csrf_token": token, **(data or {})}, **options)

    def upload(self, content: bytes, name: str = "data.csv") -> TestResponse:
        """Upload a file as a data set."""
        return self.post("/datasets", {"file": (io.BytesIO(content), name)}, page="/account")


@pytest.fixture
def visitor(web: Flask) -> Browser:
    """Somebody who isn't logged in."""
    return Browser(web.test_client())


@pytest.fixture
def make_user(database: Database) -> Callable[[str], User]:
    """Return a function that registers somebody."""
    return lambda email: service.register(database, email, PASSWORD)


@pytest.fixture
def log_in(web: Flask, make_user: Callable[[str], User]) -> Callable[[str], tuple[User, Browser]]:
    """Return a function that registers somebody and logs them in, in a browser of their own."""

    def act(email: str) -> tuple[User, Browser]:
        user = make_user(email)
        browser = Browser(web.test_client())
        answer = browser.post("/login", {"email": email, "password": PASSWORD})
        assert answer.status_code == 302
        return user, browser

    return act


@pytest.fixture
def ada(log_in: Callable[[str], tuple[User, Browser]]) -> tuple[User, Browser]:
    """Ada, logged in."""
    return log_in("ada@example.org")


@pytest.fixture
def bob(log_in: Callable[[str], tuple[User, Browser]]) -> tuple[User, Browser]:
    """Bob, logged in."""
    return log_in("bob@example.org")


def _quiet(_percent: int, _message: str, _results: Any) -> None:
    """Report progress to nobody."""


@functools.cache
def train_file(content: bytes, target: str, estimator: str = "logistic_regression") -> Any:
    """Train on a file's bytes, from all columns; remembered, since fits take their time."""
    from beanft.ml.csv_text import CsvLimits
    from beanft.ml.plan import Plan, suggest_task
    from beanft.ml.profile import profile_csv
    from beanft.ml.train import train

    profile = profile_csv(io.BytesIO(content), CsvLimits())
    column = profile.column(target)
    assert column is not None
    features = tuple(column.name for column in profile.columns if column.name != target)
    plan = Plan(target, features, (estimator,), suggest_task(column, profile.rows))
    models: list[Any] = []
    train(io.BytesIO(content), profile, plan, CsvLimits(), _quiet, models.append)
    return models[0]


@pytest.fixture(scope="session")
def iris() -> Any:
    """The iris model, trained once."""
    return train_file((SAMPLES / "iris.csv").read_bytes(), "species")


@pytest.fixture(scope="session")
def train() -> Callable[..., Any]:
    """Return ``train_file``."""
    return train_file


@pytest.fixture
def make_model(database: Database, storage: Storage) -> Callable[..., Model]:
    """Return a function that stores a trained model for somebody, with more fields if given."""

    def act(trained: Any, user_id: str | None, **fields: Any) -> Model:
        kept = storage.save("models", "onnx", io.BytesIO(trained.content), most=10**9)
        known = {
            "name": "iris",
            "estimator": "logistic_regression",
            "task": trained.schema.task,
            "schema_data": trained.schema.to_dict(),
            "metrics": trained.metrics,
            **fields,
        }
        model = Model(
            user_id=user_id, storage_key=kept.key, sha256=kept.sha256, size=kept.size, **known
        )
        with database.writing() as session:
            session.add(model)
        return model

    return act


@pytest.fixture
def sample(database: Database, storage: Storage) -> dict[str, Any]:
    """Release the sample model."""
    from beanft.training.sample import ensure_sample

    return ensure_sample(database, storage)


@dataclasses.dataclass
class Caller:
    """A program with a key: sends requests to the API."""

    client: FlaskClient
    key: str
    key_id: str
    user: User

    def get(self, path: str) -> TestResponse:
        """Fetch something."""
        return self.client.get(path, headers=self.headers)

    def post(self, path: str, **options: Any) -> TestResponse:
        """Send something."""
        headers = {**self.headers, **options.pop("headers", {})}
        return self.client.post(path, headers=headers, **options)

    @property
    def headers(self) -> dict[str, str]:
        """Its authorization."""
        return {"Authorization": f"Bearer {self.key}"}


@pytest.fixture
def caller(api: Flask, database: Database, make_user: Callable[[str], User]) -> Caller:
    """Carol's program."""
    user = make_user("carol@example.org")
    key, secret = keys.make_key(database, user.id, "test")
    return Caller(api.test_client(), secret, key.id, user)

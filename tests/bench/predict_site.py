"""An installation of beanft to measure: database, account, key and models, as production has them."""

from __future__ import annotations

import io
import json
import random
import secrets
import shutil
import sys
from dataclasses import dataclass
from typing import Any

from predict_servers import API_PYTHON, ROOT, WORK, Server

sys.path.insert(0, str(ROOT / "app"))

from beanft.config import Settings, load_settings
from beanft.core import migrate
from beanft.core.database import Database
from beanft.jobs.models import Job
from beanft.jobs.queue import open_queue
from beanft.ml.csv_text import CsvLimits
from beanft.ml.plan import Plan
from beanft.ml.profile import profile_csv
from beanft.ml.schema import Feature, Schema
from beanft.storage.files import FileStorage
from beanft.training.models import Model
from beanft.training.service import start_training
from beanft.uploader.service import add_dataset
from beanft.users import keys, service

ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
SAMPLE = ROOT / "app/beanft/samples/iris.csv"


@dataclass(frozen=True)
class Installation:
    """Where it is, its key, and its models' ids by name."""

    environment: dict[str, str]
    user_id: str
    key: str
    models: dict[str, str]
    settings: Settings

    @property
    def headers(self) -> dict[str, str]:
        """Who calls."""
        return {"Authorization": f"Bearer {self.key}"}

    def path(self, name: str) -> str:
        """Return the address of a model's predictions."""
        return f"/api/v1/models/{self.models[name]}/predictions"

    def command(self, service: str) -> list[str]:
        """Return what starts a service in its container; the API has the packages of its image."""
        python = str(API_PYTHON) if service == "api" else sys.executable
        return [python, "-m", "beanft", "serve", service]

    def web(self) -> Server:
        """Return the pages' server."""
        environment = {**self.environment, "BEANFT_PORT": "{port}"}
        return Server("web", self.command("web"), environment, "/login", {}, ready=b"</html>")

    def api(self, name: str, body: dict[str, Any]) -> Server:
        """Return the API's server, started as in its container."""
        environment = {**self.environment, "BEANFT_PORT": "{port}"}
        return Server(
            "beanft", self.command("api"), environment, self.path(name), body, self.headers
        )


def schema() -> Schema:
    """Return iris's schema."""
    with SAMPLE.open("rb") as stream:
        profile = profile_csv(stream, CsvLimits())
    features = tuple(
        Feature(column.name, "number", column.least, column.most, column.least)
        for column in profile.columns
        if column.name in ROW
    )
    return Schema(features, "species", ("setosa", "versicolor", "virginica"))


def install(copies: int) -> Installation:
    """Make an installation with both estimators' models, and ``copies`` of the first."""
    home = WORK / "site"
    shutil.rmtree(home, ignore_errors=True)
    (home / "secrets").mkdir(parents=True)
    (home / "secrets/beanft_secret_key").write_text(secrets.token_urlsafe(48))
    environment = {
        "PYTHONPATH": str(ROOT / "app"),
        "BEANFT_ENVIRONMENT": "production",
        "BEANFT_HOST": "127.0.0.1",
        "BEANFT_DATABASE_URL": f"sqlite:///{home}/db/beanft.sqlite3",
        "BEANFT_QUEUE_PATH": f"{home}/db/queue.sqlite3",
        "BEANFT_STORAGE_PATH": f"{home}/files",
        "BEANFT_RUN_DIR": f"{home}/run",
        "BEANFT_SECRETS_DIR": f"{home}/secrets",
        "BEANFT_DRAIN_SECONDS": "0",
        # One key sends what thousands would.
        "BEANFT_API_REQUESTS_PER_MINUTE": "100000000",
        "BEANFT_COOKIE_SECURE": "false",
    }
    settings = load_settings(environment)
    migrate.upgrade(settings.database_url)
    storage = FileStorage(settings.storage_path)
    found: dict[str, str] = {}
    with Database(settings.database_url) as database:
        user = service.register(database, "bench@example.org", secrets.token_urlsafe(16))
        _key, secret = keys.make_key(database, user.id, "bench")
        for name in ("logistic_regression", "random_forest", *map(str, range(copies))):
            estimator = "logistic_regression" if name.isdigit() else name
            content = (WORK / f"{estimator}.onnx").read_bytes()
            kept = storage.save("models", "onnx", io.BytesIO(content), most=10**9)
            model = Model(
                user_id=user.id,
                name=name,
                estimator=estimator,
                schema_data=schema().to_dict(),
                metrics={"accuracy": 1.0},
                storage_key=kept.key,
                sha256=kept.sha256,
                size=kept.size,
            )
            with database.writing() as session:
                session.add(model)
            found[name] = model.id
    return Installation(environment, user.id, secret, found, settings)


def rows_json(count: int) -> bytes:
    """Return a body of that many rows."""
    rows = [{**ROW, "sepal_length": 4.3 + index % 36 / 10} for index in range(count)]
    return json.dumps({"rows": rows}).encode()


def rows_csv(count: int) -> bytes:
    """Return a CSV file of that many rows."""
    lines = [
        f"{4.3 + index % 36 / 10:.1f},3.5,{1 + index % 59 / 10:.1f},0.2" for index in range(count)
    ]
    return "\r\n".join([",".join(ROW), *lines, ""]).encode()


def start_fit(site: Installation) -> str:
    """Queue a training that takes a while: 100 trees, 20 000 rows, 20 columns of noise."""
    noise = random.Random(0)  # noqa: S311 - no secret
    names = [f"n{index}" for index in range(20)]
    lines = [",".join([*names, "y"])]
    for _ in range(20_000):
        cells = [f"{noise.random():.4f}" for _ in names]
        lines.append(",".join([*cells, noise.choice("abcde")]))
    content = io.BytesIO("\n".join(lines).encode())
    settings = site.settings
    storage = FileStorage(settings.storage_path)
    plan = Plan.from_dict(
        {"target": "y", "features": names, "estimator": "random_forest", "seed": 0}
    )
    with Database(settings.database_url) as database:
        dataset = add_dataset(
            database,
            storage,
            settings.limits,
            user_id=site.user_id,
            name="noise.csv",
            source=content,
        )
        queue = open_queue(settings)
        return start_training(database, queue, settings.limits, dataset, plan).id


def job_state(site: Installation, job_id: str) -> str:
    """Return how far a training is."""
    with Database(site.settings.database_url) as database, database.reading() as session:
        job = session.get_one(Job, job_id)
        return job.state

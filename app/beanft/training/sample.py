"""The released sample model: trained on the shipped iris data by the code that trains all."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from beanft.core.database import Database, utcnow
from beanft.ml.csv_text import CsvLimits
from beanft.ml.golden import make_golden
from beanft.ml.plan import Plan
from beanft.ml.predict import OnnxModel, sha256_hex
from beanft.ml.profile import profile_csv
from beanft.storage.files import Storage
from beanft.training.models import Model

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
TRAIN_FILE = "iris.csv"
TEST_FILE = "iris_TEST.csv"
SAMPLE_NAME = "iris"
TARGET = "species"
GOLDEN_ROWS = 9


def _golden_rows() -> tuple[list[str], list[list[str]]]:
    """Take every third held-out row: a few of each species."""
    with (SAMPLES / TEST_FILE).open(newline="", encoding="utf-8") as stream:
        header, *rows = list(csv.reader(stream))
    return header, rows[::3][:GOLDEN_ROWS]


def _report(model: Model, *, changed: bool) -> dict[str, Any]:
    return {
        "name": model.released_name,
        "version": model.version,
        "sha256": model.sha256,
        "changed": changed,
    }


def _released(database: Database) -> Model | None:
    with database.reading() as session:
        return session.scalar(sa.select(Model).where(Model.released_name == SAMPLE_NAME))


def ensure_sample(database: Database, storage: Storage) -> dict[str, Any]:
    """Release the sample model unless there is one.

    Returns:
        ``name``, ``version``, ``sha256`` and ``changed``.

    """
    found = _released(database)
    if found is not None:
        return _report(found, changed=False)
    # Imported late: only the worker has scikit-learn.
    from beanft.ml.train import Trained, train

    limits = CsvLimits()
    with (SAMPLES / TRAIN_FILE).open("rb") as stream:
        profile = profile_csv(stream, limits)
        names = tuple(column.name for column in profile.columns if column.name != TARGET)
        plan = Plan(TARGET, names, ("logistic_regression",))
    models: list[Trained] = []
    with (SAMPLES / TRAIN_FILE).open("rb") as stream:
        train(stream, profile, plan, limits, lambda *_: None, models.append)
    (trained,) = models
    checksum = sha256_hex(trained.content)
    golden = make_golden(OnnxModel(trained.content, trained.schema), checksum, *_golden_rows())
    kept = storage.save("models", "onnx", io.BytesIO(trained.content), most=10_000_000)
    golden_bytes = json.dumps(golden, indent=1).encode()
    beside = storage.save("golden", "json", io.BytesIO(golden_bytes), most=10_000_000)
    now = utcnow()
    model = Model(
        user_id=None,
        name="Iris species (sample)",
        version=1,
        estimator=plan.estimator,
        schema_data=trained.schema.to_dict(),
        metrics=trained.metrics,
        score=trained.metrics["score"]["value"],
        cv_score=trained.metrics["cv"]["mean"],
        is_current=True,
        dataset_name=TRAIN_FILE,
        storage_key=kept.key,
        sha256=kept.sha256,
        size=kept.size,
        released_at=now,
        released_name=SAMPLE_NAME,
        golden_key=beside.key,
    )
    try:
        with database.writing() as session:
            session.add(model)
    except sa.exc.IntegrityError:
        # Another deploy released it in the meantime; that one counts.
        for key in (kept.key, beside.key):
            storage.delete(key)
        found = _released(database)
        if found is None:
            raise
        return _report(found, changed=False)
    return _report(model, changed=True)

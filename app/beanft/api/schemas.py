"""What the API's JSON looks like. The OpenAPI document (``api.openapi``) says the same."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from beanft.jobs.models import Job
from beanft.ml.plan import Plan
from beanft.ml.profile import ColumnProfile
from beanft.training.models import Model
from beanft.training.progress import STOPPED, UNFINISHED, WAITING
from beanft.training.series import held_out_score, series_id
from beanft.uploader.models import Dataset

JSON = "application/json"
CSV = "text/csv"


def _moment(value: dt.datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def dataset_summary(dataset: Dataset) -> dict[str, Any]:
    """Return a data set as in a list."""
    return {
        "id": dataset.id,
        "name": dataset.name,
        "rows": dataset.row_count,
        "columns": dataset.column_count,
        "created_at": dataset.created_at.isoformat(),
    }


def _column(column: ColumnProfile) -> dict[str, Any]:
    return {
        "name": column.name,
        "kind": column.kind,
        "integer": column.integer,
        "missing": column.missing,
        "distinct": column.distinct,
        "counts": column.counts,
        "least": column.least,
        "most": column.most,
        "mean": column.mean,
        "std": column.std,
        "quantiles": column.quantiles,
    }


def dataset_detail(dataset: Dataset) -> dict[str, Any]:
    """Return a data set with its columns, and what tells whether it is what was sent."""
    profile = dataset.profile
    return {
        **dataset_summary(dataset),
        "sha256": dataset.sha256,
        "size": dataset.size,
        "profile": {
            "delimiter": profile.dialect.delimiter,
            "encoding": profile.dialect.encoding,
            "header": profile.dialect.header,
            "columns": [_column(column) for column in profile.columns],
            "preview": profile.preview,
        },
    }


def training_summary(job: Job) -> dict[str, Any]:
    """Return a training as in a list."""
    plan = Plan.from_dict(job.plan_data)
    return {
        "id": job.id,
        "name": job.name,
        "state": job.state,
        "progress": job.progress,
        "message": job.message,
        "dataset": job.dataset_id,
        "target": plan.target,
        "task": plan.task,
        "model": job.model_id,
        "created_at": job.created_at.isoformat(),
        "started_at": _moment(job.started_at),
        "finished_at": _moment(job.finished_at),
    }


def _result(found: Mapping[str, Any], *, active: bool) -> dict[str, Any]:
    state = found.get("state", WAITING)
    return {
        "estimator": found["estimator"],
        "state": STOPPED if not active and state in UNFINISHED else state,
        "cv": found.get("cv"),
        "score": found.get("score"),
        "seconds": found.get("seconds"),
        "message": found.get("message") or "",
        "model": found.get("model_id"),
    }


def training_detail(job: Job) -> dict[str, Any]:
    """Return a training with what is known of each estimator so far, in the plan's order."""
    plan = Plan.from_dict(job.plan_data)
    known = {entry.get("estimator"): entry for entry in (job.results or {}).get("estimators", [])}
    return {
        **training_summary(job),
        "features": list(plan.features),
        "estimators": [
            _result(known.get(name, {"estimator": name}), active=job.active)
            for name in plan.estimators
        ],
    }


def _score(model: Model) -> dict[str, Any]:
    name = "r2" if model.task == "regression" else "accuracy"
    return {"name": name, "value": held_out_score(model), "cv": model.cv_score}


def model_summary(model: Model) -> dict[str, Any]:
    """Return a model as in a list."""
    score = _score(model)
    return {
        "id": model.id,
        "name": model.name,
        "series": series_id(model),
        "version": model.version,
        "current": model.is_current or model.series_id is None,
        "task": model.task,
        "estimator": model.estimator,
        "target": model.schema_data["target"],
        "score": score,
        "accuracy": score["value"] if score["name"] == "accuracy" else None,
        "dataset": model.dataset_id,
        "training": model.job_id,
        "released": model.released_at is not None,
        "created_at": model.created_at.isoformat(),
    }


def model_detail(model: Model) -> dict[str, Any]:
    """Return a model with its schema, measures and the checksum of its artefact."""
    return {
        **model_summary(model),
        "schema": model.schema.to_dict(),
        "metrics": model.metrics,
        "notes": model.notes,
        "dataset_name": model.dataset_name,
        "dataset_sha256": model.dataset_sha256,
        "sha256": model.sha256,
        "size": model.size,
    }

"""The schemas that operations share."""

from __future__ import annotations

from typing import get_args

from beanft.api.asking import MOST_LIMIT, PRESET_LIMIT
from beanft.api.openapi.parts import (
    ID,
    MOMENT,
    NULLABLE_ID,
    NUMBER,
    SHA256,
    Json,
    nullable,
    parameter,
    record,
)
from beanft.ml.plan import ESTIMATOR_NAMES
from beanft.ml.schema import Task
from beanft.training.progress import STOPPED

TASK: Json = {"type": "string", "enum": list(get_args(Task))}
STATE: Json = {
    "type": "string",
    "enum": ["queued", "running", "succeeded", "failed", "cancelled"],
}
KIND: Json = {"type": "string", "enum": ["number", "text"]}
TEXT: Json = {"type": "string"}
TEXTS: Json = {"type": "array", "items": {"type": "string"}}
COUNT: Json = {"type": "integer", "minimum": 0}
FLAG: Json = {"type": "boolean"}


def estimator_schema() -> Json:
    """Return the schema of an estimator's key."""
    return {"type": "string", "examples": list(ESTIMATOR_NAMES)[:1]}


def problem() -> Json:
    """Return the schema of an error."""
    where = {
        "message": {"type": "string", "description": "What is wrong, for people."},
        "field": {"type": "string", "description": "The parameter or the body's field."},
        "row": {"type": "integer", "description": "The data row, counted from 1."},
        "line": {"type": "integer", "description": "The file's line, counted from 1."},
        "column": {"type": "string", "description": "The table's column."},
    }
    entry = record(where, optional=["field", "row", "line", "column"])
    return record(
        {
            "type": {"type": "string", "format": "uri-reference", "examples": ["about:blank"]},
            "title": {"type": "string", "description": "The status in words."},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "What is wrong and what to do."},
            "request_id": {"type": "string", "description": "What the operator finds it by."},
            "errors": {"type": "array", "items": entry, "maxItems": 100},
        },
        optional=["errors"],
        description="An error (RFC 9457).",
    )


def _dataset_schemas() -> Json:
    summary = {
        "id": ID,
        "name": {**TEXT, "examples": ["iris.csv"]},
        "rows": COUNT,
        "columns": COUNT,
        "created_at": MOMENT,
    }
    column = {
        "name": TEXT,
        "kind": KIND,
        "integer": {**FLAG, "description": "All of its numbers are whole."},
        "missing": {**COUNT, "description": "Rows without a value."},
        "distinct": {
            "type": ["integer", "null"],
            "description": "Different values; null if there are more than 50.",
        },
        "counts": {
            "type": ["object", "null"],
            "additionalProperties": COUNT,
            "description": "The rows of each value; null if there are more than 50 values.",
        },
        "least": NUMBER,
        "most": NUMBER,
        "mean": NUMBER,
        "std": NUMBER,
        "quantiles": {
            "type": ["array", "null"],
            "items": {"type": "number"},
            "description": "Minimum, nine deciles, maximum.",
        },
    }
    profile = {
        "delimiter": {**TEXT, "examples": [","]},
        "encoding": {**TEXT, "examples": ["utf-8"]},
        "header": {**FLAG, "description": "The first line has the columns' names."},
        "columns": {"type": "array", "items": record(column)},
        "preview": {"type": "array", "items": TEXTS, "description": "The first ten rows."},
    }
    detail = {**summary, "sha256": SHA256, "size": COUNT, "profile": record(profile)}
    return {"Dataset": record(summary), "DatasetDetail": record(detail)}


def _training_schemas() -> Json:
    summary = {
        "id": ID,
        "name": TEXT,
        "state": STATE,
        "progress": {"type": "integer", "minimum": 0, "maximum": 100, "description": "Percent."},
        "message": {**TEXT, "description": "What is being done, or why it failed."},
        "dataset": ID,
        "target": TEXT,
        "task": TASK,
        "model": {**NULLABLE_ID, "description": "The best of its models, once it succeeded."},
        "created_at": MOMENT,
        "started_at": nullable(MOMENT),
        "finished_at": nullable(MOMENT),
    }
    cv = record(
        {"scores": {"type": "array", "items": NUMBER}, "mean": NUMBER, "std": NUMBER},
        optional=["scores", "mean", "std"],
        description="The scores in cross-validation.",
    )
    result = {
        "estimator": estimator_schema(),
        "state": {"type": "string", "enum": ["waiting", "running", "done", "failed", STOPPED]},
        "cv": {"oneOf": [cv, {"type": "null"}]},
        "score": {**NUMBER, "description": "Accuracy or R2 on rows that were held out."},
        "seconds": NUMBER,
        "message": TEXT,
        "model": NULLABLE_ID,
    }
    detail = {
        **summary,
        "features": TEXTS,
        "estimators": {"type": "array", "items": record(result)},
    }
    return {"Training": record(summary), "TrainingDetail": record(detail)}


def _model_schemas() -> Json:
    score = record(
        {
            "name": {"type": "string", "enum": ["accuracy", "r2"]},
            "value": {**NUMBER, "description": "On rows that were held out."},
            "cv": {**NUMBER, "description": "The mean in cross-validation."},
        }
    )
    summary = {
        "id": ID,
        "name": TEXT,
        "series": {**ID, "description": "Works in place of an id, for the current version."},
        "version": {"type": "integer", "minimum": 1},
        "current": {**FLAG, "description": "It answers where its series is asked."},
        "task": TASK,
        "estimator": estimator_schema(),
        "target": TEXT,
        "score": score,
        "accuracy": NUMBER,
        "dataset": NULLABLE_ID,
        "training": NULLABLE_ID,
        "released": {**FLAG, "description": "Everybody may use it; nobody owns it."},
        "created_at": MOMENT,
    }
    feature = record(
        {
            "name": TEXT,
            "kind": KIND,
            "integer": {**FLAG, "description": "All numbers in training were whole."},
            "least": NUMBER,
            "most": NUMBER,
            "median": NUMBER,
            "edges": {"type": "array", "items": {"type": "number"}},
            "values": {**TEXTS, "description": "The values of a text column in training."},
            "shares": {"type": "array", "items": {"type": "number"}},
        },
        optional=["integer", "least", "most", "median", "edges", "values", "shares"],
    )
    schema = record(
        {
            "features": {"type": "array", "items": feature},
            "target": TEXT,
            "classes": {**TEXTS, "description": "Empty for a regression."},
            "task": TASK,
        }
    )
    detail = {
        **summary,
        "schema": schema,
        "metrics": {"type": "object", "description": "Measures, as far as they were taken."},
        "notes": {"type": ["string", "null"]},
        "dataset_name": {"type": ["string", "null"]},
        "dataset_sha256": nullable(SHA256),
        "sha256": {**SHA256, "description": "Of the ONNX file."},
        "size": COUNT,
    }
    return {"Model": record(summary), "ModelDetail": record(detail)}


def _prediction_schemas() -> Json:
    value = {"type": ["number", "string", "null"]}
    label = record(
        {
            "label": TEXT,
            "probabilities": {
                "type": "object",
                "additionalProperties": {"type": "number"},
                "description": "Of each class, if asked for.",
            },
        },
        optional=["probabilities"],
    )
    prediction = {"anyOf": [label, record({"value": {"type": "number"}})]}
    return {
        "Row": {
            "type": "object",
            "additionalProperties": value,
            "description": "Columns and values. Every feature of the model, null where the value "
            "is missing; the target may be there and is not looked at. "
            "`/models/{id}/openapi.json` has one model's columns.",
        },
        "Predictions": record(
            {
                "model": ID,
                "target": TEXT,
                "predictions": {"type": "array", "items": prediction},
            }
        ),
    }


def schemas() -> Json:
    """Return all schemas."""
    version = record({"version": TEXT, "revision": TEXT})
    return {
        "Problem": problem(),
        **_dataset_schemas(),
        **_training_schemas(),
        **_model_schemas(),
        **_prediction_schemas(),
        "Version": version,
    }


def parameters() -> Json:
    """Return the parameters that operations share."""
    limit = {"type": "integer", "minimum": 1, "maximum": MOST_LIMIT, "default": PRESET_LIMIT}
    return {
        "limit": parameter("limit", "Most entries of a page.", limit),
        "cursor": parameter(
            "cursor", "Where the page begins: what `next` of the page before has.", TEXT
        ),
        "If-None-Match": parameter(
            "If-None-Match",
            "The `ETag` of the answer that you have. If it is still right, the answer is 304 "
            "and empty.",
            {"type": "string", "examples": ['W/"0f1e2d3c4b5a69788796a5b4"']},
            where="header",
        ),
        "dataset_id": parameter("dataset_id", "The data set.", ID, where="path"),
        "training_id": parameter("training_id", "The training.", ID, where="path"),
        "model_id": parameter(
            "model_id",
            "The model. Where nothing is changed, the id of its series means the current version.",
            ID,
            where="path",
        ),
    }


def headers() -> Json:
    """Return the headers of answers."""
    texts = {
        "X-Request-ID": "What the operator finds the request by; your own if you sent a good one.",
        "ETag": "Send it as `If-None-Match` next time.",
        "Link": "The next page, as `rel=next` (RFC 8288).",
        "Location": "Where what was made is.",
        "WWW-Authenticate": "What is wrong with the key (RFC 6750).",
    }
    found: Json = {
        name: {"description": text, "schema": {"type": "string"}} for name, text in texts.items()
    }
    found["Retry-After"] = {
        "description": "Seconds to wait.",
        "schema": {"type": "integer", "minimum": 1},
    }
    found["Idempotent-Replay"] = {
        "description": "`true` if the data set was stored by an earlier request.",
        "schema": {"type": "string", "enum": ["true"]},
    }
    return found

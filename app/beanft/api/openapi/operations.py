"""The operations on data sets and trainings, by address and method."""

from __future__ import annotations

from beanft.api.datasets import KEY_MAX_CHARS
from beanft.api.openapi.components import STATE, TASK, TEXT, TEXTS, estimator_schema
from beanft.api.openapi.parts import (
    ID,
    IF_NONE_MATCH,
    Json,
    answer,
    json_content,
    listing,
    nullable,
    operation,
    parameter,
    ref,
)
from beanft.api.openapi.tags import DATASETS, TRAININGS
from beanft.api.plans import NAME_MAX_CHARS
from beanft.config import Limits

IRIS = "sepal_length,sepal_width,petal_length,petal_width,species\n5.1,3.5,1.4,0.2,setosa\n"
WATCHING = ["models:read", "trainings:write"]


def csv_content(example: str) -> Json:
    """Return the description of a body of CSV."""
    return {"text/csv": {"schema": {"type": "string", "minLength": 1}, "example": example}}


def datasets(limits: Limits) -> Json:
    """Return the operations on data sets."""
    name = {"type": "string", "default": "data.csv"}
    key = {
        "type": "string",
        "minLength": 1,
        "maxLength": KEY_MAX_CHARS,
        "pattern": "^[ -~]+$",
        "examples": ["2026-01-31 monthly"],
    }
    detail = json_content(ref("DatasetDetail"))
    there = [ref("dataset_id", "parameters")]
    return {
        "/api/v1/datasets": {
            "post": operation(
                "storeDataset",
                DATASETS,
                "Store a CSV file",
                f"At most {limits.upload_max_bytes / 1e6:g} MB, {limits.upload_max_rows:,} rows and "
                f"{limits.upload_max_columns} columns. Delimiter, encoding and types are found "
                "out. When the answer comes the file is on the disk. Got no answer? Send it again "
                "with the same `Idempotency-Key`: within 24 hours it is stored once.",
                scopes=["datasets:write"],
                parameters=[
                    parameter("name", "What to call it.", name),
                    parameter("Idempotency-Key", "A text that you choose.", key, where="header"),
                ],
                body=csv_content(IRIS),
                responses={201: answer("It is stored.", detail, ["Location", "Idempotent-Replay"])},
                errors=[400, 409, 411, 413, 415],
            ),
            "get": listing(
                "listDatasets",
                DATASETS,
                "datasets",
                "Dataset",
                "List data sets",
                scopes=["datasets:read"],
            ),
        },
        "/api/v1/datasets/{dataset_id}": {
            "get": operation(
                "getDataset",
                DATASETS,
                "Look at a data set",
                "With its columns: their types, values and statistics.",
                scopes=["datasets:read"],
                parameters=[*there, IF_NONE_MATCH],
                responses={200: answer("The data set.", detail, ["ETag"])},
                errors=[304, 404],
            ),
            "delete": operation(
                "deleteDataset",
                DATASETS,
                "Delete a data set",
                "Its trainings go with it; models trained on it stay.",
                scopes=["datasets:write"],
                parameters=there,
                responses={204: answer("It is deleted.")},
                errors=[404],
            ),
        },
        "/api/v1/datasets/{dataset_id}/content": {
            "get": operation(
                "getDatasetContent",
                DATASETS,
                "Download a data set",
                "The file, byte for byte as it was stored; `profile.encoding` says how to read it.",
                scopes=["datasets:read"],
                parameters=[*there, IF_NONE_MATCH],
                responses={200: answer("The file.", csv_content(IRIS), ["ETag"])},
                errors=[304, 404],
            )
        },
    }


def _new_training() -> Json:
    texts = {**TEXTS, "minItems": 1, "uniqueItems": True}
    estimators = {**texts, "items": estimator_schema()}
    return {
        "type": "object",
        "required": ["dataset", "target"],
        "additionalProperties": False,
        "properties": {
            "dataset": {**ID, "description": "The data set."},
            "target": {**TEXT, "minLength": 1, "description": "The column to predict."},
            "features": {
                **nullable(texts),
                "description": "The columns to predict from. Preset: all that can be used.",
            },
            "estimators": {
                **nullable(estimators),
                "description": "What to compare. Preset: all of the task.",
            },
            "task": {
                "enum": [*TASK["enum"], None],
                "description": "Preset: what suits the target's values.",
            },
            "name": {
                "type": ["string", "null"],
                "maxLength": NAME_MAX_CHARS,
                "description": "The models' name; models of one name are versions of one series.",
            },
        },
    }


def trainings() -> Json:
    """Return the operations on trainings."""
    detail = json_content(ref("TrainingDetail"))
    there = [ref("training_id", "parameters")]
    example = {"dataset": ID["examples"][0], "target": "species", "name": "iris"}
    return {
        "/api/v1/trainings": {
            "post": operation(
                "startTraining",
                TRAININGS,
                "Start a training",
                "Trains each estimator on the data set, compares them by cross-validation and on "
                "held-out rows, and makes a model of each. It is queued when the answer comes: "
                "watch it at `Location`.",
                scopes=["trainings:write"],
                body=json_content(_new_training(), example),
                responses={202: answer("It is queued.", detail, ["Location"])},
                errors=[400, 409, 413, 415],
            ),
            "get": listing(
                "listTrainings",
                TRAININGS,
                "trainings",
                "Training",
                "List trainings",
                scopes=WATCHING,
                filters=[
                    parameter("dataset", "Of this data set only.", TEXT),
                    parameter("state", "In this state only.", STATE),
                ],
            ),
        },
        "/api/v1/trainings/{training_id}": {
            "get": operation(
                "getTraining",
                TRAININGS,
                "Watch a training",
                "With the results of each estimator so far. Ask once a second, with the last "
                "`ETag` in `If-None-Match`: while nothing has changed the answer is 304.",
                scopes=WATCHING,
                parameters=[*there, IF_NONE_MATCH],
                responses={200: answer("The training.", detail, ["ETag"])},
                errors=[304, 404],
            )
        },
        "/api/v1/trainings/{training_id}/cancel": {
            "post": operation(
                "cancelTraining",
                TRAININGS,
                "Cancel a training",
                "A running one stops within seconds. Cancelling again changes nothing.",
                scopes=["trainings:write"],
                parameters=there,
                responses={200: answer("It is cancelled.", detail)},
                errors=[404, 409],
            )
        },
    }

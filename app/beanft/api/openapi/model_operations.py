"""The operations on models, predictions, and what says what this is, by address and method."""

from __future__ import annotations

from beanft.api.openapi.components import FLAG, TASK, TEXT
from beanft.api.openapi.operations import csv_content
from beanft.api.openapi.parts import (
    ID,
    IF_NONE_MATCH,
    Json,
    answer,
    json_content,
    listing,
    operation,
    parameter,
    ref,
)
from beanft.api.openapi.tags import MODELS, PREDICTIONS, SERVICE
from beanft.config import Limits

ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": None}


def models() -> Json:
    """Return the operations on models."""
    detail = json_content(ref("ModelDetail"))
    there = [ref("model_id", "parameters")]
    filters = [
        parameter("series", "Versions of this series only.", TEXT),
        parameter("dataset", "Trained on this data set only.", TEXT),
        parameter("training", "Of this training only.", TEXT),
        parameter("estimator", "Of this estimator only.", TEXT),
        parameter("task", "For this task only.", TASK),
        parameter("current", "Current versions only, or all others.", FLAG),
        parameter("released", "Released models only, or one's own.", FLAG),
    ]
    document = {"type": "object", "required": ["openapi", "info", "paths"]}
    return {
        "/api/v1/models": {
            "get": listing(
                "listModels",
                MODELS,
                "models",
                "Model",
                "List models",
                scopes=["models:read"],
                filters=filters,
            )
        },
        "/api/v1/models/{model_id}": {
            "get": operation(
                "getModel",
                MODELS,
                "Look at a model",
                "With its schema and measures.",
                scopes=["models:read", "predict"],
                parameters=[*there, IF_NONE_MATCH],
                responses={200: answer("The model.", detail, ["ETag"])},
                errors=[304, 404],
            ),
            "delete": operation(
                "deleteModel",
                MODELS,
                "Delete a model",
                "This version and its file. If it was current, the best other version is current "
                "then. Until 3 seconds later it may still answer.",
                scopes=["models:write"],
                parameters=there,
                responses={204: answer("It is deleted.")},
                errors=[404],
            ),
        },
        "/api/v1/models/{model_id}/promote": {
            "post": operation(
                "promoteModel",
                MODELS,
                "Make a model current",
                "It answers from now on (within 3 seconds) where its series is asked. "
                "Doing it again changes nothing.",
                scopes=["models:write"],
                parameters=there,
                responses={200: answer("It is current.", detail)},
                errors=[404],
            )
        },
        "/api/v1/models/{model_id}/openapi.json": {
            "get": operation(
                "getModelDocument",
                MODELS,
                "Describe a model's predictions",
                "An OpenAPI document with the model's own columns, types and classes, from which "
                "a typed client can be made.",
                scopes=["models:read", "predict"],
                parameters=[*there, IF_NONE_MATCH],
                responses={200: answer("The document.", json_content(document), ["ETag"])},
                errors=[304, 404],
            )
        },
    }


def predictions(limits: Limits) -> Json:
    """Return the operation that predicts."""
    rows = {
        "type": "array",
        "items": ref("Row"),
        "minItems": 1,
        "maxItems": limits.predict_max_rows,
    }
    body = {"type": "object", "required": ["rows"], "properties": {"rows": rows}}
    flag = {**FLAG, "default": False}
    out = "5.1,3.5,1.4,,setosa,0.981,0.018,0.001\n"
    header = "sepal_length,sepal_width,petal_length,petal_width,predicted_species,"
    header += "probability_setosa,probability_versicolor,probability_virginica\n"
    example = {
        "model": ID["examples"][0],
        "target": "species",
        "predictions": [{"label": "setosa"}],
    }
    return {
        "/api/v1/models/{model_id}/predictions": {
            "post": operation(
                "predict",
                PREDICTIONS,
                "Predict rows",
                f"At most {limits.predict_max_rows:,} rows and {limits.api_max_bytes / 1e6:g} MB. "
                "Send JSON, or a CSV file whose header names the columns. The answer is JSON, or "
                "with `Accept: text/csv` the rows with the predictions beside them.",
                scopes=["predict"],
                parameters=[
                    ref("model_id", "parameters"),
                    parameter("probabilities", "Each class's probability, too.", flag),
                ],
                body={
                    **json_content(body, {"rows": [ROW]}),
                    **csv_content(
                        "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,\n"
                    ),
                },
                responses={
                    200: answer(
                        "A prediction for each row, in their order.",
                        {**json_content(ref("Predictions"), example), **csv_content(header + out)},
                    )
                },
                errors=[400, 404, 413, 415],
            )
        }
    }


def _open(name: str, summary: str, content: Json, headers: list[str]) -> Json:
    """Return an operation that needs no key."""
    found = operation(
        name,
        SERVICE,
        summary,
        "Needs no key.",
        scopes=[],
        parameters=[IF_NONE_MATCH] if headers else [],
        responses={200: answer("It.", content, headers)},
        errors=[304] if headers else [],
    )
    for status in ("401", "403", "422", "429"):
        del found["responses"][status]
    return found


def service() -> Json:
    """Return what says what this is."""
    text = {"schema": {"type": "string"}}
    document = json_content({"type": "object", "required": ["openapi", "info", "paths"]})
    return {
        "/api/v1/version": {
            "get": _open("getVersion", "Say what runs here", json_content(ref("Version")), [])
        },
        "/api/v1/openapi.json": {
            "get": _open("getDocument", "Get this document", document, ["ETag"])
        },
        "/api/v1/docs": {
            "get": _open("getDocs", "Read this document as a page", {"text/html": text}, ["ETag"])
        },
        "/api/v1/docs.css": {
            "get": _open("getDocsStyle", "The style of that page", {"text/css": text}, ["ETag"])
        },
    }

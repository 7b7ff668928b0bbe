"""One model's own document: its columns and classes with their types."""

from __future__ import annotations

from beanft.api.openapi.components import problem
from beanft.api.openapi.parts import SECURITY, Json, json_content, problem_responses, record, ref
from beanft.ml.rows import FLOAT32_MAX
from beanft.ml.schema import Feature, Schema
from beanft.training.models import Model

ERRORS = (400, 401, 403, 404, 413, 415, 422, 429, 500, 503)


def _feature(feature: Feature) -> Json:
    if feature.kind == "text":
        return {
            "type": ["string", "null"],
            "examples": list(feature.values),
            "description": "Text. A value that wasn't there in training counts as none of them.",
        }
    kind = "integer" if feature.integer else "number"
    found: Json = {"type": [kind, "null"], "minimum": -FLOAT32_MAX, "maximum": FLOAT32_MAX}
    median = feature.median
    if median is not None:
        found["examples"] = [round(median) if feature.integer else median]
    if feature.least is not None and feature.most is not None:
        found["description"] = f"From {feature.least:g} to {feature.most:g} in training."
    if feature.integer:
        said = found.get("description", "")
        found["description"] = f"{said} All were whole; others are taken, too.".strip()
    return found


def row_schema(schema: Schema) -> Json:
    """Return the schema of one row: every feature, each of which may be null, and nothing else.

    Names are the columns' own, be they numbers, empty words or anything else.
    """
    properties = {feature.name: _feature(feature) for feature in schema.features}
    target = {schema.target: {"description": "The target. It may be there and isn't looked at."}}
    return {
        "type": "object",
        "properties": {**properties, **target},
        "required": list(properties),
        "additionalProperties": False,
    }


def _prediction(schema: Schema) -> Json:
    if schema.task == "regression":
        return record({"value": {"type": "number"}})
    chance = {"type": "number", "minimum": 0, "maximum": 1}
    return record(
        {
            "label": {"type": "string", "enum": list(schema.classes)},
            "probabilities": {
                **record(dict.fromkeys(schema.classes, chance)),
                "description": "If asked for.",
            },
        },
        optional=["probabilities"],
    )


def _example(schema: Schema) -> Json:
    def value(feature: Feature) -> float | int | str | None:
        if feature.kind == "text":
            return next(iter(feature.values), None)
        if feature.median is None:
            return None
        return round(feature.median) if feature.integer else feature.median

    return {"rows": [{feature.name: value(feature) for feature in schema.features}]}


def model_document(model: Model, most_rows: int) -> Json:
    """Return the OpenAPI 3.1 document of one model's predictions.

    Args:
        model: the model; the document is of this version, also if its series was asked.
        most_rows: most rows of a request.

    """
    schema = model.schema
    rows = {"type": "array", "items": ref("Row"), "minItems": 1, "maxItems": most_rows}
    prediction = record(
        {
            "model": {"type": "string", "const": model.id},
            "target": {"type": "string", "const": schema.target},
            "predictions": {"type": "array", "items": ref("Prediction")},
        }
    )
    file = {"text/csv": {"schema": {"type": "string"}}}
    responses = problem_responses()
    operation = {
        "operationId": "predict",
        "summary": f"Predict {schema.target}",
        "security": [{SECURITY: ["predict"]}],
        "parameters": [
            {
                "name": "probabilities",
                "in": "query",
                "schema": {"type": "boolean", "default": False},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {**json_content(record({"rows": rows}), _example(schema)), **file},
        },
        "responses": {
            "200": {
                "description": "A prediction for each row, in their order.",
                "content": {**json_content(prediction), **file},
            },
            **{str(status): ref(str(status), "responses") for status in ERRORS},
        },
    }
    for response in responses.values():
        del response["headers"]
    return {
        "openapi": "3.1.0",
        "info": {"title": model.name, "version": str(model.version)},
        "servers": [{"url": "/"}],
        "paths": {f"/api/v1/models/{model.id}/predictions": {"post": operation}},
        "components": {
            "schemas": {
                "Row": row_schema(schema),
                "Prediction": _prediction(schema),
                "Problem": problem(),
            },
            "responses": {str(status): responses[str(status)] for status in ERRORS},
            "securitySchemes": {SECURITY: {"type": "http", "scheme": "bearer"}},
        },
    }

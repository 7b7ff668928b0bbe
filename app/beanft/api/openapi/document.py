"""The document: what the operations say, and what holds for all of them."""

from __future__ import annotations

from beanft.api.openapi import components, model_operations, operations, tags
from beanft.api.openapi.parts import SECURITY, Json, problem_responses
from beanft.config import Settings
from beanft.users.keys import SCOPES

TAG_TEXTS = {
    tags.DATASETS: "CSV files and what they hold.",
    tags.TRAININGS: "What makes models of a data set.",
    tags.MODELS: "What came of trainings, in series of versions, one of which is current.",
    tags.PREDICTIONS: "What models are for.",
    tags.SERVICE: "What runs here.",
}


def _description(settings: Settings) -> str:
    limits = settings.limits
    scopes = "\n".join(f"- `{name}`: {text}" for name, text in SCOPES.items())
    return f"""Upload tables, train models on them, and get predictions.

**Keys.** Make a key on your account page and send it as `Authorization: Bearer KEY`. \
A key may be limited to scopes:

{scopes}

**Rates.** A key may send {limits.api_requests_per_minute:,} requests a minute, all at once if it \
was quiet before; each process of the service counts for itself. `RateLimit-Policy` and \
`RateLimit` in each answer tell what is left. Beyond that the answer is 429 with `Retry-After`.

**Errors.** Every error is `application/problem+json` (RFC 9457) with `detail` for people and, \
where a part of the input is wrong, `errors` with its field, or its row and column. A method that \
an address doesn't take is answered by 405 with `Allow`.

**Caching.** What GET gets has a weak `ETag`. Send it as `If-None-Match` and the answer is 304 \
while nothing has changed. HEAD works wherever GET does.

**Parameters.** One that isn't known is an error (422), not ignored."""


def document(settings: Settings) -> Json:
    """Return the OpenAPI 3.1 document of the API."""
    key = {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key. Its scopes: " + ", ".join(f"`{name}`" for name in SCOPES) + ".",
    }
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": "beanft",
            "version": settings.version,
            "summary": "Tables in, models and predictions out.",
            "description": _description(settings),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAG_TEXTS.items()],
        "paths": {
            **operations.datasets(settings.limits),
            **operations.trainings(),
            **model_operations.models(),
            **model_operations.predictions(settings.limits),
            **model_operations.service(),
        },
        "components": {
            "schemas": components.schemas(),
            "parameters": components.parameters(),
            "headers": components.headers(),
            "responses": problem_responses(),
            "securitySchemes": {SECURITY: key},
        },
    }

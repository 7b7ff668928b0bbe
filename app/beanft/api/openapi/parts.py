"""What the descriptions of all operations are put together from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

ID = {"type": "string", "pattern": "^[0-9a-f]{20}$", "examples": ["5f2d1c0b9a8e7d6c5b4a"]}
MOMENT = {"type": "string", "format": "date-time", "examples": ["2026-01-31T12:00:00.123456+00:00"]}
SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
NULLABLE_ID = {**ID, "type": ["string", "null"]}
NUMBER = {"type": ["number", "null"]}
PROBLEM = "application/problem+json"
SECURITY = "key"

STATUSES = {
    304: "What you have is still right.",
    400: "The request can't be understood.",
    401: "There is no API key, or it is unknown, expired or revoked.",
    403: "The API key lacks the scope; `detail` and `WWW-Authenticate` name it.",
    404: "There is nothing with this id, or it is somebody else's.",
    409: "It can't be done in the present state.",
    411: "The request has a body and no `Content-Length`.",
    413: "More bytes or rows than are taken at once.",
    415: "This address doesn't take that `Content-Type`.",
    422: "Understood, and wrong: `errors` says which field, row or column.",
    429: "The key sent too many requests. Wait as long as `Retry-After` says.",
    500: "Something broke on our side. Tell the operator the `request_id`.",
    503: "Busy, being updated, or a file is damaged. Try again.",
}


def ref(name: str, kind: str = "schemas") -> Json:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def nullable(schema: Json) -> Json:
    """Return a schema of one type that allows null, too."""
    return {**schema, "type": [schema["type"], "null"]}


def record(properties: Mapping[str, Json], *, optional: Sequence[str] = (), **more: Any) -> Json:
    """Return the schema of an object that has these properties, and may get more later."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, **more}


def json_content(schema: Json, example: Any = None) -> Json:
    """Return the description of a body of JSON."""
    media = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"application/json": media}


def answer(description: str, content: Json | None = None, headers: Sequence[str] = ()) -> Json:
    """Return a response; each has the headers about its id and the rate, too."""
    names = ("X-Request-ID", *headers)
    found: Json = {
        "description": description,
        "headers": {name: ref(name, "headers") for name in names},
    }
    if content is not None:
        found["content"] = content
    return found


def problem_responses() -> Json:
    """Return the component of each error."""
    found: Json = {}
    for status, description in STATUSES.items():
        headers = {401: ["WWW-Authenticate"], 403: ["WWW-Authenticate"], 429: ["Retry-After"]}
        if status == 304:
            found["304"] = answer(description, headers=["ETag"])
            continue
        content = {PROBLEM: {"schema": ref("Problem")}}
        found[str(status)] = answer(description, content, headers.get(status, []))
    return found


def parameter(
    name: str, description: str, schema: Json, *, where: str = "query", **more: Any
) -> Json:
    """Return a parameter; those of the path are required."""
    found = {"name": name, "in": where, "description": description, "schema": schema, **more}
    return {**found, "required": True} if where == "path" else found


PAGING = [ref("limit", "parameters"), ref("cursor", "parameters")]
IF_NONE_MATCH = ref("If-None-Match", "parameters")
ERRORS = (401, 403, 422, 429, 500, 503)


def operation(
    name: str,
    tag: str,
    summary: str,
    description: str,
    *,
    scopes: Sequence[str],
    responses: Mapping[int, Json],
    errors: Sequence[int] = (),
    parameters: Sequence[Json] = (),
    body: Json | None = None,
    body_required: bool = True,
) -> Json:
    """Return the description of an operation that needs a key with any one of the scopes."""
    statuses = sorted({*ERRORS, *errors})
    found: Json = {
        "operationId": name,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "security": [{SECURITY: [scope]} for scope in scopes],
        "parameters": list(parameters),
        "responses": {
            **{str(status): response for status, response in responses.items()},
            **{str(status): ref(str(status), "responses") for status in statuses},
        },
    }
    if body is not None:
        found["requestBody"] = {"required": body_required, "content": body}
    return found


def listing(
    name: str,
    tag: str,
    plural: str,
    schema: str,
    summary: str,
    *,
    scopes: Sequence[str],
    filters: Sequence[Json] = (),
) -> Json:
    """Return the description of a list that comes in pages."""
    page = record(
        {
            plural: {"type": "array", "items": ref(schema)},
            "next": {
                "type": ["string", "null"],
                "description": "The address of the next page; null on the last one.",
            },
        }
    )
    return operation(
        name,
        tag,
        summary,
        "The latest first, in pages. The next page's address is `next`, and in the header `Link`. "
        "A page goes on where the one before ended, whatever was added or deleted meanwhile.",
        scopes=scopes,
        parameters=[*filters, *PAGING, IF_NONE_MATCH],
        responses={200: answer("A page.", json_content(page), ["ETag", "Link"])},
        errors=[304],
    )

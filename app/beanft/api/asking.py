"""What a request asks: its query and its JSON, checked; every problem names its field."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import orjson
from flask import request

from beanft.api.listing import Asked, Position
from beanft.api.schemas import JSON
from beanft.core.errors import BadRequestError, InvalidError, UnsupportedMediaTypeError

PRESET_LIMIT, MOST_LIMIT = 50, 200
PAGING = ("limit", "cursor")
FLAGS = {"true": True, "1": True, "false": False, "0": False}


def wrong(field: str, message: str) -> InvalidError:
    """Return the error of one field; the message goes on from the field's name."""
    return InvalidError(f"{field} {message}.", errors=[{"field": field, "message": message}])


def query(known: Collection[str]) -> dict[str, str]:
    """Return the query.

    Raises:
        InvalidError: it has something unknown or doubled: a misspelt filter lists too much.

    """
    for name, values in request.args.lists():
        if name not in known:
            there_are = f"there are: {', '.join(known)}" if known else "there are none"
            raise wrong(name[:80] or "query", f"is no parameter of this address; {there_are}")
        if len(values) > 1:
            raise wrong(name, "is there twice")
    return request.args.to_dict()


def page(asked: Mapping[str, str]) -> Asked:
    """Return which page is wanted.

    Raises:
        InvalidError: ``limit`` or ``cursor`` can't be used.

    """
    text = asked.get("limit", str(PRESET_LIMIT))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0
    if not 1 <= limit <= MOST_LIMIT:
        raise wrong("limit", f"must be a number from 1 to {MOST_LIMIT}")
    cursor = asked.get("cursor")
    if cursor is None:
        return Asked(limit)
    try:
        return Asked(limit, Position.from_cursor(cursor))
    except (ValueError, OverflowError):
        raise wrong("cursor", "must be one that an earlier page gave") from None


def flag(asked: Mapping[str, str], name: str) -> bool | None:
    """Return true, false, or None if nothing is said.

    Raises:
        InvalidError: it is neither.

    """
    if name not in asked:
        return None
    value = FLAGS.get(asked[name].lower())
    if value is None:
        raise wrong(name, "must be true or false")
    return value


def choice(asked: Mapping[str, str], name: str, choices: Collection[str]) -> str | None:
    """Return one of the choices, or None if nothing is said.

    Raises:
        InvalidError: it is something else.

    """
    value = asked.get(name)
    if value is not None and value not in choices:
        raise wrong(name, f"must be one of {', '.join(choices)}")
    return value


def json_object() -> dict[str, Any]:
    """Return the body, an object.

    Raises:
        UnsupportedMediaTypeError: it isn't called JSON.
        BadRequestError: it is no JSON.
        InvalidError: it is no object.

    """
    if request.mimetype != JSON:
        raise UnsupportedMediaTypeError(f"Send {JSON}, and say so in Content-Type.")
    try:
        body = orjson.loads(request.get_data(cache=False))
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"The body is not valid JSON: {error}.") from None
    if not isinstance(body, dict):
        raise wrong("body", "must be an object")
    return body

"""How the API answers: JSON, with an ETag that makes asking again cheap, and lists page by page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
from flask import Response, request

from beanft.api.listing import Page, Position, T
from beanft.api.schemas import JSON

# It may be kept, but not used without asking whether it has changed; and it is one caller's.
CACHE = "private, no-cache"


def json_response(body: Any, status: int = 200) -> Response:
    """Return an answer of JSON."""
    return Response(orjson.dumps(body), status, content_type=JSON)


def created(body: Any, location: str, status: int = 201) -> Response:
    """Return what was made, and where it is."""
    answer = json_response(body, status)
    answer.headers["Location"] = location
    return answer


def unchanged(tag: str) -> Response | None:
    """Return a 304 if the caller has what has this tag, else None."""
    if not request.if_none_match.contains_weak(tag):
        return None
    answer = Response(status=304)
    del answer.headers["Content-Type"]
    return tagged(answer, tag)


def tagged(answer: Response, tag: str) -> Response:
    """Return an answer with an ETag.

    It is weak, since whatever stands between may compress the bytes.
    """
    answer.set_etag(tag, weak=True)
    answer.headers["Cache-Control"] = CACHE
    return answer


def conditional(body: Any) -> Response:
    """Return an answer of JSON, or 304 if the caller has it already.

    The tag is a hash of what would be sent, so it can't be out of date.
    """
    content = orjson.dumps(body)
    tag = hashlib.blake2b(content, digest_size=12).hexdigest()
    return unchanged(tag) or tagged(Response(content, content_type=JSON), tag)


def _address(position: Position, asked: Mapping[str, str]) -> str:
    return f"{request.path}?{urlencode({**asked, 'cursor': position.cursor()})}"


def page_response(
    name: str,
    page: Page[T],
    show: Callable[[T], dict[str, Any]],
    asked: Mapping[str, str],
) -> Response:
    """Return a page of a list: its entries under ``name``, and the address of the next page.

    Args:
        name: what the entries are.
        page: the entries.
        show: says what an entry looks like.
        asked: the query of this page, which the next one's has too.

    """
    following = None if page.next is None else _address(page.next, asked)
    answer = conditional({name: [show(item) for item in page.items], "next": following})
    if following is not None:
        answer.headers["Link"] = f'<{following}>; rel="next"'
    return answer

"""``/api/v1/openapi.json``, the same as a page, and what runs here: for everybody, without a key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import orjson
from flask import Blueprint, Response, current_app, render_template

from beanft.api.answers import json_response, tagged, unchanged
from beanft.api.openapi.document import document
from beanft.api.openapi.page import marked_up, operations_by_tag, schemas_of
from beanft.api.schemas import JSON
from beanft.extensions import site
from beanft.health.views import identity

blueprint = Blueprint("api_documents", __name__, url_prefix="/api/v1")
STYLE = Path(__file__).with_name("docs.css")
# The page shows text and one style file of its own, and runs nothing.
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
POLICY += "frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class _File:
    """Something that is made once in a process and then stays the same."""

    content: bytes
    content_type: str
    tag: str


def _file(name: str, content_type: str, make: Callable[[], bytes]) -> _File:
    kept = current_app.extensions.setdefault("beanft_documents", {})
    if name not in kept:
        content = make()
        tag = hashlib.blake2b(content, digest_size=12).hexdigest()
        kept[name] = _File(content, content_type, tag)
    return cast("_File", kept[name])


def _send(file: _File) -> Response:
    known = unchanged(file.tag)
    return known or tagged(Response(file.content, content_type=file.content_type), file.tag)


@blueprint.get("/version")
def version() -> Response:
    """Say what runs here."""
    return json_response(identity(site()))


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Describe the API."""
    settings = site().settings
    return _send(_file("openapi", JSON, lambda: orjson.dumps(document(settings))))


def _page() -> bytes:
    described = document(site().settings)
    return render_template(
        "api/docs.html",
        info=described["info"],
        description=marked_up(described["info"]["description"]),
        groups=operations_by_tag(described),
        schemas=schemas_of(described),
    ).encode()


@blueprint.get("/docs")
def docs() -> Response:
    """Show the same as a page."""
    answer = _send(_file("docs", "text/html; charset=utf-8", _page))
    answer.headers["Content-Security-Policy"] = POLICY
    return answer


@blueprint.get("/docs.css")
def style() -> Response:
    """Send the page's style."""
    return _send(_file("style", "text/css; charset=utf-8", STYLE.read_bytes))

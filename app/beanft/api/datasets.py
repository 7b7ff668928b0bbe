"""``/api/v1/datasets``: store, list, look at and delete data sets.

A client that got no answer sends its request again with the same ``Idempotency-Key`` and
gets what was stored the first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, cast
from urllib.parse import quote

from flask import Blueprint, Response, request, url_for
from werkzeug.exceptions import LengthRequired

from beanft.api import listing, schemas
from beanft.api.access import authenticate
from beanft.api.answers import conditional, created, page_response, tagged, unchanged
from beanft.api.asking import PAGING, page, query
from beanft.api.schemas import CSV
from beanft.core.errors import BadRequestError, UnsupportedMediaTypeError
from beanft.extensions import site
from beanft.uploader import service
from beanft.uploader.once import add_dataset_once

blueprint = Blueprint("api_datasets", __name__, url_prefix="/api/v1/datasets")
KEY_MAX_CHARS = 100
PIECE_BYTES = 1 << 18


class _Whole:
    """A body that has to be as long as was promised: the server hands on a cut-off one too."""

    def __init__(self, source: BinaryIO, promised: int) -> None:
        self._source = source
        self._left = promised

    def read(self, size: int) -> bytes:
        piece = self._source.read(size)
        self._left -= len(piece)
        if not piece and self._left:
            raise BadRequestError("The body is shorter than its Content-Length. Send it again.")
        return piece


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not (1 <= len(key) <= KEY_MAX_CHARS and key.isascii() and key.isprintable()):
        raise BadRequestError(
            f"An Idempotency-Key has 1 to {KEY_MAX_CHARS} printable ASCII characters."
        )
    return key


@blueprint.post("")
def store() -> Response:
    """Store a CSV file; answers when it is committed and on the disk."""
    principal = authenticate("datasets:write")
    here = site()
    asked = query(("name",))
    limits = here.settings.limits
    if request.mimetype != CSV:
        raise UnsupportedMediaTypeError(f"Send the file as {CSV}, and say so in Content-Type.")
    key = _idempotency_key()
    if request.content_length is None:
        raise LengthRequired("Send the file with its Content-Length.")
    request.max_content_length = limits.upload_max_bytes  # the pages', not the predictions'
    source = cast("BinaryIO", _Whole(cast("BinaryIO", request.stream), request.content_length))
    name = service.display_name(asked.get("name"))
    if key is None:
        replayed = False
        dataset = service.add_dataset(
            here.database,
            here.storage,
            limits,
            user_id=principal.user_id,
            name=name,
            source=source,
        )
    else:
        dataset, replayed = add_dataset_once(
            here.database,
            here.storage,
            limits,
            user_id=principal.user_id,
            name=name,
            source=source,
            key=key,
        )
    location = url_for("api_datasets.detail", dataset_id=dataset.id)
    answer = created(schemas.dataset_detail(dataset), location)
    if replayed:
        answer.headers["Idempotent-Replay"] = "true"
    return answer


@blueprint.get("")
def index() -> Response:
    """List the caller's data sets, the latest first."""
    principal = authenticate("datasets:read")
    asked = query(PAGING)
    found = listing.datasets(site().database, principal.user_id, page(asked))
    return page_response("datasets", found, schemas.dataset_summary, asked)


@blueprint.get("/<dataset_id>")
def detail(dataset_id: str) -> Response:
    """Show one data set with its columns, size and checksum."""
    principal = authenticate("datasets:read")
    query(())
    found = service.get_dataset(site().database, principal.user_id, dataset_id)
    return conditional(schemas.dataset_detail(found))


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece


@blueprint.get("/<dataset_id>/content")
def content(dataset_id: str) -> Response:
    """Send the file, byte for byte as it was stored."""
    principal = authenticate("datasets:read")
    query(())
    here = site()
    found = service.get_dataset(here.database, principal.user_id, dataset_id)
    if (known := unchanged(found.sha256)) is not None:
        return known
    stream = here.storage.open(found.storage_key)
    if request.method == "HEAD":
        stream.close()  # the body is never read
        answer = Response(content_type=CSV)
    else:
        answer = Response(_pieces(stream), content_type=CSV)
        answer.call_on_close(stream.close)  # where the client leaves before the end
    answer.content_length = found.size
    answer.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(found.name)}"
    return tagged(answer, found.sha256)


@blueprint.delete("/<dataset_id>")
def delete(dataset_id: str) -> Response:
    """Delete a data set and its trainings; models trained on it stay."""
    principal = authenticate("datasets:write")
    query(())
    here = site()
    service.delete_dataset(here.database, here.storage, principal.user_id, dataset_id)
    return Response(status=204)

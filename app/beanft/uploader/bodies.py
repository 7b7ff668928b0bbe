"""Bodies of requests to the pages: how large they may be, and where large ones wait."""

from __future__ import annotations

import tempfile
from typing import IO

from flask import Request, request

from beanft.core.errors import UnauthorizedError
from beanft.extensions import site
from beanft.users.current import current_user

FORM_MAX_BYTES = 1_000_000  # anything but a file
MULTIPART_BYTES = 100_000  # what a form adds around its file
IN_MEMORY_BYTES = 500_000
UPLOAD = "uploader.upload"


class PageRequest(Request):
    """A request whose files wait on the disk of the stored files.

    A container's own ``/tmp`` is memory and small: two large files at once would fill it.
    """

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        folder = site().settings.storage_path
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, "w+b", dir=str(folder))


def limit_body() -> None:
    """Refuse a body before it is read: only who is logged in may send a file.

    Raises:
        UnauthorizedError: an upload by nobody.

    """
    limits = site().settings.limits
    most = limits.upload_max_bytes if request.endpoint == UPLOAD else limits.api_max_bytes
    request.max_content_length = most + MULTIPART_BYTES
    if (request.content_length or 0) > FORM_MAX_BYTES and current_user() is None:
        if request.endpoint == UPLOAD:
            raise UnauthorizedError("You are logged out. Log in, then upload the file again.")
        request.max_content_length = FORM_MAX_BYTES

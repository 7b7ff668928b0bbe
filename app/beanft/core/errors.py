"""The one error hierarchy.

A service raises these; ``error_pages`` renders them, as a page or as RFC 9457 problem+json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any


class BeanftError(Exception):
    """An error with an HTTP status.

    Args:
        detail: one or two sentences for the person, saying what to do next.
        errors: parts of the input that are wrong, each with ``message`` and where known
            ``field``, ``row``, ``line`` or ``column``.
        headers: HTTP headers the answer has to carry.

    """

    status = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = [dict(error) for error in errors]
        self.headers = dict(headers or {})


class BadRequestError(BeanftError):
    """The request can't be understood."""

    status = HTTPStatus.BAD_REQUEST


class UnauthorizedError(BeanftError):
    """Nobody is logged in, or the key is not valid."""

    status = HTTPStatus.UNAUTHORIZED


class ForbiddenError(BeanftError):
    """Known, and not allowed."""

    status = HTTPStatus.FORBIDDEN


class NotFoundError(BeanftError):
    """It doesn't exist, or it is somebody else's: the answer is the same."""

    status = HTTPStatus.NOT_FOUND


class ConflictError(BeanftError):
    """It can't be done in the present state."""

    status = HTTPStatus.CONFLICT


class TooLargeError(BeanftError):
    """More bytes or rows than allowed."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMediaTypeError(BeanftError):
    """A content type that isn't served here."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class InvalidError(BeanftError):
    """Understood, and wrong: ``errors`` says where."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class ThrottledError(BeanftError):
    """Too many attempts.

    Args:
        detail: a sentence for the person.
        retry_after: seconds until another attempt makes sense.

    """

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, detail: str, *, retry_after: int) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class UnavailableError(BeanftError):
    """Something this service depends on doesn't answer or is damaged."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

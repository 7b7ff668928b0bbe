"""One place that says what an exception means to whoever sent the request."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import sqlalchemy as sa
from werkzeug.exceptions import HTTPException

from beanft.core.database import is_busy, is_unreachable
from beanft.core.errors import BeanftError
from beanft.ml.errors import DataError

ADVICE = {
    400: "The request couldn't be understood. Go back, reload the page and try again.",
    401: "Log in, or send a valid API key.",
    403: "You may not do this. If you filled in a form, reload the page and send it again.",
    404: "There is nothing at this address, or it isn't yours. Check the address.",
    405: "This address doesn't take that kind of request. Go to the page and use its form.",
    408: "The request took too long to arrive. Try again.",
    413: "That is more than we take at once. Send a smaller file.",
    414: "The address is too long. Go to the page and begin there.",
    415: "This address doesn't take that kind of content.",
    422: "Something in what you sent is wrong. Go back, correct it and send it again.",
    429: "Too many requests. Wait a little and try again.",
    500: "Something broke on our side. It has been logged; try again, and if it happens again "
    "tell the operator the request id below.",
    503: "The site is busy or being updated. Try again in a few seconds.",
}
UNREACHABLE = (
    "The site's database doesn't answer. It has been logged; try again in a minute, and if it "
    "lasts tell the operator the request id below."
)


@dataclass(frozen=True, slots=True)
class Description:
    """What to answer."""

    status: int
    detail: str
    errors: list[dict[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase


def describe(error: Exception) -> Description:
    """Say what an exception means; what isn't known is a 500 without any details."""
    if isinstance(error, BeanftError):
        return Description(int(error.status), error.detail, error.errors, error.headers)
    if isinstance(error, DataError):
        problems = [problem.to_dict() for problem in error.problems]
        return Description(422, str(error), problems)
    if isinstance(error, sa.exc.SQLAlchemyError) and is_busy(error):
        return Description(503, ADVICE[503], headers={"Retry-After": "2"})
    if isinstance(error, sa.exc.SQLAlchemyError) and is_unreachable(error):
        return Description(503, UNREACHABLE, headers={"Retry-After": "10"})
    if isinstance(error, HTTPException):
        status = error.code or 500
        headers = {}
        if status == 405:
            headers = {name: value for name, value in error.get_headers() if name == "Allow"}
        return Description(status, ADVICE.get(status, error.description or ""), headers=headers)
    return Description(500, ADVICE[500])

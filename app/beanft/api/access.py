"""Who calls the API: the holder of a key, who may do what its scopes say, at a bounded rate."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Response, g, request

from beanft.core.errors import ForbiddenError, ThrottledError, UnauthorizedError
from beanft.extensions import Site, site
from beanft.users.keys import Principal

# Set by what admits a request before Flask sees it, so that it isn't counted twice.
ADMITTED = "beanft.admitted"


def authenticate(scope: str, *others: str) -> Principal:
    """Return who calls.

    Args:
        scope: what the key has to be for.
        others: any one of these will do instead.

    Raises:
        UnauthorizedError: there is no valid key in ``Authorization: Bearer``.
        ForbiddenError: the key isn't for this.
        ThrottledError: the key sent too many requests.

    """
    principal = _holder()
    _count(principal)
    if principal.scopes.isdisjoint((scope, *others)):
        names = " or ".join(f"'{name}'" for name in (scope, *others))
        raise ForbiddenError(
            f"This API key lacks the scope {names}. Make a key that has it on your account page.",
            headers={
                "WWW-Authenticate": 'Bearer realm="beanft", error="insufficient_scope", '
                f'scope="{scope}"'
            },
        )
    return principal


def _holder() -> Principal:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key:
        principal = site().keys.principal(key.strip())
        if principal is not None:
            return principal
        challenge = 'Bearer realm="beanft", error="invalid_token"'
        detail = "The API key is unknown or was revoked. Make one on your account page."
    else:
        challenge = 'Bearer realm="beanft"'
        detail = "Send an API key as 'Authorization: Bearer KEY'. Make one on your account page."
    raise UnauthorizedError(detail, headers={"WWW-Authenticate": challenge})


def _count(principal: Principal) -> None:
    rate = site().rate
    if request.environ.get(ADMITTED) == principal.key_id:
        g.rate_headers = rate.look(principal.key_id)
        return
    headers = rate.admit(principal.key_id)
    if headers is None:
        g.rate_headers = rate.look(principal.key_id)
        seconds = rate.retry_after(principal.key_id)
        raise ThrottledError(
            "This API key sent too many requests. Wait as long as Retry-After says.",
            retry_after=seconds,
        )
    g.rate_headers = headers


def admit_predictions(here: Site) -> Callable[[Principal], list[tuple[str, str]] | None]:
    """Return what admits a request for predictions without Flask's help.

    It returns the headers of the answer; None sends the request to :func:`authenticate`, which
    says what is wrong.
    """
    rate = here.rate

    def admit(principal: Principal) -> list[tuple[str, str]] | None:
        return rate.admit(principal.key_id) if "predict" in principal.scopes else None

    return admit


def _tell_rate(response: Response) -> Response:
    response.headers.update(g.get("rate_headers", ()))
    return response


def install(app: Flask) -> None:
    """Tell callers in every answer how many requests they have left."""
    app.after_request(_tell_rate)

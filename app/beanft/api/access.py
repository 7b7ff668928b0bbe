"""Who calls the API: the holder of a key."""

from __future__ import annotations

from flask import request

from beanft.core.errors import UnauthorizedError
from beanft.extensions import site
from beanft.users.keys import Principal


def authenticate() -> Principal:
    """Return who calls.

    Raises:
        UnauthorizedError: there is no valid key in ``Authorization: Bearer``.

    """
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

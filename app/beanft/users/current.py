"""Who is looking at the page."""

from __future__ import annotations

from contextlib import suppress

from flask import g, request, session

from beanft.core.errors import NotFoundError, UnauthorizedError
from beanft.extensions import site
from beanft.users import service
from beanft.users.models import User, UserSession

TOKEN = "token"  # noqa: S105 - the name of a cookie's field


def _load() -> tuple[User, UserSession] | None:
    if "login" not in g:
        token = session.get(TOKEN)
        g.login = service.find_session(site().database, token) if token else None
    found: tuple[User, UserSession] | None = g.login
    return found


def current_user() -> User | None:
    """Return who is logged in, or None."""
    found = _load()
    return found[0] if found else None


def require_user() -> User:
    """Return who is logged in.

    Raises:
        UnauthorizedError: nobody is; pages lead to the log-in form.

    """
    user = current_user()
    if user is None:
        raise UnauthorizedError("Log in first.")
    return user


def current_session_id() -> str | None:
    """Return the id of the session in use."""
    found = _load()
    return found[1].id if found else None


def visitor() -> service.Visitor:
    """Return where the request comes from."""
    return service.Visitor(request.remote_addr or "", request.headers.get("User-Agent", ""))


def log_in(user: User) -> None:
    """Begin a session in a fresh cookie, so a planted one is worth nothing."""
    here = site()
    session.clear()
    days = here.settings.session_days
    session[TOKEN] = service.begin_session(here.database, user.id, visitor(), days)
    session.permanent = True
    g.pop("login", None)


def log_out() -> None:
    """End the session in use, in the database too."""
    found = _load()
    if found is not None:
        with suppress(NotFoundError):  # it went with its account, or was ended elsewhere
            service.end_session(site().database, found[0].id, found[1].id)
    session.clear()
    g.pop("login", None)

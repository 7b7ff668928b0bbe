"""Who is looking at the page."""

from __future__ import annotations

import time
from contextlib import suppress

from flask import g, request, session

from beanft.core.errors import NotFoundError, UnauthorizedError
from beanft.extensions import site
from beanft.security.tokens import token_hash
from beanft.users import service, sessions
from beanft.users.models import User, UserSession

TOKEN = "token"  # noqa: S105 - the name of a cookie's field
HALF = "half"
HALF_SECONDS = 600


def _load() -> tuple[User, UserSession] | None:
    if "login" not in g:
        token = session.get(TOKEN)
        g.login = sessions.find_session(site().database, token) if token else None
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


def settle_visitor(*, ask: bool) -> None:
    """Make ``current_user`` answer from now on without the database.

    An error's page shows who is logged in, and has to appear when the database is what failed.

    Args:
        ask: look once more, if that wasn't done yet; when it fails, nobody is logged in.

    """
    if "login" in g:
        return
    if ask:
        with suppress(Exception):
            _load()
    g.setdefault("login", None)


def visitor() -> sessions.Visitor:
    """Return where the request comes from."""
    return sessions.Visitor(request.remote_addr or "", request.headers.get("User-Agent", ""))


def log_in(user: User) -> None:
    """Begin a session in a fresh cookie, so a planted one is worth nothing."""
    here = site()
    session.clear()
    days = here.settings.session_days
    session[TOKEN] = sessions.begin_session(here.database, user.id, visitor(), days)
    session.permanent = True
    g.pop("login", None)


def _password_mark(user: User) -> str:
    return token_hash(user.password_hash or "")[:16]


def ask_for_code(user: User) -> None:
    """Note in a fresh cookie that somebody's password was right; it opens nothing by itself."""
    session.clear()
    session[HALF] = {"user": user.id, "mark": _password_mark(user), "at": int(time.time())}


def user_asked_for_code() -> User | None:
    """Return whose password was right in the last 10 minutes, and is their password still."""
    half = session.get(HALF)
    if not isinstance(half, dict) or time.time() - half["at"] > HALF_SECONDS:
        return None
    user = service.find_user(site().database, half["user"])
    return user if user is not None and _password_mark(user) == half["mark"] else None


def log_out() -> None:
    """End the session in use, in the database too."""
    found = _load()
    if found is not None:
        with suppress(NotFoundError):  # it went with its account, or was ended elsewhere
            sessions.end_session(site().database, found[0].id, found[1].id)
    session.clear()
    g.pop("login", None)

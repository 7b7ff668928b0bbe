"""Sessions: kept on the server, so that they can be listed and ended."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from beanft.core.database import Database, utcnow
from beanft.core.errors import NotFoundError
from beanft.core.logs import logger
from beanft.security.tokens import new_token, token_hash
from beanft.users.models import User, UserSession

SEEN_EVERY = dt.timedelta(minutes=5)
# What a User-Agent contains, and whose it is; the first that fits: all pretend to be others.
BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "Chrom": "Chrome",
    "CriOS/": "Chrome",
    "Safari/": "Safari",
    "curl/": "curl",
    "python": "Python",
}
SYSTEMS = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "CrOS": "ChromeOS",
    "Windows": "Windows",
    "Mac OS": "Mac",
    "Linux": "Linux",
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a login comes from."""

    address: str
    browser: str


def begin_session(database: Database, user_id: str, visitor: Visitor, days: int) -> str:
    """Begin a session and return the token for the cookie."""
    token = new_token()
    now = utcnow()
    with database.writing() as session:
        session.execute(sa.delete(UserSession).where(UserSession.expires_at < now))
        session.add(
            UserSession(
                user_id=user_id,
                token_hash=token_hash(token),
                expires_at=now + dt.timedelta(days=days),
                address=visitor.address[:45],
                browser=visitor.browser[:120],
            )
        )
    return token


def find_session(database: Database, token: str) -> tuple[User, UserSession] | None:
    """Return who holds a cookie's token, if the session hasn't ended."""
    now = utcnow()
    with database.reading() as session:
        found = session.execute(
            sa.select(User, UserSession)
            .join(UserSession, UserSession.user_id == User.id)
            .where(UserSession.token_hash == token_hash(token), UserSession.expires_at > now)
        ).first()
    if found is None:
        return None
    user, held = found
    if held.seen_at + SEEN_EVERY < now:
        _note_seen(database, held.id, now)
    return user, held


def _note_seen(database: Database, session_id: str, now: dt.datetime) -> None:
    try:
        with database.writing() as session:
            session.execute(
                sa.update(UserSession).where(UserSession.id == session_id).values(seen_at=now)
            )
    except sa.exc.OperationalError as error:
        # When somebody was seen last is no reason to refuse a page.
        logger().warning("session_use_not_noted", reason=str(error.orig))


def browser_name(user_agent: str) -> str:
    """Return a browser and its system in words, such as Firefox on Linux."""
    browser = next((name for part, name in BROWSERS.items() if part in user_agent), None)
    system = next((name for part, name in SYSTEMS.items() if part in user_agent), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or user_agent[:40] or "unknown"


def sessions_of(database: Database, user_id: str) -> list[UserSession]:
    """Return a person's sessions, the latest first."""
    with database.reading() as session:
        return list(
            session.scalars(
                sa.select(UserSession)
                .where(UserSession.user_id == user_id, UserSession.expires_at > utcnow())
                .order_by(UserSession.seen_at.desc())
            )
        )


def end_session(database: Database, user_id: str, session_id: str) -> None:
    """End one of a person's sessions.

    Raises:
        NotFoundError: there is none, or it is somebody else's.

    """
    with database.writing() as session:
        found = session.get(UserSession, session_id)
        if found is None or found.user_id != user_id:
            raise NotFoundError("There is no such session.")
        session.delete(found)


def end_other_sessions(database: Database, user_id: str, kept: str | None) -> int:
    """End all of a person's sessions but one; return how many there were."""
    with database.writing() as session:
        ended = session.execute(
            sa.delete(UserSession)
            .where(UserSession.user_id == user_id, UserSession.id != (kept or ""))
            .returning(UserSession.id)
        )
        return len(ended.all())

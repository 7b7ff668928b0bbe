"""Failed logins are counted in the database: every process and machine sees the same count.

Three counts: of the account, of the address, and of all log-ins together. The first two close for
the rest of 15 minutes. The last one only slows everybody down, since otherwise anybody could lock
everybody out: it drains all the time, and when it is full a place gets free every 3 seconds.
"""

from __future__ import annotations

import datetime as dt
import hashlib

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from beanft.core.database import Base, Database, utcnow
from beanft.core.errors import ThrottledError

WINDOW = dt.timedelta(minutes=15)
USER_FAILURES = 5
ADDRESS_FAILURES = 30
GLOBAL_FAILURES = 300
GLOBAL_DRAIN = WINDOW / GLOBAL_FAILURES
GLOBAL_WAIT_SECONDS = 10


class Throttle(Base):
    """Failures of one account or one address since ``window_start``."""

    __tablename__ = "throttles"

    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    failures: Mapped[int]
    window_start: Mapped[dt.datetime] = mapped_column(index=True)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


GLOBAL = _key("all")


def _keys(account: str, address: str) -> list[tuple[str, int]]:
    return [
        (_key(f"user:{account}"), USER_FAILURES),
        (_key(f"address:{address}"), ADDRESS_FAILURES),
    ]


def _count_globally(session: Session, now: dt.datetime) -> None:
    entry = session.get(Throttle, GLOBAL)
    if entry is None:
        session.add(Throttle(key=GLOBAL, failures=1, window_start=now))
        return
    drained = (now - entry.window_start) // GLOBAL_DRAIN
    if drained >= entry.failures:
        entry.failures, entry.window_start = 0, now
    elif drained > 0:
        entry.failures -= drained
        entry.window_start += drained * GLOBAL_DRAIN
    if entry.failures >= GLOBAL_FAILURES:
        raise ThrottledError(
            "Many log-ins fail right now, so all of them are slowed down. "
            f"Wait {GLOBAL_WAIT_SECONDS} seconds and try again.",
            retry_after=GLOBAL_WAIT_SECONDS,
        )
    entry.failures += 1


def count_attempt(
    database: Database, account: str, address: str, *, now: dt.datetime | None = None
) -> None:
    """Count an attempt to log in before the password is looked at.

    Counting first leaves no gap in which many guesses run side by side. An attempt that is
    refused is not counted.

    Raises:
        ThrottledError: the account had 5, or the address 30, failures in 15 minutes, or there
            were more than 300 in all.

    """
    now = now or utcnow()
    with database.writing() as session:
        session.execute(
            sa.delete(Throttle).where(Throttle.window_start < now - WINDOW, Throttle.key != GLOBAL)
        )
        for key, most in _keys(account, address):
            entry = session.get(Throttle, key)
            if entry is None:
                session.add(Throttle(key=key, failures=1, window_start=now))
                continue
            if entry.failures >= most:
                wait = int((entry.window_start + WINDOW - now).total_seconds()) + 1
                raise ThrottledError(
                    f"Too many failed attempts. Wait {-(-wait // 60)} minutes and try again.",
                    retry_after=wait,
                )
            entry.failures += 1
        _count_globally(session, now)


def forgive(database: Database, account: str, address: str) -> None:
    """Take an attempt back that turned out to be right, and clear the account's count."""
    user_key, address_key = (key for key, _most in _keys(account, address))
    with database.writing() as session:
        session.execute(sa.delete(Throttle).where(Throttle.key == user_key))
        session.execute(
            sa.update(Throttle)
            .where(Throttle.key.in_([address_key, GLOBAL]), Throttle.failures > 0)
            .values(failures=Throttle.failures - 1)
        )

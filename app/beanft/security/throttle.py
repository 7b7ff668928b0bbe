"""Failed logins are counted in the database: every process and machine sees the same count."""

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


class Throttle(Base):
    """Failures of one account or one address since ``window_start``."""

    __tablename__ = "throttles"

    key: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    failures: Mapped[int]
    window_start: Mapped[dt.datetime] = mapped_column(index=True)


def _keys(email: str, address: str) -> list[tuple[str, int]]:
    pairs = ((f"user:{email}", USER_FAILURES), (f"address:{address}", ADDRESS_FAILURES))
    return [(hashlib.sha256(text.encode()).hexdigest(), most) for text, most in pairs]


def _find(session: Session, key: str, now: dt.datetime) -> Throttle | None:
    found = session.get(Throttle, key)
    return found if found is not None and found.window_start + WINDOW > now else None


def count_attempt(database: Database, email: str, address: str) -> None:
    """Count an attempt to log in before the password is looked at.

    Counting first leaves no gap in which many guesses run side by side.

    Raises:
        ThrottledError: the account had 5, or the address 30, failures in 15 minutes.

    """
    now = utcnow()
    with database.writing() as session:
        session.execute(sa.delete(Throttle).where(Throttle.window_start < now - WINDOW))
        for key, most in _keys(email, address):
            entry = _find(session, key, now)
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


def forgive(database: Database, email: str, address: str) -> None:
    """Take an attempt back that turned out to be right, and clear the account's count."""
    user_key, address_key = (key for key, _most in _keys(email, address))
    with database.writing() as session:
        session.execute(sa.delete(Throttle).where(Throttle.key == user_key))
        session.execute(
            sa.update(Throttle)
            .where(Throttle.key == address_key, Throttle.failures > 0)
            .values(failures=Throttle.failures - 1)
        )

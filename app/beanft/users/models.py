"""Tables of accounts."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from beanft.core.database import Base, new_id, utcnow

ID = sa.String(20)
HASH = sa.String(64)


def _owner() -> Mapped[str]:
    return mapped_column(ID, sa.ForeignKey("users.id", ondelete="CASCADE"), index=True)


class User(Base):
    """A person with an account. ``password_hash`` is None until a one-time link is used.

    A second factor is on when ``totp_enabled_at`` is set; ``totp_last_step`` is the time step of
    the last code that was taken, so that none is taken twice (RFC 6238, 5.2).
    """

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(sa.String(254), unique=True)
    password_hash: Mapped[str | None] = mapped_column(sa.String(200))
    picture_key: Mapped[str | None] = mapped_column(sa.String(120))
    totp_secret: Mapped[str | None] = mapped_column(sa.String(64))
    totp_enabled_at: Mapped[dt.datetime | None]
    totp_last_step: Mapped[int | None] = mapped_column(sa.BigInteger)
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)


class RecoveryCode(Base):
    """A code that stands in for the second factor, once: its hash."""

    __tablename__ = "recovery_codes"

    code_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    user_id: Mapped[str] = _owner()
    used_at: Mapped[dt.datetime | None]


class UserSession(Base):
    """A login. The cookie holds a random token, the table its hash: both can be ended."""

    __tablename__ = "user_sessions"

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    user_id: Mapped[str] = _owner()
    token_hash: Mapped[str] = mapped_column(HASH, unique=True)
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    seen_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    expires_at: Mapped[dt.datetime] = mapped_column(index=True)
    address: Mapped[str] = mapped_column(sa.String(45))
    browser: Mapped[str] = mapped_column(sa.String(120))


class LoginLink(Base):
    """A one-time link to set a password."""

    __tablename__ = "login_links"

    token_hash: Mapped[str] = mapped_column(HASH, primary_key=True)
    user_id: Mapped[str] = _owner()
    expires_at: Mapped[dt.datetime]


class ApiKey(Base):
    """A key for the API: its hash, and its start to tell it from others.

    ``scopes`` is None for a key that may do everything.
    """

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    user_id: Mapped[str] = _owner()
    name: Mapped[str] = mapped_column(sa.String(80))
    prefix: Mapped[str] = mapped_column(sa.String(16))
    key_hash: Mapped[str] = mapped_column(HASH, unique=True)
    scopes: Mapped[list[str] | None]
    expires_at: Mapped[dt.datetime | None]
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    last_used_at: Mapped[dt.datetime | None]
    revoked_at: Mapped[dt.datetime | None]

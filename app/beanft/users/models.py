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
    """A person with an account. ``password_hash`` is None until a one-time link is used."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(sa.String(254), unique=True)
    password_hash: Mapped[str | None] = mapped_column(sa.String(200))
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)


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
    """A key for the API: its hash, and its start to tell it from others."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    user_id: Mapped[str] = _owner()
    name: Mapped[str] = mapped_column(sa.String(80))
    prefix: Mapped[str] = mapped_column(sa.String(16))
    key_hash: Mapped[str] = mapped_column(HASH, unique=True)
    created_at: Mapped[dt.datetime] = mapped_column(default=utcnow)
    last_used_at: Mapped[dt.datetime | None]
    revoked_at: Mapped[dt.datetime | None]

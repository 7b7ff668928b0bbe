"""Accounts: register, prove who one is, change the password, delete."""

from __future__ import annotations

import datetime as dt
import re

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from beanft.core.database import Database, utcnow
from beanft.core.errors import ConflictError, InvalidError, NotFoundError
from beanft.security import password_rules, throttle
from beanft.security.passwords import MAX_CHARS, hash_password, verify_password
from beanft.security.tokens import new_token, token_hash
from beanft.storage.files import Storage
from beanft.training.models import Model
from beanft.uploader.models import Dataset
from beanft.users.models import LoginLink, User, UserSession

LINK_LIFE = dt.timedelta(hours=48)
_EMAIL = re.compile(r"^[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+$")
TAKEN = "There is an account with this address. Log in instead."
WRONG_PASSWORD = "The password is wrong. Nothing was changed."  # noqa: S105 - a sentence
LINK_GONE = "This link was used or is too old. Ask for another one."


def normal_email(text: str) -> str:
    """Return an address as it is stored.

    Raises:
        InvalidError: it isn't one.

    """
    email = text.strip().lower()
    if len(email) > 254 or not _EMAIL.match(email):
        raise InvalidError(
            "That is not an e-mail address.",
            errors=[{"field": "email", "message": "Enter an e-mail address."}],
        )
    return email


def check_password(password: str, email: str = "") -> None:
    """Raise ``InvalidError`` unless a password may be used, by the person with that address."""
    if message := password_rules.problem(password, email):
        raise InvalidError(message, errors=[{"field": "password", "message": message}])


def register(database: Database, email: str, password: str | None) -> User:
    """Create an account; without a password it waits for a one-time link.

    Raises:
        InvalidError: the address or the password can't be used.
        ConflictError: the address has an account.

    """
    address = normal_email(email)
    encoded = None
    if password is not None:
        check_password(password, address)
        encoded = hash_password(password)
    user = User(email=address, password_hash=encoded)
    try:
        with database.writing() as session:
            session.add(user)
    except IntegrityError:
        raise ConflictError(TAKEN, errors=[{"field": "email", "message": TAKEN}]) from None
    return user


def find_user(database: Database, user_id: str) -> User | None:
    """Return an account."""
    with database.reading() as session:
        return session.get(User, user_id)


def user_by_email(database: Database, email: str) -> User:
    """Return the account with an address, for who looks after the site.

    Raises:
        InvalidError: the address isn't one.
        NotFoundError: nobody has it.

    """
    address = normal_email(email)
    with database.reading() as session:
        user = session.scalar(sa.select(User).where(User.email == address))
    if user is None:
        raise NotFoundError(f"There is no account with the address {address}.")
    return user


def authenticate(database: Database, email: str, password: str, address: str) -> User | None:
    """Return the user if the password is right.

    Unknown addresses take as long as known ones. Who has a second factor is not in yet.

    Raises:
        ThrottledError: too many failures lately.

    """
    email = email.strip().lower()[:254]
    throttle.count_attempt(database, email, address)
    with database.reading() as session:
        user = session.scalar(sa.select(User).where(User.email == email))
    encoded = user.password_hash if user else None
    if not verify_password(encoded, password[: MAX_CHARS + 1]):
        return None
    throttle.forgive(database, email, address)
    return user


def confirm_password(database: Database, user: User, password: str, address: str) -> None:
    """Make sure that who is logged in is still the person, before something that matters.

    Raises:
        InvalidError: the password is wrong.
        ThrottledError: too many failures lately.

    """
    if authenticate(database, user.email, password, address) is None:
        raise InvalidError(
            WRONG_PASSWORD, errors=[{"field": "current_password", "message": WRONG_PASSWORD}]
        )


def change_password(database: Database, user: User, password: str) -> None:
    """Set another password and end all sessions; the present one has to begin anew.

    One-time links end, too: one that somebody else asked for is worth nothing any more.

    Raises:
        InvalidError: the password can't be used.

    """
    check_password(password, user.email)
    encoded = hash_password(password)
    with database.writing() as session:
        _set_password(session, session.get_one(User, user.id), encoded)


def _set_password(session: Session, user: User, encoded: str) -> None:
    user.password_hash = encoded
    session.execute(sa.delete(LoginLink).where(LoginLink.user_id == user.id))
    session.execute(sa.delete(UserSession).where(UserSession.user_id == user.id))


def make_link(database: Database, user_id: str) -> str:
    """Return the token of a one-time link to set a password; it lives 48 hours."""
    token = new_token()
    with database.writing() as session:
        session.add(
            LoginLink(
                token_hash=token_hash(token), user_id=user_id, expires_at=utcnow() + LINK_LIFE
            )
        )
    return token


def use_link(database: Database, token: str, password: str) -> User:
    """Set the password by a one-time link, and end all sessions.

    Raises:
        InvalidError: the password can't be used; the link still can.
        NotFoundError: the link was used or is too old.

    """
    with database.reading() as session:
        email = session.scalar(
            sa.select(User.email)
            .join(LoginLink, LoginLink.user_id == User.id)
            .where(LoginLink.token_hash == token_hash(token), LoginLink.expires_at > utcnow())
        )
    if email is None:
        raise NotFoundError(LINK_GONE)
    check_password(password, email)
    encoded = hash_password(password)
    with database.writing() as session:
        link = session.get(LoginLink, token_hash(token))
        if link is None or link.expires_at < utcnow():
            raise NotFoundError(LINK_GONE)
        user = session.get_one(User, link.user_id)
        _set_password(session, user, encoded)
    return user


def delete_account(database: Database, storage: Storage, user_id: str) -> None:
    """Delete an account with everything that belongs to it, files included."""
    with database.writing() as session:
        picture = session.get_one(User, user_id).picture_key
        keys = [
            *session.scalars(sa.select(Dataset.storage_key).where(Dataset.user_id == user_id)),
            *session.scalars(sa.select(Model.storage_key).where(Model.user_id == user_id)),
            *([picture] if picture else []),
        ]
        session.execute(sa.delete(User).where(User.id == user_id))
    for key in keys:
        storage.delete(key)

"""The second factor: time-based one-time passwords (RFC 6238), and recovery codes."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import re
import secrets

import sqlalchemy as sa
from sqlalchemy.orm import Session

from beanft.core.database import Database, utcnow
from beanft.core.errors import ConflictError, InvalidError
from beanft.security import throttle
from beanft.security.tokens import token_hash
from beanft.users.models import RecoveryCode, User

ISSUER = "beanft"
STEP_SECONDS = 30
# A code of the step before or after counts, too: clocks differ, and typing takes time.
DRIFT_STEPS = 1
CODES = 10
CODE_BYTES = 15  # 120 random bits: a fast hash is enough then (ASVS 5.0, 6.5.2)
WRONG_CODE = (
    "This code is wrong or was used already. Type the one that the app shows now, "
    "and see that your device's clock is right."
)


def begin(database: Database, user_id: str) -> None:
    """Make a secret for a person's app; it is not asked for until ``enable``.

    Raises:
        ConflictError: the second factor is on.

    """
    import pyotp  # late: few requests need it

    with database.writing() as session:
        user = session.get_one(User, user_id, with_for_update=True)
        if user.totp_enabled_at is not None:
            raise ConflictError("The second factor is on already. Turn it off first.")
        user.totp_secret = pyotp.random_base32()


def address_for_app(user: User) -> str:
    """Return what an app's camera reads: an ``otpauth`` address with the secret."""
    import pyotp

    return pyotp.TOTP(user.totp_secret or "").provisioning_uri(name=user.email, issuer_name=ISSUER)


def qr_svg(user: User) -> str:
    """Return the same as a QR code (ISO/IEC 18004), an inline SVG without styles."""
    import segno

    code = segno.make(address_for_app(user), error="m", micro=False)
    # Dark on light in dark mode, too: not every camera reads it the other way round.
    svg: str = code.svg_inline(scale=5, border=4, dark="#000", light="#fff", omitsize=True)
    return svg


def _matching_step(secret: str, code: str, now: dt.datetime, after: int) -> int | None:
    import pyotp

    totp = pyotp.TOTP(secret, interval=STEP_SECONDS)
    present = int(now.timestamp()) // STEP_SECONDS
    for step in range(present - DRIFT_STEPS, present + DRIFT_STEPS + 1):
        right = hmac.compare_digest(totp.generate_otp(step).encode(), code.encode())
        if right and step > after:
            return step
    return None


def _plain(code: str) -> str:
    return re.sub(r"[\s-]", "", code).lower()[:64]


def new_recovery_code() -> str:
    """Return a code of six groups of four letters and digits."""
    text = base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


def _replace_codes(session: Session, user_id: str) -> list[str]:
    session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    codes = [new_recovery_code() for _ in range(CODES)]
    session.add_all(
        RecoveryCode(code_hash=token_hash(_plain(code)), user_id=user_id) for code in codes
    )
    return codes


def enable(
    database: Database, user_id: str, code: str, *, now: dt.datetime | None = None
) -> list[str]:
    """Turn the second factor on, once the app has shown that it has the secret.

    Returns:
        Ten recovery codes, which are not stored and can't be shown again.

    Raises:
        ConflictError: it is on already, or was not begun.
        InvalidError: the code is wrong.

    """
    now = now or utcnow()
    with database.writing() as session:
        user = session.get_one(User, user_id, with_for_update=True)
        if user.totp_secret is None or user.totp_enabled_at is not None:
            raise ConflictError("There is no second factor to turn on. Begin again.")
        step = _matching_step(user.totp_secret, _plain(code), now, -1)
        if step is None:
            raise InvalidError(WRONG_CODE, errors=[{"field": "code", "message": WRONG_CODE}])
        user.totp_enabled_at, user.totp_last_step = now, step
        return _replace_codes(session, user_id)


def _use_recovery_code(session: Session, user_id: str, code: str, now: dt.datetime) -> bool:
    used = session.execute(
        sa.update(RecoveryCode)
        .where(
            RecoveryCode.code_hash == token_hash(code),
            RecoveryCode.user_id == user_id,
            RecoveryCode.used_at.is_(None),
        )
        .values(used_at=now)
        .returning(RecoveryCode.code_hash)
    )
    return used.first() is not None


def accept(
    database: Database, user_id: str, code: str, address: str, *, now: dt.datetime | None = None
) -> bool:
    """Return whether a code is right; neither an app's nor a recovery code is right twice.

    Raises:
        ThrottledError: too many wrong codes lately.

    """
    now = now or utcnow()
    account = f"code:{user_id}"
    throttle.count_attempt(database, account, address, now=now)
    plain = _plain(code)
    with database.writing() as session:
        user = session.get(User, user_id, with_for_update=True)
        if user is None or user.totp_enabled_at is None or user.totp_secret is None:
            return False
        last = -1 if user.totp_last_step is None else user.totp_last_step
        step = _matching_step(user.totp_secret, plain, now, last)
        if step is not None:
            user.totp_last_step = step
        elif not _use_recovery_code(session, user_id, plain, now):
            return False
    throttle.forgive(database, account, address)
    return True


def confirm(
    database: Database, user_id: str, code: str, address: str, *, now: dt.datetime | None = None
) -> None:
    """Raise ``InvalidError`` unless a code is right, as ``accept`` tells."""
    if not accept(database, user_id, code, address, now=now):
        raise InvalidError(WRONG_CODE, errors=[{"field": "code", "message": WRONG_CODE}])


def disable(database: Database, user_id: str) -> None:
    """Turn the second factor off; its secret and the recovery codes are forgotten."""
    with database.writing() as session:
        user = session.get_one(User, user_id)
        user.totp_secret = user.totp_enabled_at = None
        session.execute(sa.delete(RecoveryCode).where(RecoveryCode.user_id == user_id))


def renew_codes(database: Database, user_id: str) -> list[str]:
    """Return ten new recovery codes; the old ones are worth nothing any more.

    Raises:
        ConflictError: the second factor is off.

    """
    with database.writing() as session:
        if session.get_one(User, user_id).totp_enabled_at is None:
            raise ConflictError("The second factor is off: there is nothing to recover.")
        return _replace_codes(session, user_id)


def codes_left(database: Database, user_id: str) -> int:
    """Return how many recovery codes are unused."""
    with database.reading() as session:
        unused = sa.select(sa.func.count()).where(
            RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None)
        )
        return int(session.scalar(unused) or 0)

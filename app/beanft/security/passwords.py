"""Passwords: argon2id, and the same work whether the account exists or not."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_CHARS = 10
RECOMMENDED_CHARS = 12
MAX_CHARS = 200


@cache
def _hasher() -> PasswordHasher:
    # Imported late: the API never hashes a password and starts sooner without.
    from argon2 import PasswordHasher

    # OWASP's first choice for argon2id: 25 ms of work here, against 140 ms and 64 MiB of
    # the library's preset, which a small machine can't do for several people at once.
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@cache
def _decoy() -> str:
    return _hasher().hash("nobody's password")


def hash_password(password: str) -> str:
    """Return an encoded argon2id hash with its salt and parameters."""
    return _hasher().hash(password)


def verify_password(encoded: str | None, password: str) -> bool:
    """Compare a password with its hash; ``None`` costs the same time and is never right."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        _hasher().verify(encoded or _decoy(), password)
    except (VerificationError, InvalidHashError):
        return False
    return encoded is not None

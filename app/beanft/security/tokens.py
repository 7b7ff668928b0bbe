"""Random tokens: given to somebody once, stored as a hash."""

from __future__ import annotations

import hashlib
import secrets

KEY_MARK = "bft"
PREFIX_CHARS = 12


def new_token() -> str:
    """Return 256 random bits that are safe in an address or a cookie."""
    return secrets.token_urlsafe(32)


def new_api_key() -> str:
    """Return an API key; its mark lets secret scanners recognise it."""
    return f"{KEY_MARK}_{new_token()}"


def key_prefix(key: str) -> str:
    """Return the start of an API key, to tell keys apart by eye."""
    return key[:PREFIX_CHARS]


def token_hash(token: str) -> str:
    """Return the SHA-256 in hex. Fast is right here: a random token can't be guessed."""
    return hashlib.sha256(token.encode()).hexdigest()

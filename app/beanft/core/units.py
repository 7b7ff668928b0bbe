"""Sizes in words."""

from __future__ import annotations


def size_in_words(count: int) -> str:
    """Return a number of bytes for people, in powers of ten."""
    if count < 1000:
        return f"{count} bytes"
    for most, unit in ((1e6, "kB"), (1e9, "MB")):
        if count < most:
            return f"{_short(count / (most / 1e3))} {unit}"
    return f"{_short(count / 1e9)} GB"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")

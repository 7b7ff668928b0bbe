"""Sizes in words."""

from __future__ import annotations


def size_in_words(count: int) -> str:
    """Return a number of bytes for people, in powers of ten."""
    if count < 1000:
        return f"{count} bytes"
    for most, unit in ((1e6, "kB"), (1e9, "MB")):
        if count < most:
            return f"{count / (most / 1e3):.1f} {unit}"
    return f"{count / 1e9:.1f} GB"

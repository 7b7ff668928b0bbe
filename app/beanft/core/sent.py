"""What forms send: browsers write each line break of a value as CR and LF."""

from __future__ import annotations

import re
from collections.abc import Iterable


def _plain(name: str) -> str:
    return re.sub(r"\r\n|\r", "\n", name)


def meant(names: Iterable[str], sent: str) -> str:
    """Return the name that was meant by what a form sent; that itself where there is none."""
    plain = _plain(sent)
    return next((name for name in names if _plain(name) == plain), sent)

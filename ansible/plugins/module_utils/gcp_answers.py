"""What APIs of Google answer, compared with what is wanted."""

from __future__ import annotations

import re
from typing import Any


def same(wanted: Any, there: Any) -> bool:
    """Tell whether something is as it is wanted, whatever else the API says about it."""
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(
            same(value, there.get(key)) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(there, list)
            and len(there) == len(wanted)
            and all(any(same(item, other) for other in there) for item in wanted)
        )
    return _plain(wanted) == _plain(there)


def _plain(value: Any) -> str:
    # A link without the host, of which the API has several.
    return re.sub(r"^https://[^/]+/compute/v1/", "", str(value))


def said(operation: dict[str, Any]) -> str:
    """Return why an operation has failed, or ''."""
    errors = (operation.get("error") or {}).get("errors") or []
    return "; ".join(str(error.get("message") or error.get("code")) for error in errors)


def checked(module: Any, answer: Any) -> dict[str, Any]:
    """Return what an answer says, or end the run with the API's words."""
    module.raise_for_status(answer)
    return dict(answer.json()) if answer.content else {}

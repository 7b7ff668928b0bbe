"""A pytest plugin: the databases that tests make have a newer release's schema from the start.

Whatever of an older release's code opens a new SQLite file by SQLAlchemy finds a copy of
BEANFT_NEWER_DATABASE there, as it would find a newer schema after a rollback. How that code's
tests make their database doesn't matter.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

TEMPLATE = Path(os.environ["BEANFT_NEWER_DATABASE"])


def pytest_configure() -> None:
    """Begin to listen, before any test's engine connects."""
    event.listen(sa.Engine, "do_connect", _give_schema)


def _give_schema(_dialect: Any, _record: Any, arguments: list[Any], _options: Any) -> None:
    path = Path(str(arguments[0])) if arguments else Path(":memory:")
    if str(path) == ":memory:" or (path.exists() and path.stat().st_size):
        return
    shutil.copy(TEMPLATE, path)
    TEMPLATE.with_suffix(".used").touch()  # bin/test-previous wants to see that it was

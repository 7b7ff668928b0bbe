"""Which schema revision the code needs, and which one the database has.

The migrations' files are read as text: importing alembic costs half a second that the API's
start doesn't have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from beanft.core.database import Database

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
_REVISION = re.compile(r"^revision(?:\s*:[^=]+)?\s*=\s*[\"']([^\"']+)[\"']", re.M)
_DOWN = re.compile(r"^down_revision(?:\s*:[^=]+)?\s*=\s*[\"']([^\"']+)[\"']", re.M)


@dataclass(frozen=True, slots=True)
class Shipped:
    """The revisions this release knows: all of them, and the newest."""

    known: frozenset[str]
    head: str


@cache
def shipped() -> Shipped:
    """Read the migrations that came with this code.

    Raises:
        RuntimeError: there are none, or they have more than one head.

    """
    revisions: set[str] = set()
    parents: set[str] = set()
    for path in sorted((MIGRATIONS / "versions").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        revisions.update(_REVISION.findall(text))
        parents.update(_DOWN.findall(text))
    heads = revisions - parents
    if len(heads) != 1:
        raise RuntimeError(f"expected one head in {MIGRATIONS}, found {sorted(heads)}")
    return Shipped(frozenset(revisions), heads.pop())


def database_revision(database: Database) -> str | None:
    """Return the schema revision of the database, or None when it has no schema yet."""
    try:
        with database.reading() as session:
            found = session.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    except (sa.exc.OperationalError, sa.exc.ProgrammingError) as error:
        if "alembic_version" in str(error.orig):
            return None
        raise
    return None if found is None else str(found)


def is_sufficient(revision: str | None) -> bool:
    """Tell whether code of this release can run on that schema.

    A revision this release has never heard of belongs to a newer one: migrations only expand,
    so an older release goes on working, as it must while a deploy is rolled back.
    """
    if revision is None:
        return False
    return revision == shipped().head or revision not in shipped().known

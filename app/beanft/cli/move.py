"""``beanft move-database``: between SQLite and PostgreSQL, with everything compared."""

from __future__ import annotations

import dataclasses
import json
import sys
from argparse import Namespace
from pathlib import Path

import sqlalchemy as sa

from beanft.config import Access, ConfigError, Settings, check_database_url
from beanft.core.backup import BackupError
from beanft.core.migrate import MigrationError
from beanft.core.move import Moved, MoveError, Place, move


def _place(settings: Settings, option: str, url: str, files: Path | None) -> Place:
    if not check_database_url(option, url):
        if files is None:
            raise ConfigError(f"{option} is SQLite: say with {option}-files where its files are.")
        return Place(url, Access(), files)
    if files is not None:
        raise ConfigError(f"{option} is PostgreSQL, which has the files: leave {option}-files out.")
    if not check_database_url("BEANFT_DATABASE_URL", settings.database_url):
        raise ConfigError(
            f"{option} is PostgreSQL: run this with its settings, BEANFT_DATABASE_URL, "
            "BEANFT_DATABASE_CA and the secret, so that it can be reached."
        )
    return Place(url, settings.database_access, None)


def _table(moved: list[Moved]) -> str:
    width = max(len(entry.name) for entry in moved)
    lines = [f"{'table':<{width}}  {'rows':>9}  {'bytes':>13}  checksum, the same on both sides"]
    for entry in moved:
        size = f"{entry.size:,}" if entry.size else ""
        lines.append(f"{entry.name:<{width}}  {entry.rows:>9,}  {size:>13}  {entry.checksum[:32]}")
    return "\n".join(lines)


def move_database(settings: Settings, options: Namespace) -> int:
    """Copy everything, and print what arrived; 1 where it can't be done, with one sentence."""
    try:
        source = _place(settings, "--from", options.source, options.from_files)
        target = _place(settings, "--to", options.target, options.to_files)
        moved = move(source, target)
    except (ConfigError, MoveError, BackupError, MigrationError) as error:
        print(f"beanft: {error}", file=sys.stderr)
        return 1
    except sa.exc.DBAPIError as error:
        cause = str(error.orig).partition("\n")[0]
        print(f"beanft: A database doesn't answer as it should: {cause}.", file=sys.stderr)
        return 1
    if options.json:
        answer = {"from": source.url, "to": target.url}
        print(json.dumps({**answer, "moved": [dataclasses.asdict(entry) for entry in moved]}))
    else:
        print(_table(moved))
    return 0

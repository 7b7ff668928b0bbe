"""An upgrade backs up first, and happens as a whole or not at all."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from beanft.cli.main import main
from beanft.core import backup, migrate, schema_revision
from beanft.core.database import Database
from beanft.core.schema_revision import shipped
from beanft.users.models import User

NEXT = """
import sqlalchemy as sa
from alembic import op
revision = "{revision}"
down_revision = "{after}"
phase = "expand"
def upgrade():
{steps}
"""
GOOD = '    op.add_column("users", sa.Column("{name}", sa.Integer()))\n'
BAD = (
    '    op.execute("UPDATE users SET email = \'x\'")\n    op.execute("UPDATE nowhere SET x = 1")\n'
)


class Installation:
    """A database at the present head, and a copy of the migrations to which one can add."""

    def __init__(self, folder: Path, versions: Path) -> None:
        self.path = folder / "db.sqlite3"
        self.url = f"sqlite:///{self.path}"
        self.versions = versions
        self.head = shipped().head

    def add(self, revision: str, steps: str) -> None:
        """Add a migration after the newest."""
        text = NEXT.format(revision=revision, after=shipped().head, steps=steps)
        (self.versions / f"{revision}_x.py").write_text(text)
        shipped.cache_clear()

    def dump(self) -> list[str]:
        """Return all of the database as SQL."""
        with closing(sqlite3.connect(self.path)) as connection:
            return list(connection.iterdump())

    @property
    def backups(self) -> list[Path]:
        """The backups, by name."""
        return sorted((self.path.parent / backup.FOLDER).glob("*"))


@pytest.fixture
def there(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    migrations = tmp_path / "migrations"
    shutil.copytree(schema_revision.MIGRATIONS, migrations)
    for module in (migrate, schema_revision):
        monkeypatch.setattr(module, "MIGRATIONS", migrations)
    shipped.cache_clear()
    found = Installation(tmp_path / "db", migrations / "versions")
    found.path.parent.mkdir()
    shutil.copy(empty_database, found.path)
    with Database(found.url) as database, database.writing() as session:
        session.add(User(email="ada@example.org"))
    monkeypatch.setenv("BEANFT_ENVIRONMENT", "test")
    monkeypatch.setenv("BEANFT_DATABASE_URL", found.url)
    return found


@pytest.fixture(autouse=True)
def _forget_the_migrations() -> object:
    yield
    shipped.cache_clear()


def test_an_upgrade_makes_a_sound_backup_first(
    there: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    before = there.dump()
    there.add("9001", GOOD.format(name="a"))
    there.add("9002", GOOD.format(name="b"))
    assert main(["db", "upgrade"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    (kept,) = there.backups
    assert said == {
        "current": "9002",
        "head": "9002",
        "applied": ["9001", "9002"],
        "backup": str(kept),
    }
    assert kept.name.startswith(f"{there.head}-2")
    with closing(sqlite3.connect(kept)) as connection:
        assert list(connection.iterdump()) == before
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert there.dump() != before
    assert main(["db", "upgrade"]) == 0
    assert json.loads(capsys.readouterr().out)["backup"] is None
    assert there.backups == [kept]


def test_a_migration_that_fails_half_way_leaves_all_as_it_was(
    there: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    before = there.dump()
    there.add("9001", GOOD.format(name="a"))  # this one would succeed
    there.add("9002", GOOD.format(name="b") + BAD)
    assert main(["db", "upgrade"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "9002_x.py failed, and nothing was changed: no such table: nowhere" in err
    assert there.dump() == before
    with Database(there.url) as database:
        assert migrate.current(database) == {"current": there.head, "head": "9002"}


def test_without_a_backup_nothing_is_changed(
    there: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    before = there.dump()
    there.add("9001", GOOD.format(name="a"))
    (there.path.parent / backup.FOLDER).write_text("in the way of the folder")
    assert main(["db", "upgrade"]) == 1
    assert "can't be backed up" in capsys.readouterr().err
    assert there.dump() == before


def test_a_damaged_database_is_not_upgraded(there: Installation) -> None:
    # An index that misses a row, as a torn write leaves it.
    with closing(sqlite3.connect(there.path)) as connection:
        connection.execute("CREATE INDEX ix_x ON users (id)")
        find = "SELECT * FROM sqlite_schema WHERE name = 'ix_x'"
        row = connection.execute(find).fetchone()
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'ix_x'")
        connection.commit()
    with Database(there.url) as database, database.writing() as session:
        session.add(User(email="bob@example.org"))
    with closing(sqlite3.connect(there.path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)
        connection.commit()
    there.add("9001", GOOD.format(name="a"))
    with pytest.raises(backup.BackupError, match="missing from index ix_x"):
        migrate.upgrade(there.url)
    assert there.backups == []


def test_the_newest_five_backups_stay(there: Installation) -> None:
    folder = there.path.parent / backup.FOLDER
    folder.mkdir()
    for day in range(10, 17):
        (folder / f"{day % 3:04}-201901{day}T000000Z.sqlite3").touch()
    made = backup.back_up(there.path, "0002")
    days = sorted(path.stem.split("-")[1][:8] for path in there.backups if path != made)
    assert days == ["20190113", "20190114", "20190115", "20190116"]
    assert made in there.backups


def test_a_table_changed_by_copying_keeps_what_refers_to_it(there: Installation) -> None:
    with Database(there.url) as database, database.writing() as session:
        session.execute(
            sa.text(
                "INSERT INTO login_links SELECT 'x', id, '2999-01-01 00:00:00.000000' FROM users"
            )
        )
    steps = '    with op.batch_alter_table("users", recreate="always") as batch:\n'
    there.add("9001", steps + '        batch.add_column(sa.Column("a", sa.Integer()))\n')
    migrate.upgrade(there.url)
    assert sum('INSERT INTO "login_links"' in line for line in there.dump()) == 1
    there.add("9002", '    op.execute("DELETE FROM users")\n')
    with pytest.raises(migrate.MigrationError, match="refer to rows of users that are gone"):
        migrate.upgrade(there.url)


def test_a_lock_is_waited_for_within_bounds(
    there: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_SECONDS", 0.2)
    there.add("9001", GOOD.format(name="a"))
    with closing(sqlite3.connect(there.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(migrate.MigrationError, match="database is locked"):
            migrate.upgrade(there.url)
    assert migrate.upgrade(there.url).applied == ["9001"]

"""An upgrade on PostgreSQL: backed up by who runs it, all or nothing, one at a time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from beanft.cli.main import main
from beanft.core import migrate, schema_revision
from beanft.core.database import Database
from beanft.core.schema_revision import MIGRATIONS, database_revision, shipped
from beanft.tables import metadata
from tests.servers import Servers

NEXT = """
import sqlalchemy as sa
from alembic import op
revision = "9001"
down_revision = "{after}"
phase = "expand"
def upgrade():
    op.add_column("users", sa.Column("a", sa.Integer()))
{more}
"""


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the migrations to which one can add."""
    migrations = tmp_path / "migrations"
    shutil.copytree(schema_revision.MIGRATIONS, migrations)
    for module in (migrate, schema_revision):
        monkeypatch.setattr(module, "MIGRATIONS", migrations)
    shipped.cache_clear()
    yield migrations / "versions"
    monkeypatch.undo()
    shipped.cache_clear()


def add(versions: Path, more: str = "") -> None:
    text = NEXT.format(after=shipped().head, more=more)
    (versions / "9001_x.py").write_text(text)
    shipped.cache_clear()


def columns(database: Database) -> set[str]:
    return {column["name"] for column in sa.inspect(database.engine).get_columns("users")}


@pytest.fixture
def environment(servers: Servers, other: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEANFT_ENVIRONMENT", "test")
    for name, value in servers.places(str(other.engine.url.database)).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("environment")
def test_step_by_step(other: Database, versions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert database_revision(other) is None
    assert main(["db", "upgrade"]) == 0, "there is nothing to back up"
    assert json.loads(capsys.readouterr().out)["backup"] is None
    with other.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    add(versions)
    assert main(["db", "upgrade"]) == 1
    err = capsys.readouterr().err
    assert "--backed-up NAME" in err
    assert err.count("\n") == 1
    assert "a" not in columns(other)
    assert main(["db", "upgrade", "--backed-up", "snapshot 12"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["applied"], said["backup"]) == (["9001"], "snapshot 12")
    assert main(["db", "upgrade"]) == 0, "nothing is pending, so nothing is asked"


@pytest.mark.usefixtures("environment")
def test_a_migration_that_fails_half_way_leaves_all_as_it_was(
    other: Database, versions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["db", "upgrade"]) == 0
    capsys.readouterr()
    add(versions, '    op.execute("UPDATE nowhere SET x = 1")')
    assert main(["db", "upgrade", "--backed-up", "x"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert '9001_x.py failed, and nothing was changed: relation "nowhere" does not exist.' in err
    assert "a" not in columns(other)
    assert migrate.pending(other) == ["9001"]


def test_of_two_at_once_the_second_has_nothing_to_do(other: Database, servers: Servers) -> None:
    env = {
        **servers.places(str(other.engine.url.database)),
        "BEANFT_ENVIRONMENT": "test",
        "PYTHONPATH": str(MIGRATIONS.parent),
    }
    command = [sys.executable, "-m", "beanft", "db", "upgrade"]
    running = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in running:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert json.loads(out)["current"] == shipped().head


def test_a_lock_is_waited_for_within_bounds(
    other: Database,
    servers: Servers,
    versions: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, access = servers.url(str(other.engine.url.database)), servers.settings.database_access
    migrate.upgrade(url, access)
    add(versions)
    monkeypatch.setattr(migrate, "LOCK_SECONDS", 0.2)
    with other.writing() as session:
        session.execute(sa.text("LOCK TABLE users IN ACCESS SHARE MODE"))
        with pytest.raises(migrate.MigrationError, match="lock timeout"):
            migrate.upgrade(url, access, backed_up="x")
    assert migrate.upgrade(url, access, backed_up="x").applied == ["9001"]

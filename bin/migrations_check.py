"""Checks that the release before this one can go on working on this tree's schema.

Every migration declares its phase. "expand" only adds; all else is "contract", and may take
away only what the models of the release before (bin/previous-release) no longer have. The
migrations are run one after the other on an empty database, and what they do is looked at:
it makes no difference how they are written.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations, ops
from alembic.script import ScriptDirectory
from sqlalchemy import event

ROOT = Path(__file__).resolve().parent.parent
PHASES = ("expand", "contract")
# INSERT and UPDATE fill what was added; the rest only looks.
HARMLESS_SQL = ("INSERT", "UPDATE", "SELECT", "PRAGMA")
MODELS = """
import json
from beanft.tables import metadata
print(json.dumps({t.name: [c.name for c in t.columns] for t in metadata.tables.values()}))
"""
Tables = dict[str, set[str]]


@dataclass(frozen=True)
class Release:
    """The release before: its name, the revisions it knows, tables and columns of its models."""

    name: str
    revisions: frozenset[str] = frozenset()
    models: Tables = field(default_factory=dict)


class Recorder(Operations):
    """Alembic's operations, which note what an expand migration must not do."""

    def __init__(self, context: MigrationContext) -> None:
        super().__init__(context)
        self.more_than_adding: list[str] = []
        self._new: set[str] = set()
        self._inside = 0  # alembic's own statements aren't the migration's

    @contextmanager
    def listening(self, connection: sa.Connection) -> Iterator[None]:
        """Also note the SQL that a migration runs past alembic."""

        def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if not self._inside and not statement.lstrip().upper().startswith(HARMLESS_SQL):
                self.more_than_adding.append(f"runs SQL: {' '.join(statement.split())[:80]}")

        event.listen(connection, "before_cursor_execute", look)
        try:
            yield
        finally:
            event.remove(connection, "before_cursor_execute", look)

    def invoke(self, operation: ops.MigrateOperation) -> Any:
        """Note an operation, and do it."""
        self._note(operation)
        if isinstance(operation, ops.ExecuteSQLOp):
            return super().invoke(operation)
        self._inside += 1
        try:
            return super().invoke(operation)
        finally:
            self._inside -= 1

    @contextmanager
    def batch_alter_table(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        """Note the operations of a batch, too; at its end alembic copies the table."""
        with super().batch_alter_table(*arguments, **options) as batch:
            plain = batch.invoke

            def invoke(operation: ops.MigrateOperation) -> Any:
                self._note(operation)
                return plain(operation)

            batch.invoke = invoke  # type: ignore[method-assign]
            yield batch
            self._inside += 1
        self._inside -= 1

    def _note(self, operation: ops.MigrateOperation) -> None:
        if isinstance(operation, ops.CreateTableOp):
            self._new.add(operation.table_name)
        elif getattr(operation, "table_name", None) not in self._new:
            found = describe(operation)
            if found is not None:
                self.more_than_adding.append(found)


def describe(operation: Any) -> str | None:
    """Say what an operation does to a table that was there; None if it only adds."""
    table = getattr(operation, "table_name", "")
    match operation:
        case ops.ExecuteSQLOp() | ops.BulkInsertOp():
            return None
        case ops.AddColumnOp():
            column = operation.column
            if column.unique:
                return f"adds the unique column {table}.{column.name}"
            if not column.nullable and column.server_default is None:
                return (
                    f"adds the column {table}.{column.name}, NOT NULL and without a server default"
                )
            return None
        case ops.CreateIndexOp():
            return f"adds a unique index to {table}" if operation.unique else None
        case ops.AlterColumnOp():
            return alteration(operation, f"{table}.{operation.column_name}")
        case ops.DropColumnOp():
            return f"drops the column {table}.{operation.column_name}"
        case ops.DropTableOp():
            return f"drops the table {table}"
        case ops.RenameTableOp():
            return f"renames the table {table} to {operation.new_table_name}"
        case ops.DropIndexOp():
            return f"drops the index {operation.index_name}"
        case ops.DropConstraintOp():
            return f"drops the constraint {operation.constraint_name} of {table}"
        case ops.AddConstraintOp():
            return f"adds a constraint to {table or getattr(operation, 'source_table', '?')}"
    return f"does what this check doesn't know ({type(operation).__name__})"


def alteration(operation: ops.AlterColumnOp, column: str) -> str:
    """Say what becomes of a column."""
    if operation.modify_name is not None:
        return f"renames the column {column} to {operation.modify_name}"
    if operation.modify_type is not None:
        return f"changes the type of {column}"
    if operation.modify_nullable is False:
        return f"makes {column} NOT NULL"
    return f"alters the column {column}"


def tables_of(connection: sa.Connection) -> Tables:
    """Return the tables of a database and their columns."""
    inspector = sa.inspect(connection)
    return {
        table: {column["name"] for column in inspector.get_columns(table)}
        for table in inspector.get_table_names()
    }


def missed(before: Tables, after: Tables, release: Release) -> list[str]:
    """Return what of a release's models a migration took away."""
    found = []
    for table, columns in release.models.items():
        if table in before and table not in after:
            found.append(f"the table {table}")
            continue
        gone = (before.get(table, set()) - after.get(table, set())) & columns
        found += [f"the column {table}.{column}" for column in sorted(gone)]
    return found


def judge(
    name: str, module: ModuleType, recorder: Recorder, lost: list[str], new: bool, release: Release
) -> list[str]:
    """Return what is wrong with a migration that was run."""
    phase = getattr(module, "phase", None)
    if phase not in PHASES:
        return [f'{name}: declares no phase: write phase = "expand" or phase = "contract"']
    if phase == "expand":
        return [
            f'{name}: {what}, but phase = "expand" only adds: move that to a migration with '
            'phase = "contract", in a release of its own'
            for what in recorder.more_than_adding
        ]
    if not new:
        return []
    return [
        f"{name}: drops or renames {what}, which release {release.name} still uses: stop using it "
        "in one release, drop it in the next"
        for what in lost
    ]


def check(migrations: Path, release: Release) -> tuple[list[str], list[str]]:
    """Run all migrations of a folder.

    Returns:
        What is wrong, a sentence each, and the migrations with their phases.

    """
    script = ScriptDirectory(str(migrations))
    problems: list[str] = []
    seen: list[str] = []
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        for step in reversed(list(script.walk_revisions())):
            name = Path(step.path).name
            before = tables_of(connection)
            recorder = Recorder(MigrationContext.configure(connection))
            vars(step.module)["op"] = recorder
            try:
                with recorder.listening(connection):
                    step.module.upgrade()
            except Exception as error:
                return [*problems, f"{name}: fails on an empty database: {error}"], seen
            lost = missed(before, tables_of(connection), release)
            new = step.revision not in release.revisions
            problems += judge(name, step.module, recorder, lost, new, release)
            seen.append(f"{step.revision} {getattr(step.module, 'phase', '-')}")
    engine.dispose()
    return problems, seen


def release_before(name: str) -> Release:
    """Look at the code of a release, in a folder of its own."""
    archive = subprocess.run(
        ["git", "archive", name, "app"], cwd=ROOT, capture_output=True, check=True
    )
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as packed:
            packed.extractall(folder, filter="data")
        app = Path(folder) / "app"
        models = subprocess.run(
            [sys.executable, "-c", MODELS],
            env={**os.environ, "PYTHONPATH": str(app)},
            capture_output=True,
            text=True,
            check=False,
        )
        if models.returncode:
            sys.exit(f"beanft: the models of {name} can't be read:\n{models.stderr}")
        known = ScriptDirectory(str(app / "migrations")).walk_revisions()
        return Release(
            name,
            frozenset(step.revision for step in known),
            {table: set(columns) for table, columns in json.loads(models.stdout).items()},
        )


def main() -> int:
    """Check this tree; 1 when something is wrong."""
    done = subprocess.run(
        [ROOT / "bin/previous-release"], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        return 1  # it said why
    release = release_before(done.stdout.strip())
    problems, seen = check(ROOT / "app/migrations", release)
    for problem in problems:
        print(f"beanft: {problem}", file=sys.stderr)
    if not problems:
        print(f"{', '.join(seen)}: release {release.name} goes on working")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

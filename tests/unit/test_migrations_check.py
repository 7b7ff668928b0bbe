"""The check of migrations, fed with good and bad ones; and which release is the one before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from beanft.core.schema_revision import MIGRATIONS, shipped
from beanft.tables import metadata

ROOT = MIGRATIONS.parents[1]
MEND = "stop using it in one release, drop it in the next"
NEXT = """
import sqlalchemy as sa
from alembic import op
revision = "{revision}"
down_revision = "{after}"
{phase}
def upgrade():
{steps}
"""
Check = Callable[..., list[str]]


@pytest.fixture(scope="module")
def tool() -> Any:
    """The script, as a module."""
    spec = spec_from_file_location("migrations_check", ROOT / "bin/migrations_check.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def check(tool: Any, tmp_path: Path) -> Check:
    """Return a function that checks the migrations and one more; the release before is this."""
    shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    models = {t.name: {c.name for c in t.columns} for t in metadata.tables.values()}
    head = shipped().head

    def act(
        steps: str, phase: str | None = "expand", without: tuple[str, str] | None = None
    ) -> Any:
        said = "" if phase is None else f'phase = "{phase}"'
        lines = "".join(f"    {line}\n" for line in steps.strip().splitlines())
        text = NEXT.format(revision="0009", after=head, phase=said, steps=lines)
        (tmp_path / "migrations/versions/0009_x.py").write_text(text)
        left = {
            table: columns - {without[1]} if without and without[0] == table else columns
            for table, columns in models.items()
        }
        release = tool.Release("v1.0.0", frozenset(shipped().known), left)
        problems, _seen = tool.check(tmp_path / "migrations", release)
        return problems

    return act


@pytest.mark.parametrize(
    "steps",
    [
        'op.create_table("t", sa.Column("a", sa.Integer(), nullable=False))\n'
        'op.create_index("ix_t", "t", ["a"], unique=True)',
        'op.add_column("users", sa.Column("a", sa.Integer()))\nop.execute("UPDATE users SET a = 1")',
        'op.add_column("users", sa.Column("a", sa.Integer(), server_default="0", nullable=False))',
        'op.create_index("ix_x", "users", ["password_hash"])',
        'with op.batch_alter_table("users", recreate="always") as batch:\n'
        '    batch.add_column(sa.Column("a", sa.Integer()))',
        'op.get_bind().execute(sa.text("SELECT 1"))\nsa.inspect(op.get_bind()).get_table_names()',
        'op.bulk_insert(sa.table("throttles", sa.column("key"), sa.column("failures"),'
        ' sa.column("window_start")), [{"key": "a", "failures": 1, "window_start": "2026-01-01"}])',
    ],
)
def test_what_only_adds_is_an_expansion(check: Check, steps: str) -> None:
    assert check(steps) == []


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ('op.drop_column("users", "password_hash")', "drops the column users.password_hash"),
        ('op.execute("ALTER TABLE users DROP COLUMN password_hash")', "runs SQL: ALTER TABLE"),
        ('op.get_bind().execute(sa.text("drop table jobs"))', "runs SQL: drop table jobs"),
        ('op.execute(sa.text("DELETE FROM users"))', "runs SQL: DELETE FROM users"),
        ('op.drop_table("jobs")', "drops the table jobs"),
        ('op.rename_table("jobs", "tasks")', "renames the table jobs to tasks"),
        ('op.drop_index("ix_jobs_state", "jobs")', "drops the index ix_jobs_state"),
        ('op.create_index("i", "users", ["id"], unique=True)', "adds a unique index to users"),
        (
            'op.execute("DELETE FROM users")\n'
            'op.add_column("users", sa.Column("a", sa.Integer(), nullable=False))',
            "adds the column users.a, NOT NULL and without a server default",
        ),
        *(
            (f'with op.batch_alter_table("users") as batch:\n    batch.{step}', said)
            for step, said in (
                ('drop_column("email")', "drops the column users.email"),
                ('alter_column("email", new_column_name="mail")', "renames the column users.email"),
                (
                    'alter_column("password_hash", existing_type=sa.String(200), nullable=False)',
                    "makes users.password_hash NOT NULL",
                ),
                ('alter_column("email", type_=sa.Text())', "changes the type of users.email"),
                ('create_unique_constraint("uq_x", ["created_at"])', "adds a constraint to users"),
                ('drop_constraint("uq_users_email")', "drops the constraint uq_users_email"),
            )
        ),
    ],
)
def test_what_does_more_is_none(check: Check, steps: str, said: str) -> None:
    problems = [problem for problem in check(steps) if said in problem]
    assert len(problems) == 1, check(steps)
    assert problems[0].startswith("0009_x.py: ")
    assert 'phase = "contract"' in problems[0]


def test_a_migration_without_a_phase_or_with_another(check: Check) -> None:
    for phase in (None, "expnd"):
        (problem,) = check("pass", phase)
        assert problem.startswith("0009_x.py: declares no phase")


def test_one_that_fails(check: Check) -> None:
    (problem,) = check('op.execute("UPDATE nowhere SET a = 1")')
    assert "fails on an empty database" in problem


@pytest.mark.parametrize(
    ("steps", "what"),
    [
        ('op.drop_column("users", "password_hash")', "the column users.password_hash"),
        ('op.execute("ALTER TABLE users DROP COLUMN password_hash")', "users.password_hash"),
        (
            'with op.batch_alter_table("users") as batch:\n'
            '    batch.alter_column("password_hash", new_column_name="secret")',
            "the column users.password_hash",
        ),
        ('op.drop_table("throttles")', "the table throttles"),
        ('op.rename_table("throttles", "brakes")', "the table throttles"),
    ],
)
def test_a_contraction_spares_what_the_release_before_uses(
    check: Check, steps: str, what: str
) -> None:
    (problem,) = check(steps, "contract")
    assert problem.startswith("0009_x.py: drops or renames")
    assert what in problem
    assert "release v1.0.0 still uses" in problem
    assert problem.endswith(MEND)


def test_a_contraction_drops_what_nobody_uses_any_more(check: Check) -> None:
    drop = 'op.drop_column("users", "password_hash")'
    assert check(drop, "contract", without=("users", "password_hash")) == []
    assert check(drop, "expand", without=("users", "password_hash")) != []


@pytest.fixture
def git(tmp_path: Path) -> Callable[..., str]:
    """A repository with the script in it; returns a function that runs git, or the script."""
    (tmp_path / "bin").mkdir()
    for name in ("_env", "previous-release"):
        shutil.copy(ROOT / "bin" / name, tmp_path / "bin" / name)

    def act(*arguments: str, **env: str) -> str:
        command = ["git", *arguments] if arguments else ["bin/previous-release"]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                **{
                    f"GIT_{who}_{what}": "a@example.org"
                    for who in ("AUTHOR", "COMMITTER")
                    for what in ("NAME", "EMAIL")
                },
                **env,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() or done.stderr.strip()

    act("init", "--quiet")
    return act


def test_which_release_is_the_one_before(git: Callable[..., str], tmp_path: Path) -> None:
    versions = tmp_path / "app/migrations/versions"
    versions.mkdir(parents=True)

    def commit(path: Path) -> str:
        path.write_text("x")
        git("add", ".")
        git("commit", "--quiet", "--message", "x")
        return git("rev-parse", "--short", "HEAD")

    commit(versions / "0001.py")
    assert "there is no release before this one" in git()
    before = commit(tmp_path / "a")
    commit(versions / "0002.py")
    last = commit(tmp_path / "b")
    assert git() == before
    (versions / "0003.py").write_text("x")  # not committed: it comes after the last commit
    assert git() == last
    git("tag", "v0.9.0", before)
    git("tag", "v0.10.0", before)
    git("tag", "v0.11.0")  # this very commit
    git("tag", "other")
    assert git() == "v0.10.0"
    assert git(BASE="other") == "other"
    assert "git knows no revision 'nothing'" in git(BASE="nothing")

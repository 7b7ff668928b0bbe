"""Processes that read and then write one row lose nothing of each other's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import sqlalchemy as sa

from beanft.core.database import Database, utcnow
from beanft.core.schema_revision import MIGRATIONS
from beanft.security.throttle import Throttle

PROCESSES = 4
UPDATES = 1000
# Durable commits of 4 processes: seconds on most disks, and minutes on a slow one.
SECONDS = 300
READ_THEN_WRITE = """
import sys
from beanft.config import load_settings
from beanft.core.database import Database
from beanft.security.throttle import Throttle
settings = load_settings()
database = Database(settings.database_url, settings.database_access)
sys.stdin.readline()
for _ in range(int(sys.argv[1])):
    with database.writing() as session:
        row = session.get_one(Throttle, "x")
        row.failures = row.failures + 1
"""
UNGUARDED = """
import sys
import sqlalchemy as sa
from sqlalchemy.orm import Session
from beanft.config import load_settings
from beanft.core.database import postgresql_arguments
from beanft.security.throttle import Throttle
settings = load_settings()
server = not settings.database_url.startswith("sqlite")
arguments = postgresql_arguments(settings.database_access, lock_seconds=10) if server else {}
engine = sa.create_engine(settings.database_url, connect_args=arguments)
sys.stdin.readline()
with Session(engine) as session:
    row = session.get_one(Throttle, "x")
    print("read", flush=True)
    sys.stdin.readline()
    row.failures = row.failures + 1
    session.commit()
"""


def start(program: str, places: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(UPDATES)],
        env={"PYTHONPATH": str(MIGRATIONS.parent), "PATH": os.environ["PATH"], **places},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("go\n")
    process.stdin.flush()


def end(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=SECONDS)
    return process.returncode


@pytest.fixture
def counter(database: Database) -> None:
    """A row that counts."""
    with database.writing() as session:
        session.add(Throttle(key="x", failures=0, window_start=utcnow()))


def count(database: Database) -> int:
    with database.reading() as session:
        return session.get_one(Throttle, "x").failures


@pytest.mark.usefixtures("counter")
def test_four_processes_lose_none_of_4000_updates(
    places: dict[str, str], database: Database
) -> None:
    running = [start(READ_THEN_WRITE, places) for _ in range(PROCESSES)]
    for process in running:
        tell(process)
    assert [end(process) for process in running] == [0] * PROCESSES
    assert count(database) == PROCESSES * UPDATES
    if not database.is_postgresql:
        with database.reading() as session:
            assert session.execute(sa.text("PRAGMA integrity_check")).scalar() == "ok"


@pytest.mark.usefixtures("counter")
def test_the_librarys_own_transactions_would_lose_them(
    places: dict[str, str], database: Database
) -> None:
    # What the test above guards against is there: two that read before either of them writes.
    running = [start(UNGUARDED, places) for _ in range(2)]
    for process in running:
        tell(process)
        assert process.stdout
        assert process.stdout.readline() == "read\n"
    for process in running:
        tell(process)
        process.wait(SECONDS)
    assert count(database) == 1
    for process in running:
        process.communicate()

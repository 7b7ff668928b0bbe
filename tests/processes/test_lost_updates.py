"""Processes that read and then write one row lose nothing of each other's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import sqlalchemy as sa

from beanft.config import Settings
from beanft.core.database import Database, utcnow
from beanft.core.schema_revision import MIGRATIONS
from beanft.security.throttle import Throttle

PROCESSES = 4
UPDATES = 1000
# Durable commits of 4 processes: seconds on most disks, and minutes on a slow one.
SECONDS = 300
READ_THEN_WRITE = """
import sys
from beanft.core.database import Database
from beanft.security.throttle import Throttle
database = Database(sys.argv[1])
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    with database.writing() as session:
        row = session.get_one(Throttle, "x")
        row.failures = row.failures + 1
"""
UNGUARDED = """
import sys
import sqlalchemy as sa
from sqlalchemy.orm import Session
from beanft.security.throttle import Throttle
engine = sa.create_engine(sys.argv[1])
sys.stdin.readline()
with Session(engine) as session:
    row = session.get_one(Throttle, "x")
    print("read", flush=True)
    sys.stdin.readline()
    row.failures = row.failures + 1
    session.commit()
"""


def start(program: str, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, url, str(UPDATES)],
        env={"PYTHONPATH": str(MIGRATIONS.parent), "PATH": os.environ["PATH"]},
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
def test_four_processes_lose_none_of_4000_updates(settings: Settings, database: Database) -> None:
    running = [start(READ_THEN_WRITE, settings.database_url) for _ in range(PROCESSES)]
    for process in running:
        tell(process)
    assert [end(process) for process in running] == [0] * PROCESSES
    assert count(database) == PROCESSES * UPDATES
    with database.reading() as session:
        assert session.execute(sa.text("PRAGMA integrity_check")).scalar() == "ok"


@pytest.mark.usefixtures("counter")
def test_the_librarys_own_transactions_would_lose_them(
    settings: Settings, database: Database
) -> None:
    # What the test above guards against is there: two that read before either of them writes.
    running = [start(UNGUARDED, settings.database_url) for _ in range(2)]
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

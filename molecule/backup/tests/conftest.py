"""Data to lose, and the timers' comings and goings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from backup_helpers import TIMERS, sql, still, stop
from helpers import machine
from testinfra.host import Host

# An application's database: what its tables refer to lies beside it, as the application keeps it.
SQLITE = """
import hashlib, os, shutil, sqlite3
shutil.rmtree("/srv/app", ignore_errors=True)
os.makedirs("/srv/app/db")
os.makedirs("/srv/app/files/datasets")
database = sqlite3.connect("/srv/app/db/beanft.sqlite3")
database.execute("PRAGMA journal_mode = WAL")
database.execute("CREATE TABLE alembic_version (version_num TEXT)")
database.execute("INSERT INTO alembic_version VALUES ('0004')")
database.execute("CREATE TABLE notes (a INTEGER)")
database.execute("CREATE TABLE datasets (storage_key TEXT, sha256 TEXT)")
for number in range(3):
    content = b"a,b\\n%d,2\\n" % number
    key = "datasets/%032x.csv" % number
    with open("/srv/app/files/" + key, "wb") as file:
        file.write(content)
    database.execute("INSERT INTO datasets VALUES (?, ?)", (key, hashlib.sha256(content).hexdigest()))
database.commit()
"""
POSTGRESQL = """
SET ROLE beanft;
DROP TABLE IF EXISTS alembic_version, notes;
CREATE TABLE alembic_version AS SELECT '0004' AS version_num;
CREATE TABLE notes (a int PRIMARY KEY, b text);
INSERT INTO notes SELECT a, repeat('x', a) FROM generate_series(1, 100) AS a;
"""


@pytest.fixture(scope="session", autouse=True)
def data() -> Iterator[None]:
    """Give both machines something to lose; afterwards nothing of it is left, and no timer runs."""
    hosts = [machine("m1"), machine("m2")]
    for host in hosts:
        host.check_output("python3 -c %s", SQLITE)
        sql(host, POSTGRESQL)
        host.check_output(f"systemctl start {TIMERS}")
    yield
    for host in hosts:
        stop(host)
        host.check_output("rm -rf /srv/app")
        host.run("systemctl reset-failed 'beanft-backup*'")
        sql(host, "SET ROLE beanft; DROP TABLE IF EXISTS alembic_version, notes")
        for name in sql(host, "SELECT datname FROM pg_database WHERE datname ~ '^beanft_'").split():
            sql(host, f"DROP DATABASE {name}", "postgres")


@pytest.fixture
def quiet(host: Host) -> Iterator[None]:
    """Let no timer run meanwhile, and nothing that one has begun."""
    with still(host):
        yield

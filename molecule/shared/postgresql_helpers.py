"""The servers of scenario postgresql: applying the role again, asking from another machine, telling as superuser."""

from __future__ import annotations

import time
from typing import Any

import yaml
from helpers import ROOT, Run, apply, machine
from testinfra.backend.base import CommandResult
from testinfra.host import Host

VARIABLES = yaml.safe_load((ROOT / "molecule/postgresql/vars/main.yml").read_text(encoding="utf-8"))
PASSWORD = "the-password-of-the-tests"  # noqa: S105 - as vars/main.yml says
OTHER = "another-password-of-the-tests"
VERSIONS = {"12": "15", "13": "17"}


def again(**variables: Any) -> Run:
    """Apply the role to the servers with other variables."""
    known = {**VARIABLES, "_client": own_address(machine("m3"))}
    return apply("postgresql", target="*-m1:*-m2", variables={**known, **variables})


def own_address(host: Host) -> str:
    """Return a machine's address."""
    return str(host.check_output("ip -4 -oneline address show dev eth0").split()[3].split("/")[0])


def unit(host: Host) -> str:
    """Return the name of the server's unit."""
    return f"postgresql@{VERSIONS[host.system_info.release.split('.')[0]]}-main"


def ask(
    host: Host,
    statement: str,
    *,
    client: str = "m3",
    user: str = "beanft",
    password: str = PASSWORD,
    database: str = "beanft",
    ssl: str = "verify-full",
) -> CommandResult:
    """Ask the server on a host, from another machine."""
    where = f"host={own_address(host)} dbname={database} user={user} sslmode={ssl}"
    where += " sslrootcert=/etc/beanft/inside/ca.pem connect_timeout=10"
    command = "PGPASSWORD=%s psql --no-psqlrc --quiet --tuples-only --no-align -c %s %s"
    return machine(client).run(command, password, statement, where)


def tell(host: Host, statement: str) -> str:
    """Ask the server as its superuser, on its machine."""
    command = "cd / && sudo -u postgres psql --no-psqlrc --quiet --tuples-only --no-align -c %s"
    return str(host.check_output(command, statement)).strip()


def settles(host: Host) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + 60
    while (asked := ask(host, "SELECT 1")).rc and time.monotonic() < deadline:
        time.sleep(0.5)
    assert asked.rc == 0, asked


def started(host: Host) -> str:
    """Return since when the server runs."""
    return tell(host, "SELECT pg_postmaster_start_time()")

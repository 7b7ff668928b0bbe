"""What the tests of backups share: a database to ask, and times without timers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from testinfra.host import Host

TIMERS = "beanft-backup.timer beanft-backup-age.timer"
ENDED = "timeout 120 sh -c 'while [ $(systemctl is-active beanft-backup) = activating ]; do sleep 0.3; done'"


def sql(host: Host, statement: str, database: str = "beanft") -> str:
    """Run statements as the server's superuser, and return what they answered."""
    command = "cd / && sudo -u postgres psql --no-psqlrc -qtA -v ON_ERROR_STOP=1 -d %s -c %s"
    return str(host.check_output(command, database, statement)).strip()


def stop(host: Host) -> None:
    """Let no timer run from now on, and nothing that one has begun."""
    host.check_output(f"systemctl stop {TIMERS}")
    host.check_output(ENDED)


@contextmanager
def still(*hosts: Host) -> Iterator[None]:
    """Let no timer run meanwhile, and nothing that one has begun."""
    try:
        for host in hosts:
            stop(host)
        yield
    finally:
        for host in hosts:
            host.check_output(f"systemctl start {TIMERS}")

"""What the roles' tests share: an image to run, and evidence beside a failure."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from helpers import BASE, STATE, load
from testinfra.host import Host


@pytest.fixture
def base_image(host: Host) -> str:
    """Return an image that this machine has: Debian, with bash and Perl."""
    load(host, BASE)
    return BASE


def pytest_configure(config: pytest.Config) -> None:
    """Let testinfra find the machines of this scenario."""
    config.option.ssh_config = str(STATE / "ssh_config")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show beside a failure what the module's commands in EVIDENCE print: journals and the like."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        host = item.funcargs.get("host")
        for command in getattr(item.module, "EVIDENCE", []):
            if isinstance(host, Host):
                shown = host.run(command)
                report.sections.append((command, shown.stdout + shown.stderr))
    return report

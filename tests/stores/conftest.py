"""What only servers have: these tests run where ``bin/stores`` has started some."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from beanft.core.database import Database
from tests.servers import STORES, Servers


def pytest_collection_modifyitems() -> None:
    """Say what to do, instead of failing one by one."""
    if not STORES:
        raise pytest.UsageError("tests/stores need servers: run 'make test-postgresql'")


@pytest.fixture
def nobody() -> Iterator[str]:
    """Return an address of the loopback at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and doesn't listen
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def other(servers: Servers) -> Iterator[Database]:
    """A second database, without a schema."""
    name = f"other_{servers.number}"
    servers.make(name)
    database = Database(servers.url(name), servers.settings.database_access)
    yield database
    database.close()

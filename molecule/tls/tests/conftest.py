"""Something behind the entry, and what its certificate is checked with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from entry_helpers import backend
from helpers import machine, secure_entry
from testinfra.host import Host
from tls_helpers import MACHINES

SHOW_ROOT = (
    "import ssl, urllib.request as u; "
    "print(u.urlopen('https://localhost:15000/roots/0', context=ssl._create_unverified_context()).read().decode())"
)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a file with the root certificate of the ACME server, as it was made when that started."""
    path: Path = tmp_path_factory.mktemp("pebble") / "root.pem"
    path.write_text(machine("m1").check_output("python3 -c %s", SHOW_ROOT))
    return str(path)


def settle_on(status: int, root: str) -> None:
    """Wait until all entries answer with a status."""
    deadline = time.monotonic() + 60
    for entry in map(secure_entry, MACHINES):
        while (last := requests.get(entry, verify=root, timeout=10).status_code) != status:
            assert time.monotonic() < deadline, f"{entry} answers {last} and not {status}"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def web(host: Host, root: str) -> Iterator[str]:
    """Run a backend under the name of the service that serves pages."""
    with backend(host) as name:
        settle_on(200, root)
        yield name
    # Or the next one would take for its own what the task that ends here answers.
    settle_on(503, root)

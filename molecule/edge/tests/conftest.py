"""The entry under test, and something behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from entry_helpers import backend, container, running_image, settles_on
from testinfra.host import Host


@pytest.fixture
def inspected(host: Host) -> dict[str, Any]:
    """Return the entry's container as the engine sees it."""
    return dict(json.loads(host.check_output("docker inspect %s", container(host)))[0])


@pytest.fixture
def image(host: Host) -> str:
    """Return the image that the entry runs, by digest."""
    return running_image(host)


@pytest.fixture(scope="module")
def web(host: Host) -> Iterator[str]:
    """Run a backend under the name of the service that serves pages."""
    with backend(host) as name:
        assert settles_on(200) == 200
        yield name
    assert settles_on(503) == 503

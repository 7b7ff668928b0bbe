"""The entry under test, and something behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from entry_helpers import container, running_image, settles_on
from testinfra.host import Host

# Ready, and tells what it was asked for.
BACKEND = """
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.end_headers()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.wfile.write(json.dumps({"path": self.path, "headers": headers}).encode())

    do_POST = do_GET

# Five, as the library has it, is less than a burst of all clients, and what is refused takes the only task out.
ThreadingHTTPServer.request_queue_size = 1024
ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""


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
    python = host.check_output(
        "docker image ls --digests --format '{{.Repository}}@{{.Digest}}' '*/beanft/api'"
    )
    host.check_output(
        "docker service create --detach --no-resolve-image --name beanft_web --endpoint-mode dnsrr "
        "--network beanft --no-healthcheck --entrypoint python %s -c %s",
        python.split()[0],
        BACKEND,
    )
    assert settles_on(200) == 200
    yield "beanft_web"
    host.check_output("docker service rm beanft_web")
    assert settles_on(503) == 503

"""Asking the entry, finding its container, and something behind it."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from helpers import entry
from testinfra.host import Host

# Ready, and tells what it was asked for, and which task it is.
BACKEND = """
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    # Connections are kept, as those of web and api are.
    protocol_version = "HTTP/1.1"
    died = set()

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        # As a task that is killed with a request in hand: no answer, the first time.
        if self.path.startswith("/dies/") and self.path not in self.died:
            self.died.add(self.path)
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        told = {"path": self.path, "headers": headers, "task": os.uname().nodename}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

# Five, as the library has it, is less than a burst of all clients, and what is refused takes the only task out.
ThreadingHTTPServer.request_queue_size = 1024
ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""


def ask(path: str, **headers: str) -> tuple[int, str]:
    """Return the status and body that the entry answers to a request from outside."""
    request = urllib.request.Request(entry() + path, headers=headers)  # noqa: S310 - http by name
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def settles_on(status: int) -> int:
    """Wait until the entry answers with a status, and return what it answers at last."""
    deadline = time.monotonic() + 60
    while True:
        try:
            last = ask("/")[0]
        except OSError:
            last = 0
        if last == status or time.monotonic() > deadline:
            return last
        time.sleep(0.2)


def container(host: Host) -> str:
    """Return the id of the entry's container."""
    return str(host.check_output("docker ps --quiet --filter name=beanft-edge_haproxy")).strip()


def running_image(host: Host) -> str:
    """Return the image that the entry runs, by digest."""
    field = "{{.Spec.TaskTemplate.ContainerSpec.Image}}"
    found = host.check_output("docker service inspect --format %s beanft-edge_haproxy", field)
    return str(found).strip()


@contextmanager
def backend(host: Host) -> Iterator[str]:
    """Run something that answers, under the name of the service that serves pages."""
    image = host.check_output(
        "docker image ls --digests --format '{{.Repository}}@{{.Digest}}' '*/beanft/api'"
    )
    host.check_output(
        "docker service create --detach --no-resolve-image --name beanft_web --endpoint-mode dnsrr "
        "--network beanft --no-healthcheck --entrypoint python %s -c %s",
        image.split()[0],
        BACKEND,
    )
    try:
        yield "beanft_web"
    finally:
        host.check_output("docker service rm beanft_web")

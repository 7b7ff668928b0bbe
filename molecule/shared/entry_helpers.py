"""Asking the entry, and finding its container."""

from __future__ import annotations

import time
import urllib.error
import urllib.request

from helpers import entry
from testinfra.host import Host


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

"""What the modules of the entry share: finding its containers on this machine, and asking them."""

from __future__ import annotations

import re
import urllib.request
from typing import Any

from ansible.module_utils.docker_cli import DockerError, Module, docker, docker_json

# Of HAProxy's frontend `status`, which no port of the machine leads to.
STATUS_PORT = 8404
ANSWER_SECONDS = 3.0
# Where Swarm's tasks meet their machine.
BRIDGE = "docker_gwbridge"
SERVICE = "haproxy"
# Whatever proxy a machine uses for the outside.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def spare(stack: str) -> str:
    """Return the name of the stack that stands in while `stack` is changed."""
    return f"{stack}-spare"


def containers(module: Module, stack: str, *, stopped: bool = False) -> list[dict[str, Any]]:
    """Return the inspected containers of a stack's entry on this machine, newest first."""
    label = f"label=com.docker.swarm.service.name={stack}_{SERVICE}"
    everything = ["--all"] if stopped else []
    ids = docker(module, "ps", "--quiet", "--no-trunc", *everything, "--filter", label).split()
    found = []
    for identity in ids:
        try:
            found += docker_json(module, "container", "inspect", identity)
        except DockerError as error:
            # The engine removes old tasks; one may go between the two questions.
            if "no such" not in str(error).lower():
                raise
    return sorted(found, key=lambda container: str(container["Created"]), reverse=True)


def address(module: Module, container: dict[str, Any]) -> str:
    """Return the address at which this machine reaches a container, or '' where it has none (any more)."""
    network = docker_json(module, "network", "inspect", BRIDGE)
    ends = network[0].get("Containers") or {}
    return str(ends.get(container["Id"], {}).get("IPv4Address", "")).split("/")[0]


def ready_tasks(host: str) -> dict[str, int]:
    """Return how many ready tasks of each service the entry at an address sees; none where it doesn't answer."""
    url = f"http://{host}:{STATUS_PORT}/servers"
    try:
        with DIRECT.open(url, timeout=ANSWER_SECONDS) as answer:
            text = answer.read(1000).decode()
    except OSError:
        return {}
    return {name: int(number) for name, number in re.findall(r"(\w+) (\d+)", text)}


def unseen(entry: dict[str, int], other: dict[str, int]) -> list[str]:
    """Return the services of which `other` sees ready tasks and `entry` none."""
    return [name for name, number in sorted(other.items()) if number and not entry.get(name)]

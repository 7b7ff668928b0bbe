"""A virtual machine in QEMU, in a container: what somebody orders at a cloud, for a checkout of its own."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import time
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.fleet.checkout import Checkout
from tests.fleet.fleet import docker

NAME = "m1"
# QEMU's user network always gives this one.
INSIDE = "10.0.2.15"
# A machine without hardware virtualisation is some ten times slower, so what waits waits longer.
VARIABLES: dict[str, Any] = {
    "common_swap_mib": 256,
    "edge_timeout": 900,
    "release_cookie_secure": False,
    "release_replicas": {"web": 1, "api": 1, "worker": 1},
    "release_start_seconds": 300,
    "release_timeout": 1800,
}


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Machine:
    """The machine."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self.ports = free_ports(3)
        self.state = checkout.path / ".local" / "static-staging"

    @cached_property
    def project(self) -> str:
        """What the checkout calls its own."""
        return self.checkout.run(
            "bash", "-c", ". bin/_env; echo $BEANFT_CHECKOUT", show=False
        ).strip()

    @property
    def container(self) -> str:
        """The container that QEMU runs in."""
        return f"{self.project}-vm"

    @property
    def user_data(self) -> Path:
        """What the machine is told at its first boot."""
        return self.state / "user-data" / f"beanft-staging-{NAME}.yml"

    @property
    def url(self) -> str:
        """The entry."""
        return f"http://127.0.0.1:{self.ports[1]}"

    def describe(self) -> None:
        """Write the inventory's file."""
        names = ("port", "http_port", "https_port")
        machine = {"address": "127.0.0.1", "inside": INSIDE, "groups": ["managers", "edge"]}
        machines = {NAME: machine | dict(zip(names, self.ports, strict=True))}
        self.state.mkdir(parents=True)
        (self.state / "machines.yml").write_text(
            # YAML has JSON in it.
            json.dumps({"machines": machines, "variables": VARIABLES})
        )

    def start(self) -> None:
        """Make the machine and switch it on."""
        label = ("--label", f"beanft.checkout={self.project}")
        # QEMU hands on where a connection comes from. So that has to be a network that the machine's own engine
        # does not think to be its own.
        number = int(hashlib.sha256(self.project.encode()).hexdigest()[:4], 16) % 250
        docker("network", "create", *label, "--subnet", f"10.250.{number}.0/24", self.container)
        docker("volume", "create", *label, self.container)
        published = zip(self.ports, (22, 80, 443), strict=True)
        docker(
            *("create", "--name", self.container, *label, "--network", self.container),
            *(["--device", "/dev/kvm"] if Path("/dev/kvm").exists() else []),
            *("--volume", f"{self.container}:/disk"),
            *(part for port, to in published for part in ("-p", f"127.0.0.1:{port}:{to}")),
            *(f"{self.project}/vm", NAME),
        )
        docker("cp", str(self.user_data), f"{self.container}:/user-data")
        docker("start", self.container)

    def console(self) -> str:
        """Return the end of what the machine's console says."""
        return docker("exec", self.container, "tail", "-n", "15", "/disk/console")

    @cached_property
    def ssh_options(self) -> list[str]:
        """Return ssh's options and destination, as the project has them."""
        text = self.checkout.run(
            "bash", "-c", f". bin/_env; python bin/inventory ssh {NAME}", show=False
        )
        return ["-o", "ConnectTimeout=20", *text.splitlines()]

    def try_ssh(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the machine."""
        return subprocess.run(
            ["ssh", *self.ssh_options, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def on(self, command: str) -> str:
        """Run a command on the machine, and return what it printed."""
        done = self.try_ssh(command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def wait_ssh(self, seconds: float, boot: str = "") -> str:
        """Wait until somebody can log in, after another boot than one; return the boot's id."""
        end = time.monotonic() + seconds
        while True:
            done = self.try_ssh("cat", "/proc/sys/kernel/random/boot_id")
            assert "verification failed" not in done.stderr, done.stderr
            if done.returncode == 0 and done.stdout.strip() != boot:
                return done.stdout.strip()
            assert time.monotonic() < end, f"no SSH: {done.stderr}\n{self.console()}"
            time.sleep(2)

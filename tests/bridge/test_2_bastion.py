"""A cloud's machine whose SSH can be reached through a bastion only: the local machine beside it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.bridge import Bridge, address, bridged, host_key, labels, made
from tests.fleet.checkout import Checkout
from tests.fleet.fleet import docker

OTHER = "the bastion 127.0.0.1 has another host key than beanft_bastion says, and nothing was sent there"


@contextlib.contextmanager
def agent(directory: Path, key: Path) -> Iterator[str]:
    """Have an agent with a key until the block ends, and yield its socket."""
    path = directory / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL) as process:
        try:
            while not path.exists():
                time.sleep(0.1)
            environment = {**os.environ, "SSH_AUTH_SOCK": str(path)}
            subprocess.run(["ssh-add", "-q", key], env=environment, check=True)
            yield str(path)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def bridge(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """Two new local machines: m1 is the cloud's, m2 the bastion, where one logs in by a key of one's own."""
    directory = tmp_path_factory.mktemp("cloud")
    with (
        bridged(checkout, "aws", directory, nodes=2) as bridge,
        agent(directory, checkout.path / ".local/local-local/id_ed25519") as keys,
    ):
        checkout.variables["SSH_AUTH_SOCK"] = keys
        yield bridge


def declare(bridge: Bridge, **values: Any) -> None:
    """Name the bastion, and let SSH in from there alone."""
    bastion = {
        "address": "127.0.0.1",
        "port": int(labels(bridge.fleet, "m2")["beanft.port.ssh"]),
        "user": "deploy",
        "host_key": host_key(bridge.fleet, "m2"),
    }
    bridge.declare(
        beanft_ssh_from=[f"{address(bridge.fleet, 'm2')}/32"],
        beanft_bastion={**bastion, **values},
    )


def refused(bridge: Bridge, sentence: str) -> None:
    """Expect a sentence from a shell and from a play."""
    said = bridge.checkout.fails("bin/ssh", "m1", "true")
    assert sentence in said
    assert said.count("\n") == 1
    assert sentence in bridge.checkout.fails("bin/play", "site")


def test_a_bastion_with_another_host_key_is_refused(bridge: Bridge) -> None:
    # m1 is not m2.
    declare(bridge, host_key=host_key(bridge.fleet, "m1"))
    # Before anything is made that nobody could reach.
    assert OTHER in bridge.checkout.fails("bin/play", "provision", "--skip-tags", "machines")
    assert made(bridge.cloud) == set()
    declare(bridge)
    bridge.checkout.run("bin/play", "provision", "--skip-tags", "machines")
    bridge.boot()
    bridge.lead(ansible_host=address(bridge.fleet, "m1"), ansible_port=22)
    declare(bridge, host_key=host_key(bridge.fleet, "m1"))
    refused(bridge, OTHER)


def test_site_deploy_and_smoke_go_through_a_bastion_that_is_known(bridge: Bridge) -> None:
    declare(bridge)
    checkout = bridge.checkout
    assert "failed=0" in checkout.run("bin/play", "provision")
    checkout.make_target("site")
    checkout.make_target("deploy")
    checkout.make_target("smoke")
    assert "changed=0" in checkout.run("bin/play", "site")


def test_nobody_else_gets_there(bridge: Bridge) -> None:
    came = bridge.checkout.run("bin/ssh", "m1", "echo", "$SSH_CONNECTION").split()
    assert came[-4] == address(bridge.fleet, "m2")
    with pytest.raises(TimeoutError):
        socket.create_connection((address(bridge.fleet, "m1"), 22), timeout=3)


def test_a_machine_with_another_host_key_is_refused_behind_the_bastion(bridge: Bridge) -> None:
    known = bridge.checkout.path / ".local/aws-staging/known_hosts"
    usual = known.read_text()
    known.write_text(usual.replace(host_key(bridge.fleet, "m1"), host_key(bridge.fleet, "m2")))
    assert "Host key verification failed" in bridge.checkout.fails("bin/ssh", "m1", "true")
    known.write_text(usual)


def test_a_bastion_that_is_down_is_one_sentence(bridge: Bridge) -> None:
    docker("kill", bridge.fleet.machines()["m2"])
    refused(bridge, "the bastion 127.0.0.1 does not answer at port ")

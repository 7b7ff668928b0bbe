"""A cloud's inventory on one side, local machines on the other.

The machine that a stand-in says it has made is one of the local provider's, which is told what the cloud would tell it
for its first boot. Only the way to it is exchanged, by its name: nobody connects to an address that a stand-in handed
out.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import yaml

from tests.cloud import azure_fake, gcp_fake
from tests.cloud.aws_faults import Proxy
from tests.cloud.stand_in import Aws, Azure, Cloud, Gcp, moto
from tests.fleet.checkout import Checkout
from tests.fleet.fleet import Fleet, docker

NAME = "beanft-staging-m1"
# What is laid over a cloud's inventory, and belongs to no revision.
OVERLAY = "zz_bridge.yml"
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


# -------------------------------------------------------------------- clouds
@contextlib.contextmanager
def aws(tree: Path, directory: Path, _: str) -> Iterator[Cloud]:
    """AWS."""
    with moto(directory) as port, Proxy(port) as proxy:
        yield Aws(tree, [], proxy, port)


@contextlib.contextmanager
def gcp(tree: Path, directory: Path, host_key: str) -> Iterator[Cloud]:
    """GCP, whose machines make their host key and tell it."""
    with gcp_fake.Fake(directory) as fake:
        fake.host_keys[NAME] = host_key
        yield Gcp(tree, [], fake)


@contextlib.contextmanager
def azure(tree: Path, directory: Path, _: str) -> Iterator[Cloud]:
    """Azure."""
    with azure_fake.Fake(directory) as fake:
        yield Azure(tree, [], fake)


CLOUDS: dict[str, Callable[[Path, Path, str], AbstractContextManager[Cloud]]] = {
    "aws": aws,
    "gcp": gcp,
    "azure": azure,
}


def made(cloud: Cloud) -> set[str]:
    """Return the machines that a cloud says there are."""
    if isinstance(cloud, Aws):
        return set(cloud.instances())
    if isinstance(cloud, Gcp):
        return set(cloud.fake.named("instances"))
    assert isinstance(cloud, Azure)
    return set(cloud.fake.named("virtualMachines"))


def told(cloud: Cloud) -> dict[str, Any]:
    """Return what a cloud tells its machine for its first boot, in cloud-init's words."""
    if isinstance(cloud, Aws):
        ec2, machine = cloud.client("ec2"), cloud.instances()[NAME]["InstanceId"]
        answer = ec2.describe_instance_attribute(InstanceId=machine, Attribute="userData")
        ec2.close()
        return dict(yaml.safe_load(base64.b64decode(answer["UserData"]["Value"])))
    if isinstance(cloud, Azure):
        return dict(yaml.safe_load(cloud.fake.told[NAME]))
    assert isinstance(cloud, Gcp)
    entries = cloud.fake.named("instances")[NAME]["metadata"]["items"]
    (line,) = (entry["value"] for entry in entries if entry["key"] == "ssh-keys")
    # As Google's guest agent reads it: the user, and what goes into their authorized_keys.
    user, _, key = line.partition(":")
    return {"users": [{"name": user, "ssh_authorized_keys": [key]}]}


# -------------------------------------------------------------------- bridge
@dataclasses.dataclass
class Bridge:
    """A checkout, its local machines, and the cloud that says that m1 is its own."""

    checkout: Checkout
    fleet: Fleet
    cloud: Cloud

    @property
    def inventory(self) -> Path:
        """The cloud's inventory."""
        return self.checkout.path / "ansible" / "inventories" / self.cloud.provider

    def declare(self, **variables: Any) -> None:
        """Have a fleet of one machine, and variables beside it."""
        fleet = {"m": {"groups": ["managers", "edge"]}}
        path = self.inventory / "group_vars" / "all" / OVERLAY
        path.write_text("---\n" + yaml.safe_dump({"beanft_fleet": fleet, **variables}))

    def lead(self, **variables: Any) -> None:
        """Exchange the way to the machine; an inventory's last file has the last word."""
        host = {
            # As its neighbours know it.
            "beanft_address": address(self.fleet, "m1"),
            "beanft_outside_address": address(self.fleet, "m1"),
            # The entry has no certificate here.
            "release_cookie_secure": False,
            **variables,
        }
        text = yaml.safe_dump({"all": {"hosts": {NAME: host}}})
        (self.inventory / OVERLAY).write_text("---\n" + text)

    def boot(self) -> None:
        """Do on the machine what it is told for its first boot, and nothing else."""
        first = told(self.cloud)
        (user,) = first["users"]
        keys = "".join(f"{key}\n" for key in user["ssh_authorized_keys"])
        files = [(f"/home/{user['name']}/.ssh/authorized_keys", "600", keys)]
        if own := first.get("ssh_keys"):
            files.append((HOST_KEY, "600", own["ed25519_private"]))
            files.append((f"{HOST_KEY}.pub", "644", own["ed25519_public"] + "\n"))
        for path, mode, content in files:
            encoded = base64.b64encode(content.encode()).decode()
            self.fleet.on(
                "m1", "sh", "-c", f"echo {encoded} | base64 -d >{path} && chmod {mode} {path}"
            )
        self.fleet.on("m1", "systemctl", "restart", "ssh")


@contextlib.contextmanager
def bridged(checkout: Checkout, provider: str, directory: Path, nodes: int) -> Iterator[Bridge]:
    """Have new local machines and a cloud that has none yet, until the block ends."""
    checkout.variables = {}
    checkout.run("bin/play", "destroy")
    checkout.make_target("provision", f"NODES={nodes}")
    fleet = Fleet(checkout)
    with CLOUDS[provider](checkout.path, directory, host_key(fleet, "m1").split()[1]) as cloud:
        checkout.variables = {
            "CLOUD": provider,
            "ENV": "staging",
            "AGREED": "staging",
            "NO_PROXY": ",".join(filter(None, ["127.0.0.1", os.environ.get("NO_PROXY")])),
            **cloud.credentials(),
        }
        bridge = Bridge(checkout, fleet, cloud)
        try:
            yield bridge
        finally:
            checkout.variables = {}
            for path in bridge.inventory.rglob(OVERLAY):
                path.unlink()


def labels(fleet: Fleet, machine: str) -> dict[str, str]:
    """Return the labels of a local machine, which has its ports in them."""
    seen = json.loads(docker("inspect", fleet.machines()[machine]))[0]
    return dict(seen["Config"]["Labels"])


def address(fleet: Fleet, machine: str) -> str:
    """Return a local machine's address among its neighbours."""
    (seen,) = json.loads(docker("inspect", fleet.machines()[machine]))
    (network,) = seen["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


def host_key(fleet: Fleet, machine: str) -> str:
    """Return a local machine's host key, without the comment."""
    return " ".join(fleet.on(machine, "cat", f"{HOST_KEY}.pub").split()[:2])

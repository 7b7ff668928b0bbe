"""What a cloud's inventory yields is enough for site, deploy and smoke, on a machine that is there.

AWS is moto's server; the machine that it says it has made is one of the local provider's, which is told what the cloud
would tell it for its first boot. Only the machine's address is exchanged, by its name: nobody connects to one that the
stand-in handed out. `make test-bridge`; some minutes, so it is not part of `make test`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cloud.aws_faults import Proxy
from tests.cloud.stand_in import REGION, ROOT, Aws, moto, plain
from tests.fleet.checkout import Checkout
from tests.fleet.fleet import Fleet, docker

NAME = "beanft-staging-m1"
# SSH comes from the network's gateway, as the machine sees it.
FLEET = {
    "beanft_fleets": {"staging": {"m": {"groups": ["managers", "edge"]}}},
    "beanft_fleet": "{{ beanft_fleets[beanft_environment] }}",
    "beanft_ssh_from": ["10.0.0.0/8"],
}


def boot(fleet: Fleet, told: dict[str, Any]) -> None:
    """Do on a machine what cloud-init does with its user data."""
    (user,) = told["users"]
    home = f"/home/{user['name']}/.ssh/authorized_keys"
    for path, mode, content in (
        (home, "600", "".join(f"{key}\n" for key in user["ssh_authorized_keys"])),
        ("/etc/ssh/ssh_host_ed25519_key", "600", told["ssh_keys"]["ed25519_private"]),
        ("/etc/ssh/ssh_host_ed25519_key.pub", "644", told["ssh_keys"]["ed25519_public"] + "\n"),
    ):
        encoded = base64.b64encode(content.encode()).decode()
        fleet.on("m1", "sh", "-c", f"echo {encoded} | base64 -d >{path} && chmod {mode} {path}")
    fleet.on("m1", "systemctl", "restart", "ssh")


def exchanged(fleet: Fleet) -> dict[str, Any]:
    """Return what is the machine's own in place of the cloud's: addresses and ports."""
    label = fleet.machines()["m1"]
    seen = json.loads(docker("inspect", label))[0]
    labels = seen["Config"]["Labels"]
    (network,) = seen["NetworkSettings"]["Networks"].values()
    return {
        "ansible_host": "127.0.0.1",
        "ansible_port": int(labels["beanft.port.ssh"]),
        "beanft_address": network["IPAddress"],
        "beanft_outside_address": network["IPAddress"],
        "beanft_entry_port": labels["beanft.port.http"],
        "beanft_entry_https_port": labels["beanft.port.https"],
        # The entry has no certificate here.
        "release_cookie_secure": False,
    }


@pytest.fixture(scope="module")
def bridged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkout, Fleet, Aws]]:
    """A checkout with one local machine that is a cloud's in all but its address."""
    checkout = Checkout.make(ROOT / "build" / "bridge-test")
    inventories = checkout.path / "ansible" / "inventories"
    (inventories / "cloud_fleet.yml").write_text("---\n" + yaml.safe_dump(FLEET))
    try:
        fleet = Fleet(checkout)
        checkout.make_target("provision", "NODES=1")
        with moto(tmp_path_factory.mktemp("moto")) as port, Proxy(port) as proxy:
            aws = Aws(checkout.path, [], proxy, port)
            checkout.variables = {
                "CLOUD": "aws",
                "ENV": "staging",
                "AGREED": "staging",
                "AWS_ENDPOINT_URL": proxy.url,
                "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_EC2_METADATA_DISABLED": "true",
                "NO_PROXY": ",".join(filter(None, ["127.0.0.1", os.environ.get("NO_PROXY")])),
            }
            # There is nobody to wait for before the address is exchanged.
            checkout.run("bin/play", "provision", "--skip-tags", "machines")
            ec2 = aws.client("ec2")
            told = ec2.describe_instance_attribute(
                InstanceId=aws.instances()[NAME]["InstanceId"], Attribute="userData"
            )["UserData"]["Value"]
            ec2.close()
            boot(fleet, yaml.safe_load(base64.b64decode(told)))
            # The last file of the inventory has the last word.
            overlay = {"all": {"hosts": {NAME: exchanged(fleet)}}}
            (inventories / "aws" / "zz_exchanged.yml").write_text("---\n" + yaml.safe_dump(overlay))
            checkout.commit("A machine that is there")
            yield checkout, fleet, aws
    finally:
        checkout.variables = {}
        checkout.run("bin/down", ok=False)


@contextlib.contextmanager
def agent(socket: Path, key: Path) -> Iterator[Path]:
    """Have an agent with a key until the block ends."""
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                if socket.exists():
                    break
                time.sleep(0.1)
            environment = {**os.environ, "SSH_AUTH_SOCK": str(socket)}
            subprocess.run(["ssh-add", "-q", key], env=environment, check=True)
            yield socket
        finally:
            process.terminate()


def other_key(directory: Path) -> str:
    """Return a public key that no machine has."""
    path = directory / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def hosts(checkout: Checkout) -> dict[str, dict[str, Any]]:
    """Return the inventory's machines."""
    text = checkout.run(
        "bash",
        "-c",
        ". bin/_env; ANSIBLE_CONFIG=ansible/ansible.cfg ansible-inventory -i ansible/inventories/aws"
        " --list 2>/dev/null",
        show=False,
    )
    return dict(json.loads(text, object_hook=plain)["_meta"]["hostvars"])


def test_site_deploy_and_smoke_over_the_clouds_inventory(
    bridged: tuple[Checkout, Fleet, Aws],
) -> None:
    checkout, _, _ = bridged
    found = hosts(checkout)
    assert {name: item["ansible_host"] for name, item in found.items()} == {NAME: "127.0.0.1"}
    # From the cloud, as the plays need it.
    assert found[NAME]["beanft_environment"] == "staging"
    assert found[NAME]["ec2_tags"]["beanft-groups"] == "managers_edge"
    # It answers with the host key that was made before there was a machine.
    assert "failed=0" in checkout.run("bin/play", "provision")
    checkout.make_target("site")
    checkout.make_target("deploy")
    checkout.make_target("smoke")
    assert "changed=0" in checkout.run("bin/play", "site")


def test_ssh_goes_through_a_bastion_that_is_known(
    bridged: tuple[Checkout, Fleet, Aws], tmp_path: Path
) -> None:
    checkout, fleet, _ = bridged
    overlay = checkout.path / "ansible/inventories/aws/zz_exchanged.yml"
    state, usual = checkout.path / ".local/aws-staging", overlay.read_text()
    key = (state / "known_hosts").read_text().split(" ", 1)[1].strip()
    found = exchanged(fleet)
    # The machine itself, by its port of this computer, leads to its own address.
    bastion = {"address": "127.0.0.1", "port": found["ansible_port"], "user": "deploy"}
    inside = {"ansible_host": found["beanft_address"], "ansible_port": 22}
    with agent(tmp_path / "agent", state / "id_ed25519") as socket:
        checkout.variables["SSH_AUTH_SOCK"] = str(socket)
        # The one that is wrong first: afterwards a connection is open.
        for host_key, holds in ((other_key(tmp_path), False), (key, True)):
            host = {**found, **inside, "beanft_bastion": {**bastion, "host_key": host_key}}
            overlay.write_text(yaml.safe_dump({"all": {"hosts": {NAME: host}}}))
            ping = "ansible -i ansible/inventories/aws machines -m ansible.builtin.ping"
            commands = (
                ("bin/ssh", "m1", "echo", "$SSH_CONNECTION"),
                ("bash", "-c", f". bin/_env; ANSIBLE_CONFIG=ansible/ansible.cfg {ping}"),
            )
            if holds:
                # Who comes is the machine itself.
                said = checkout.run(*commands[0]).split()
                assert said[-4] == said[-2] == found["beanft_address"]
                assert '"ping": "pong"' in checkout.run(*commands[1])
            else:
                assert "Host key verification failed" in checkout.fails(*commands[0])
                # Ansible passes only the outer ssh's words on.
                assert "UNREACHABLE" in checkout.fails(*commands[1])
    del checkout.variables["SSH_AUTH_SOCK"]
    overlay.write_text(usual)


def test_destroy_removes_what_the_cloud_has(bridged: tuple[Checkout, Fleet, Aws]) -> None:
    checkout, _, aws = bridged
    # Without the file that says where a machine is that is none of the cloud's.
    (checkout.path / "ansible/inventories/aws/zz_exchanged.yml").unlink()
    checkout.make_target("destroy", "DISKS=remove")
    assert aws.instances() == {}
    assert not Path(checkout.path / ".local/aws-staging/known_hosts").exists()

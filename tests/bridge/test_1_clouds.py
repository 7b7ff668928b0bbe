"""What each cloud's inventory yields is enough for site, deploy and smoke, on a machine that is there.

`make test-bridge`, or `make test-bridge CLOUD=gcp` for one cloud; some minutes each, so it is not part of `make test`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bridge.bridge import CLOUDS, NAME, OVERLAY, Bridge, bridged, host_key, labels, made
from tests.cloud.stand_in import groups_of
from tests.fleet.checkout import Checkout


@pytest.fixture(scope="module", params=CLOUDS)
def bridge(
    request: pytest.FixtureRequest, checkout: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bridge]:
    """A new local machine that is a cloud's in all but its address."""
    with bridged(checkout, request.param, tmp_path_factory.mktemp("cloud"), nodes=1) as bridge:
        # SSH comes from the network's gateway, as the machine sees it.
        bridge.declare(beanft_ssh_from=["10.0.0.0/8"])
        # There is nobody to wait for before the address is exchanged.
        checkout.run("bin/play", "provision", "--skip-tags", "machines")
        bridge.boot()
        ports = labels(bridge.fleet, "m1")
        bridge.lead(
            ansible_host="127.0.0.1",
            ansible_port=int(ports["beanft.port.ssh"]),
            beanft_entry_port=ports["beanft.port.http"],
            beanft_entry_https_port=ports["beanft.port.https"],
        )
        yield bridge


def test_site_deploy_and_smoke_over_the_clouds_inventory(bridge: Bridge) -> None:
    checkout, inventory = bridge.checkout, bridge.cloud.inventory()
    found = inventory["_meta"]["hostvars"]
    assert {name: item["ansible_host"] for name, item in found.items()} == {NAME: "127.0.0.1"}
    # From the cloud, as the plays need it.
    assert found[NAME]["beanft_environment"] == "staging"
    assert groups_of(inventory, "staging") == {"m1": {"managers", "edge"}}
    # Known from the cloud, or made for it before there was a machine, and it is the one that answers.
    known = checkout.path / f".local/{bridge.cloud.provider}-staging/known_hosts"
    assert known.read_text().split("\n") == [f"{NAME} {host_key(bridge.fleet, 'm1')}", ""]
    assert "failed=0" in checkout.run("bin/play", "provision")
    checkout.make_target("site")
    checkout.make_target("deploy")
    checkout.make_target("smoke")
    assert "changed=0" in checkout.run("bin/play", "site")


def test_destroy_removes_what_the_cloud_has(bridge: Bridge) -> None:
    # Without the file that says where a machine is that is none of the cloud's.
    (bridge.inventory / OVERLAY).unlink()
    bridge.checkout.make_target("destroy", "DISKS=remove")
    assert made(bridge.cloud) == set()
    state = Path(bridge.checkout.path / f".local/{bridge.cloud.provider}-staging")
    assert not (state / "known_hosts").exists()

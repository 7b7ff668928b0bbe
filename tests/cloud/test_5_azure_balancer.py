"""Azure with a load balancer beside the entry's own addresses, from nothing to nothing."""

from __future__ import annotations

import time

from tests.cloud.stand_in import Azure, Fleet, Run
from tests.cloud.tunnel import Fault, Item

FLEET: Fleet = {"m": {"groups": ["managers", "edge"]}, "w": {"groups": ["workers"]}}
MORE: Fleet = {**FLEET, "e": {"groups": ["workers", "edge"], "count": 2}}
NAME = "beanft-staging-balancer"
DRAIN_SECONDS = 3


def provision(
    azure: Azure, *arguments: str, fleet: Fleet = FLEET, balancer: str = "beside", **more: str
) -> Run:
    """Provision with a load balancer."""
    settings = {
        "beanft_balancers": {"staging": balancer},
        "cloud_azure_drain_seconds": DRAIN_SECONDS,
    }
    return azure.play("provision", *arguments, fleet=fleet, settings=settings, **more)


def balancer(azure: Azure) -> Item:
    """Return what the load balancer is."""
    return dict(azure.fake.named("loadBalancers")[NAME]["properties"])


def members(azure: Azure) -> set[str]:
    """Return the machines to which it leads."""
    return {
        name.rpartition("-")[2]
        for name, item in azure.fake.named("networkInterfaces").items()
        for one in item["properties"]["ipConfigurations"]
        for pool in one["properties"].get("loadBalancerBackendAddressPools", [])
        if pool["id"].endswith(f"/loadBalancers/{NAME}/backendAddressPools/entry")
    }


def address(azure: Azure) -> str:
    """Return the address of the load balancer."""
    return str(azure.fake.named("publicIPAddresses")[NAME]["properties"]["ipAddress"])


def test_the_only_way_in_is_refused(azure: Azure) -> None:
    done = provision(azure, balancer="before")
    assert done.code != 0
    assert "can't be the only way in at Azure" in done.sentence
    assert azure.fake.items == {}


def test_one_for_machines_that_are_there(azure: Azure) -> None:
    before = provision(azure, balancer="none", AGREED="staging")
    assert before.code == 0, before.said
    own = azure.fake.named("publicIPAddresses")["beanft-staging-m1"]["properties"]["ipAddress"]
    first = provision(azure, AGREED="staging")
    assert first.code == 0, first.said
    assert "make load balancer" in first.sentence
    assert f"the load balancer is {address(azure)}: lead the site's name to it" in first.sentence
    assert members(azure) == {"m1"}
    again = provision(azure)
    assert (again.code, again.changed) == (0, 0), again.said
    # Its own address is as it was, and none to give back.
    assert "nothing to make or remove" in again.sentence
    now = azure.fake.named("publicIPAddresses")["beanft-staging-m1"]["properties"]["ipAddress"]
    assert now == own
    azure.note("azure balancer, changed again", again.changed, "", 0)


def test_it_is_as_promised(azure: Azure) -> None:
    rules = {
        rule["properties"]["frontendPort"]: rule["properties"]
        for rule in balancer(azure)["loadBalancingRules"]
    }
    assert set(rules) == {80, 443}
    for port, rule in rules.items():
        assert rule["backendPort"] == port
        assert rule["probe"]["id"].endswith("/probes/ready")
    (probe,) = balancer(azure)["probes"]
    assert probe["properties"].items() >= {"port": 80, "requestPath": "/readyz"}.items()
    assert azure.fake.named("publicIPAddresses")[NAME]["zones"] == ["1", "2", "3"]


def test_machines_come_and_are_taken_off_before_they_go(azure: Azure) -> None:
    more = provision(azure, fleet=MORE, AGREED="staging")
    assert more.code == 0, more.said
    assert members(azure) == {"m1", "e1", "e2"}
    then = address(azure)
    seen: list[set[str]] = []
    call = "DELETE /virtualMachines/beanft-staging-e2"
    azure.fake.before[call] = lambda: seen.append(members(azure))
    begun = time.monotonic()
    less = provision(azure, fleet=FLEET, AGREED="staging")
    assert less.code == 0, less.said
    assert time.monotonic() - begun > DRAIN_SECONDS
    assert seen == [{"m1"}]
    assert members(azure) == {"m1"}
    assert address(azure) == then


def test_a_quota_is_named_and_the_next_run_completes(azure: Azure) -> None:
    gone = provision(azure, balancer="none", AGREED="staging")
    assert gone.code == 0, gone.said
    assert "remove load balancer" in gone.sentence
    assert azure.fake.named("loadBalancers") == {}
    assert NAME not in azure.fake.named("publicIPAddresses")
    assert members(azure) == set()
    message = "Cannot create more than 10 public IP addresses for this subscription."
    azure.fake.faults = [Fault("PUT publicIPAddresses", 409, "PublicIPCountLimitReached", message)]
    failed = provision(azure, AGREED="staging")
    assert failed.code != 0
    assert message in failed.sentence
    done = provision(azure, AGREED="staging")
    assert done.code == 0, done.said
    assert members(azure) == {"m1"}


def test_it_goes_with_the_machines(azure: Azure) -> None:
    done = azure.play("destroy", AGREED="staging")
    assert done.code == 0, done.said
    assert "remove load balancer" in done.sentence
    # The disk of m1 is left, and what costs nothing.
    assert azure.fake.named("loadBalancers") == {}
    assert azure.fake.named("publicIPAddresses") == {}
    told = azure.play("destroy", DISKS="remove", AGREED="staging")
    assert told.code == 0, told.said
    assert azure.fake.items == {}

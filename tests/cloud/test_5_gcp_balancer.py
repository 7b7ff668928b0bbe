"""GCP with a load balancer before the entry, from nothing to nothing."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import pytest

from tests.cloud import gcp_balancer
from tests.cloud.stand_in import ROOT, Fleet, Gcp, Run
from tests.cloud.tunnel import Fault, Item

FLEET: Fleet = {"m": {"groups": ["managers", "edge"]}, "w": {"groups": ["workers"]}}
MORE: Fleet = {**FLEET, "e": {"groups": ["workers", "edge"], "count": 2}}
PREFIX = "beanft-staging"
NAME = f"{PREFIX}-balancer"
LOGIN = "192.0.2.7/32"
# https://cloud.google.com/load-balancing/docs/firewall-rules, external passthrough Network Load Balancer.
CHECKERS = {"35.191.0.0/16", "209.85.152.0/22", "209.85.204.0/22"}
DRAIN_SECONDS = 3
PARTS = (
    "addresses",
    "healthChecks",
    "instanceGroups",
    "backendServices",
    "firewalls",
    "forwardingRules",
)


def provision(
    gcp: Gcp, *arguments: str, fleet: Fleet = FLEET, balancer: str = "before", **more: str
) -> Run:
    """Provision with a load balancer."""
    settings = {
        "beanft_balancers": {"staging": balancer},
        "cloud_gcp_drain_seconds": DRAIN_SECONDS,
    }
    return gcp.play("provision", *arguments, fleet=fleet, settings=settings, **more)


def parts(gcp: Gcp) -> dict[str, Item]:
    """Return the load balancer's parts by their kinds; there is a group in each zone."""
    found = {kind: gcp.fake.named(kind).get(NAME) for kind in PARTS}
    return {kind: item for kind, item in found.items() if item}


def targets(gcp: Gcp) -> dict[str, set[str]]:
    """Return the machines that it leads to, by their zones."""
    return {
        group.split("/")[1][-1]: {
            link.rsplit("/", 1)[-1].removeprefix(f"{PREFIX}-") for link in members
        }
        for group, members in gcp.fake.members.items()
    }


def walls(gcp: Gcp) -> dict[str, tuple[set[str], set[str], set[str]]]:
    """Return from where, to where and to which ports of the entry's machines packets may go."""
    return {
        name.removeprefix(f"{PREFIX}-"): (
            set(item["sourceRanges"]),
            set(item.get("destinationRanges", [])),
            {port for rule in item["allowed"] for port in rule["ports"]},
        )
        for name, item in gcp.fake.named("firewalls").items()
        if item["targetTags"] == [f"{PREFIX}-edge"]
    }


@pytest.mark.parametrize(
    ("provider", "settings"),
    [
        ("azure", {"beanft_scaling": {"staging": {"max": 2}}}),
        ("gcp", {"beanft_scaling": {"staging": {"max": 2}}}),
    ],
)
def test_clouds_that_have_it_not_refuse_it(
    gcp: Gcp, provider: str, settings: dict[str, Any]
) -> None:
    # The play alone: whose account it would be is asked before, at the cloud.
    command = (
        ". bin/_env; ANSIBLE_CONFIG=$BEANFT_ROOT/ansible/ansible.cfg exec ansible-playbook"
        " -i ansible/inventories/groups.yml -e @ansible/inventories/cloud_fleet.yml"
        f" -e @ansible/inventories/{provider}/group_vars/all/{provider}.yml"
        ' ansible/playbooks/provision.yml -e "$1" --skip-tags machines'
    )
    done = subprocess.run(
        ["bash", "-c", command, "bash", json.dumps({**settings, "beanft_environment": "staging"})],
        cwd=gcp.tree,
        env=gcp.variables("staging", CLOUD=provider),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert f"has staging in {next(iter(settings))}, which CLOUD={provider} does not make" in said


def test_check_mode_says_what_would_be_made(gcp: Gcp) -> None:
    done = provision(gcp, "--check")
    assert done.code == 0, done.said
    assert "make load balancer" in done.sentence
    assert gcp.fake.items == {}


def test_a_quota_is_said_and_the_next_run_completes(gcp: Gcp) -> None:
    rules = "Quota 'FORWARDING_RULES' exceeded. Limit: 15.0 in region europe-west3."
    gcp.fake.faults = [
        # Accepted, and failed as an operation, as quota is.
        Fault("POST forwardingRules", 200, "QUOTA_EXCEEDED", rules, late=True),
    ]
    done = provision(gcp, AGREED="staging")
    assert done.code != 0
    assert f"load balancer {NAME}: " in done.sentence
    assert rules in done.sentence
    assert "Traceback" not in done.said
    assert "forwardingRules" not in parts(gcp)
    gcp.fake.faults = [
        Fault("POST forwardingRules", 429, "rateLimitExceeded", "Rate Limit Exceeded")
    ]
    # It was agreed to by the run that failed.
    done = provision(gcp)
    assert done.code != 0
    assert "Rate Limit Exceeded" in done.sentence
    done = provision(gcp)
    assert done.code == 0, done.said
    assert set(parts(gcp)) == set(PARTS)
    assert f"the load balancer is {parts(gcp)['addresses']['address']}:" in done.sentence


def test_again_nothing_changes(gcp: Gcp) -> None:
    before = json.dumps(gcp.fake.items)
    again = provision(gcp)
    assert (again.code, again.changed) == (0, 0), again.said
    checked = provision(gcp, "--check")
    assert (checked.code, checked.changed) == (0, 0), checked.said
    assert json.dumps(gcp.fake.items) == before
    gcp.note("gcp balancer, changed again", again.changed, "", 0)
    gcp.note("gcp balancer again", round(again.seconds, 1), "s")


def test_it_is_made_as_promised(gcp: Gcp) -> None:
    found = parts(gcp)
    rule, service = found["forwardingRules"], found["backendServices"]
    # TLS ends at the entry, and packets keep the visitor's address.
    assert (rule["loadBalancingScheme"], rule["IPProtocol"]) == ("EXTERNAL", "TCP")
    assert set(rule["ports"]) == {"80", "443"}
    assert rule["IPAddress"] == found["addresses"]["address"]
    assert rule["backendService"] == service["selfLink"]
    assert service["loadBalancingScheme"] == "EXTERNAL"
    assert service["connectionDraining"] == {"drainingTimeoutSec": DRAIN_SECONDS}
    assert service["healthChecks"] == [found["healthChecks"]["selfLink"]]
    assert found["healthChecks"]["httpHealthCheck"] == {"port": 80, "requestPath": "/readyz"}
    zones = {entry["group"].split("/zones/")[1][:14] for entry in service["backends"]}
    assert zones == {f"europe-west3-{letter}" for letter in "abc"}
    assert targets(gcp) == {"a": {"m1"}, "b": set(), "c": set()}
    assert {item["description"] for item in found.values()} == {f"Load balancer of {PREFIX}"}


def test_a_visitor_can_neither_go_around_it_nor_say_another_address(gcp: Gcp) -> None:
    found = walls(gcp)
    assert set(found) == {"edge", "balancer"}
    assert found["edge"] == ({LOGIN, *CHECKERS}, set(), {"80", "443"})
    address = parts(gcp)["addresses"]["address"]
    assert found["balancer"] == ({"0.0.0.0/0"}, {f"{address}/32"}, {"80", "443"})
    # The entry takes the address from the connection, whatever its first bytes say.
    entry = (ROOT / "ansible/roles/edge/templates/haproxy.cfg.j2").read_text(encoding="utf-8")
    assert "set-header X-Forwarded-For %[src]" in entry
    assert "accept-proxy" not in entry


def test_what_was_changed_by_hand_is_put_back(gcp: Gcp) -> None:
    found = parts(gcp)
    found["backendServices"]["connectionDraining"] = {"drainingTimeoutSec": 0}
    found["healthChecks"]["httpHealthCheck"] = {"port": 80, "requestPath": "/"}
    found["firewalls"]["destinationRanges"] = ["0.0.0.0/0"]
    # The API changes no forwarding rule's ports: it is made anew.
    found["forwardingRules"]["ports"] = ["80"]
    done = provision(gcp)
    assert done.code == 0, done.said
    assert done.changed == 1
    test_it_is_made_as_promised(gcp)
    test_a_visitor_can_neither_go_around_it_nor_say_another_address(gcp)


def test_scale_up_and_down(gcp: Gcp) -> None:
    up = provision(gcp, fleet=MORE, AGREED="staging")
    assert up.code == 0, up.said
    assert targets(gcp) == {"a": {"m1", "e1"}, "b": {"e2"}, "c": set()}
    checked = provision(gcp, "--check")
    assert checked.code == 0, checked.said
    assert targets(gcp) == {"a": {"m1", "e1"}, "b": {"e2"}, "c": set()}
    order: list[tuple[str, float]] = []
    for call in (
        f"europe-west3-b/instanceGroups/{NAME}/removeInstances",
        f"instances/{PREFIX}-e1",
        f"instances/{PREFIX}-e2",
    ):
        verb = "POST" if call.endswith("removeInstances") else "DELETE"
        gcp.fake.before[f"{verb} {call}"] = lambda call=call: order.append((call, time.monotonic()))
    down = provision(gcp, AGREED="staging")
    assert down.code == 0, down.said
    assert targets(gcp) == {"a": {"m1"}, "b": set(), "c": set()}
    assert [call.rsplit("/", 1)[-1] for call, _ in order] == [
        "removeInstances",
        f"{PREFIX}-e1",
        f"{PREFIX}-e2",
    ]
    # What a machine has begun may be finished before it is removed.
    assert order[1][1] - order[0][1] >= DRAIN_SECONDS
    again = provision(gcp)
    assert (again.code, again.changed) == (0, 0), again.said


def test_a_machine_that_is_made_anew_takes_the_old_ones_place(gcp: Gcp) -> None:
    path = f"zones/europe-west3-a/instances/{PREFIX}-m1"
    gcp.fake.delete(path, gcp.fake.items[path])
    assert targets(gcp)["a"] == set()
    done = provision(gcp, AGREED="staging")
    assert done.code == 0, done.said
    assert targets(gcp) == {"a": {"m1"}, "b": set(), "c": set()}


def test_beside_it_the_machines_are_open_while_the_name_moves(gcp: Gcp) -> None:
    done = provision(gcp, balancer="beside")
    assert done.code == 0, done.said
    assert walls(gcp)["edge"] == ({"0.0.0.0/0"}, set(), {"80", "443"})
    assert set(parts(gcp)) == set(PARTS)


def test_it_is_removed_where_it_is_not_wanted_any_more(gcp: Gcp) -> None:
    refused = provision(gcp, balancer="none")
    assert refused.code != 0
    assert set(parts(gcp)) == set(PARTS)
    done = provision(gcp, balancer="none", AGREED="staging")
    assert done.code == 0, done.said
    assert "remove load balancer" in done.sentence
    assert parts(gcp) == {}
    assert set(walls(gcp)) == {"edge"}
    before = gcp.fake.calls.copy()
    again = provision(gcp, balancer="none")
    assert (again.code, again.changed) == (0, 0), again.said
    # Who has none needs no right to look for it.
    asked = {call.partition(" ")[2] for call in gcp.fake.calls - before}
    assert asked
    assert not asked & {"healthChecks", "instanceGroups", "backendServices", "forwardingRules"}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("regions/europe-west3/addresses", {}),
        ("regions/europe-west3/healthChecks", {"description": "of somebody else"}),
    ],
)
def test_one_of_somebody_else_is_not_touched(gcp: Gcp, path: str, content: Item) -> None:
    there = f"{path}/{NAME}"
    gcp.fake.insert(there, path.rsplit("/", 1)[-1], {"name": NAME, **content})
    foreign = json.dumps(gcp.fake.items[there])
    done = provision(gcp, AGREED="staging")
    assert done.code != 0
    assert "it is somebody else's; rename or remove it" in done.sentence
    # Nothing is made beside it, and what is not wanted is not looked for under its name.
    assert list(parts(gcp)) == [path.rsplit("/", 1)[-1]]
    none = provision(gcp, balancer="none")
    assert (none.code, none.sentence.count("load balancer")) == (0, 0), none.said
    assert json.dumps(gcp.fake.items[there]) == foreign
    gcp.fake.items.pop(there)


def test_destroy(gcp: Gcp) -> None:
    made = provision(gcp, AGREED="staging")
    assert made.code == 0, made.said
    first = gcp.play("destroy", AGREED="staging", DISKS="remove")
    assert first.code == 0, first.said
    assert "remove load balancer" in first.sentence
    assert gcp.fake.items == {}
    again = gcp.play("destroy")
    assert (again.code, again.changed) == (0, 0), again.said
    gcp.note("gcp balancer, destroy, changed again", again.changed, "", 0)


def test_what_is_asked_of_the_project_is_documented(gcp: Gcp) -> None:
    text = (ROOT / "docs" / "clouds.md").read_text(encoding="utf-8")
    rights = {"GET": "get", "POST": "create", "PATCH": "update", "DELETE": "delete"}
    kinds = {"healthChecks": "regionHealthChecks", "backendServices": "regionBackendServices"}
    asked = {
        f"compute.{kinds.get(kind, kind)}.{rights[verb]}"
        for verb, _, kind in (call.partition(" ") for call in gcp.fake.calls)
        if kind in gcp_balancer.KINDS
    } | {"compute.instanceGroups.list", "compute.instanceGroups.update"}
    assert len(asked) > len(gcp_balancer.KINDS)
    assert [right for right in sorted(asked) if right not in text.split()] == []

"""What Azure Resource Manager is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

Load = Callable[[str], ModuleType]
SETTINGS: dict[str, Any] = {
    "prefix": "beanft-staging",
    "environment": "staging",
    "location": "germanywestcentral",
    "zones": ["1", "2", "3"],
    "network": "10.80.0.0/20",
    "ssh_from": ["192.0.2.7/32", "198.51.100.0/24"],
    "inside_tcp": [2377, 7946],
    "inside_udp": [4789],
    "outside": [80, 443],
    "types": {"small": "Standard_B1ms", "medium": "Standard_B2s", "large": "Standard_B2ms"},
    "image": {"publisher": "debian", "offer": "debian-13", "sku": "13-gen2", "version": "latest"},
    "public_key": "ssh-ed25519 AAAA",
    "now": "20260131120000",
    "disks": {"beanft-staging-w4": "of-before"},
    "store": "",
    "store_days": 30,
    "database_network": "",
    "database": {},
    "database_version": "17",
    "database_keep_days": 7,
    "balancer": False,
    "edge": [],
}


@pytest.fixture
def template(plugin: Load) -> dict[str, Any]:
    """A template of a fleet."""
    fleet = {
        "m": {"groups": ["managers", "edge"], "size": "medium"},
        "w": {"groups": ["workers"], "count": 4},
    }
    machines = plugin("filter/fleet").FilterModule().filters()["fleet_machines"](fleet, "staging")
    made: dict[str, Any] = (
        plugin("filter/azure_template")
        .FilterModule()
        .filters()["azure_template"](machines, SETTINGS)
    )
    return made


def named(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return what a template has of a kind, by its name."""
    found = {item["name"]: item for item in template["resources"] if item["type"].endswith(kind)}
    return {name.removeprefix("beanft-staging-"): item for name, item in found.items()}


def test_secrets_are_parameters_whose_values_are_not_recorded(template: dict[str, Any]) -> None:
    assert set(template["parameters"]) == {"m1", "w1", "w2", "w3", "w4"}
    assert {item["type"] for item in template["parameters"].values()} == {"securestring"}
    told = named(template, "virtualMachines")["w2"]["properties"]["osProfile"]["customData"]
    assert told == "[parameters('w2')]"


def test_only_what_is_declared_is_let_in(template: dict[str, Any]) -> None:
    walls = {
        name: [
            (
                rule["properties"]["access"],
                rule["properties"]["protocol"],
                rule["properties"].get("sourceAddressPrefixes")
                or [rule["properties"]["sourceAddressPrefix"]],
                rule["properties"].get("destinationPortRanges", "all"),
            )
            for rule in item["properties"]["securityRules"]
        ]
        for name, item in named(template, "networkSecurityGroups").items()
    }
    machines = [
        ("Allow", "Tcp", ["192.0.2.7/32", "198.51.100.0/24"], ["22"]),
        ("Allow", "Tcp", ["10.80.0.0/20"], ["2377", "7946"]),
        ("Allow", "Udp", ["10.80.0.0/20"], ["4789"]),
        ("Deny", "*", ["VirtualNetwork"], "all"),
    ]
    entry = ("Allow", "Tcp", ["*"], ["80", "443"])
    assert walls == {"machines": machines, "edge": [*machines[:3], entry, machines[3]]}
    cards = named(template, "networkInterfaces")
    for name, wall in (("m1", "edge"), ("w1", "machines")):
        used = cards[name]["properties"]["networkSecurityGroup"]["id"]
        assert used.endswith(f"'beanft-staging-{wall}')]")


def test_machines_of_a_kind_go_to_one_zone_after_the_other(template: dict[str, Any]) -> None:
    machines = named(template, "virtualMachines")
    zones = [machines[f"w{number}"]["zones"] for number in range(1, 5)]
    assert zones == [["1"], ["2"], ["3"], ["1"]]


def test_data_and_the_address_of_the_entry_outlive_their_machine(template: dict[str, Any]) -> None:
    disks = {
        name: item["properties"]["storageProfile"]["osDisk"]
        for name, item in named(template, "virtualMachines").items()
    }
    assert {name: disk["deleteOption"] for name, disk in disks.items()} == {
        "m1": "Detach",
        **dict.fromkeys(("w1", "w2", "w3", "w4"), "Delete"),
    }
    assert disks["m1"]["name"] == "beanft-staging-m1-20260131120000"
    assert disks["w4"]["name"] == "of-before"
    cards = named(template, "networkInterfaces")
    kept = {
        name: item["properties"]["ipConfigurations"][0]["properties"]["publicIPAddress"][
            "properties"
        ]["deleteOption"]
        for name, item in cards.items()
    }
    assert (kept["m1"], kept["w1"]) == ("Detach", "Delete")


def test_what_something_needs_is_made_before(template: dict[str, Any]) -> None:
    known = {f"[resourceId('{item['type']}', '{item['name']}')]" for item in template["resources"]}
    for item in template["resources"]:
        assert set(item.get("dependsOn", [])) <= known
        assert item["apiVersion"]
        assert item["location"] == "germanywestcentral"
    # No password, and nobody who could ask for a token.
    assert "identity" not in json.dumps(template)
    for machine in named(template, "virtualMachines").values():
        profile = machine["properties"]["osProfile"]
        assert profile["linuxConfiguration"]["disablePasswordAuthentication"] is True
        assert "adminPassword" not in profile


def test_a_store_is_used_by_the_identity_of_machines_with_data_alone(plugin: Load) -> None:
    filters = plugin("filter/fleet").FilterModule().filters()
    fleet = {"m": {"groups": ["managers", "edge"]}, "w": {"groups": ["workers"]}}
    machines = filters["fleet_machines"](fleet, "staging")
    make = plugin("filter/azure_template").FilterModule().filters()["azure_template"]
    made = make(machines, SETTINGS | {"store": "ofthetests"})
    assert "identity" in named(made, "virtualMachines")["m1"]
    assert "identity" not in named(made, "virtualMachines")["w1"]
    # The same name each time, or Azure would refuse a second assignment of the same.
    (one,), (other,) = (
        named(item, "roleAssignments")
        for item in (made, make([], SETTINGS | {"store": "ofthetests"}))
    )
    assert one == other
    parts = [item for item in made["resources"] if "Storage" in item["type"]]
    assert [("location" in item, "tags" in item) for item in parts] == [
        (True, True),
        (False, False),
        (False, False),
    ]

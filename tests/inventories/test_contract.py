"""The contract between inventories and plays: every provider's inventory yields the same.

The plugins are the real ones and run in `ansible-inventory`; what they ask is the real Docker engine for
local, moto's EC2 for aws, and a fake of the one call for gcp. Azure's SDK is not installed (1.3 GB): its
plugin runs from the list of machines on, with answers of Azure's shape, and without credentials and HTTP.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GROUPS = ("managers", "workers", "edge", "data", "monitoring", "jenkins", "machines")
CONNECTION = (
    "ansible_ssh_common_args",
    "ansible_ssh_private_key_file",
    "ansible_python_interpreter",
    "ansible_become",
)


def yielded(inventory: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what plays rely on, by the machine's short name."""
    return {
        variables["beanft_machine"]: {
            "name": name,
            "beanft_name": variables["beanft_name"],
            "groups": {
                group for group in GROUPS if name in inventory.get(group, {}).get("hosts", [])
            },
            "ansible_host": variables["ansible_host"],
            "ansible_user": variables["ansible_user"],
            "beanft_environment": variables["beanft_environment"],
            "beanft_entry_port": variables["beanft_entry_port"],
        }
        for name, variables in inventory["_meta"]["hostvars"].items()
    }


@pytest.mark.parametrize("environment", ["one", "three", "five"])
def test_every_provider_yields_the_same_for_the_same_fleet(
    world: Any, machines: Callable[[str], list[Any]], environment: str
) -> None:
    inventory = world.inventory(environment)

    assert set(GROUPS) <= set(inventory["all"]["children"])
    found = yielded(inventory)
    assert found == {
        f"m{machine.number}": {
            # Tools take what follows the last dash for a machine's short name.
            "name": (name := next(name for name in world.addresses if name.endswith(machine.name))),
            "beanft_name": name,
            "groups": {*machine.groups, "machines"},
            "ansible_host": found[f"m{machine.number}"]["ansible_host"],
            "ansible_user": "deploy",
            "beanft_environment": environment,
            "beanft_entry_port": "80",
        }
        for machine in machines(environment)
    }
    # Among the machines, whatever they are called from outside.
    variables = inventory["_meta"]["hostvars"].values()
    addresses = [item["beanft_address"] for item in variables]
    assert all(re.match(r"10\.|172\.|192\.168\.", address) for address in addresses), addresses
    assert len(set(addresses)) == len(found)
    assert {item["name"]: item["ansible_host"] for item in found.values()} == {
        item["name"]: world.addresses[item["name"]] for item in found.values()
    }


def test_nothing_else_is_seen(world: Any) -> None:
    inventory = world.inventory("one")
    # Not the other environments', not the stopped one, not the other owner's, not the untagged.
    assert [name[-6:] for name in inventory["_meta"]["hostvars"]] == ["one-m1"]
    assert set(inventory["all"]["children"]) - set(GROUPS) <= {"ungrouped", "aws_ec2"}
    assert "ungrouped" not in inventory


def test_machines_are_reached_with_verified_host_keys(world: Any) -> None:
    variables = next(iter(world.inventory("one")["_meta"]["hostvars"].values()))
    state = "{{ lookup('ansible.builtin.env', 'BEANFT_STATE') }}"
    # Local machines are here: there is nothing on the way to them.
    way = "" if world.provider == "local" else " {{ beanft_bastion | default({}) | bastion_line }}"
    assert {name: variables[name] for name in CONNECTION} == {
        "ansible_ssh_common_args": "-o IdentitiesOnly=yes -o StrictHostKeyChecking=yes"
        f" -o HostKeyAlias={{{{ beanft_name }}}} -o UserKnownHostsFile={state}/known_hosts{way}",
        "ansible_ssh_private_key_file": f"{state}/id_ed25519",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_become": True,
    }


def test_a_play_on_nothing_fails_with_one_sentence(world: Any, checkout: Path) -> None:
    done = subprocess.run(
        [checkout / "bin" / "play", "site"],
        # Nothing of this environment exists: the checkout is new, and the fleets are elsewhere.
        env={**world.environment("staging"), "CLOUD": world.provider, "ENV": "staging"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode != 0
    said = " ".join((done.stdout + done.stderr).split())
    assert (
        f"the inventory '{world.provider}' has no machine in the group 'managers' for ENV=staging:"
        " run 'make provision' first"
    ) in said
    assert "Traceback" not in said
    assert not re.search(r"Packages that are there|Gathering", said)


GCP = {"GCP_AUTH_KIND": "accesstoken", "GCP_ACCESS_TOKEN": "token-of-a-test"}


@pytest.mark.parametrize(
    ("provider", "variables", "sentence"),
    [
        ("aws", {}, "set AWS_REGION to the region of the machines"),
        ("gcp", GCP, "set GCP_PROJECT to the project of the machines"),
        ("gcp", {**GCP, "GCP_PROJECT": "some-project"}, "Compute Engine did not answer: "),
    ],
)
def test_what_is_missing_is_named(
    misled: Callable[..., Any], provider: str, variables: dict[str, str], sentence: str
) -> None:
    world = misled(provider, variables)
    done = world.ansible("ansible-inventory", "--list", environment="one")
    assert done.returncode != 0
    assert sentence in done.stderr

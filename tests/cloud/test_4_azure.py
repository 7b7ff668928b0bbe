"""Azure, verb by verb, and when something is wrong.

Its Python packages are big and slow to import, so this is `make test-azure` and not a part of `make test-cloud`.
"""

from __future__ import annotations

import yaml

from tests.cloud.stand_in import Azure, Fleet, groups_of
from tests.cloud.tunnel import Fault

FLEET: Fleet = {
    "m": {"groups": ["managers", "edge"], "size": "medium"},
    "d": {"groups": ["data"], "size": "large", "disk_gb": 40},
    "w": {"groups": ["workers"]},
}
MORE: Fleet = {**FLEET, "w": {"groups": ["workers"], "count": 3}}
GROUPS = {"m1": {"managers", "edge"}, "d1": {"data"}, "w1": {"workers"}}
M1, D1, W1, W2, W3 = (f"beanft-staging-{name}" for name in ("m1", "d1", "w1", "w2", "w3"))


def test_without_credentials_there_is_one_sentence(azure: Azure) -> None:
    done = azure.play("provision", AZURE_SUBSCRIPTION_ID="")
    assert done.code == 1
    assert done.said.startswith("beanft: there are no Azure credentials: set AZURE_SUBSCRIPTION_ID")
    assert done.said.count("\n") == 1


def test_wrong_credentials(azure: Azure) -> None:
    done = azure.play("provision", AZURE_SECRET="of-somebody-else")
    assert (done.code, done.said) == (
        1,
        "beanft: Azure does not take these credentials (401: AADSTS7000215: Invalid client secret"
        " provided.): get new ones, or set another AZURE_SUBSCRIPTION_ID\n",
    )


def test_check_mode_says_what_would_be_made(azure: Azure) -> None:
    done = azure.play("provision", "--check", fleet=FLEET)
    assert done.code == 0, done.said
    for line in ("make network", f"make {M1}, medium, 30 GB: managers, edge"):
        assert line in done.sentence
    assert azure.fake.items == {}


def test_provision(azure: Azure) -> None:
    first = azure.play("provision", fleet=FLEET, AGREED="staging")
    assert first.code == 0, first.said
    assert "PRIVATE KEY" not in first.said
    again = azure.play("provision", fleet=FLEET)
    assert (again.code, again.changed) == (0, 0), again.said
    assert "nothing to make or remove" in again.sentence
    azure.note("azure provision 3, changed first", first.changed, "")
    azure.note("azure provision 3, changed again", again.changed, "", 0)
    azure.note("azure provision 3", round(first.seconds, 1), "s")
    azure.note("azure provision 3 again", round(again.seconds, 1), "s")


def test_the_inventory_yields_the_groups(azure: Azure) -> None:
    inventory = azure.inventory()
    assert groups_of(inventory, "staging") == GROUPS
    hosts = inventory["_meta"]["hostvars"]
    addresses = azure.fake.named("publicIPAddresses")
    assert {name: item["ansible_host"] for name, item in hosts.items()} == {
        name: addresses[name]["properties"]["ipAddress"] for name in (M1, D1, W1)
    }


def test_machines_are_made_as_promised(azure: Azure) -> None:
    machines, disks = azure.fake.named("virtualMachines"), azure.fake.named("disks")
    sizes = {
        name: item["properties"]["hardwareProfile"]["vmSize"] for name, item in machines.items()
    }
    assert sizes == {M1: "Standard_B2s", D1: "Standard_B2ms", W1: "Standard_B1ms"}
    gigabytes = {
        item["managedBy"].rsplit("/", 1)[-1]: item["properties"]["diskSizeGB"]
        for item in disks.values()
    }
    assert gigabytes == {M1: 30, D1: 40, W1: 30}
    for item in machines.values():
        # Nobody on a machine can ask for a token, and nobody logs in by a password.
        assert "identity" not in item
        assert item["properties"]["osProfile"]["linuxConfiguration"][
            "disablePasswordAuthentication"
        ]


def test_a_machine_is_told_a_host_key_that_is_known(azure: Azure) -> None:
    lines = (azure.tree / ".local" / "azure-staging" / "known_hosts").read_text().splitlines()
    known = dict(line.split(" ", 1) for line in lines)
    assert set(known) == {M1, D1, W1}
    for name, told in azure.fake.told.items():
        content = yaml.safe_load(told)
        assert content["ssh_keys"]["ed25519_public"].startswith(known[name])


def test_no_secret_is_in_the_deployments_record(azure: Azure) -> None:
    (record,) = azure.fake.named("deployments").values()
    assert {item["type"] for item in record["properties"]["parameters"].values()} <= {
        "securestring"
    }


def test_a_quota_and_what_is_slow_and_the_next_run_completes(azure: Azure) -> None:
    quota = (
        "Operation could not be completed as it results in exceeding approved Total Cores quota."
    )
    azure.fake.faults = [
        # The client asks again by itself.
        Fault("GET virtualMachines", 429, "TooManyRequests", "The request was throttled."),
        Fault("PUT virtualMachines", 409, "QuotaExceeded", quota),
        Fault("PUT virtualMachines", 409, "AllocationFailed", "Allocation failed.", late=True),
    ]
    done = azure.play("provision", fleet=MORE, AGREED="staging")
    assert done.code != 0
    # In the cloud's own words, which machine it is about, and what to do.
    assert f"{W2}: {quota}; {W3}: Allocation failed." in done.sentence
    assert "What was made stays: mend the cause and run the same again" in done.sentence
    assert "PRIVATE KEY" not in done.said
    done = azure.play("provision", fleet=MORE, AGREED="staging")
    assert done.code == 0, done.said
    states = {
        name: item["properties"]["provisioningState"]
        for name, item in azure.fake.named("virtualMachines").items()
    }
    assert states == dict.fromkeys((M1, D1, W1, W2, W3), "Succeeded")
    assert azure.groups() == {**GROUPS, "w2": {"workers"}, "w3": {"workers"}}


def test_scale_down(azure: Azure) -> None:
    first = azure.play("provision", fleet=FLEET, AGREED="staging")
    assert first.code == 0, first.said
    # What was made for a machine goes with it.
    for kind in ("virtualMachines", "networkInterfaces", "publicIPAddresses"):
        assert set(azure.fake.named(kind)) == {M1, D1, W1}
    assert len(azure.fake.named("disks")) == 3
    azure.note("azure scale down by 2, changed first", first.changed, "")
    azure.note("azure scale down by 2", round(first.seconds, 1), "s")


def test_a_machine_that_is_gone_is_made_anew_and_one_that_was_stopped_is_started(
    azure: Azure,
) -> None:
    address = azure.fake.named("publicIPAddresses")[M1]["properties"]["ipAddress"]
    azure.fake.delete(azure.fake.named("virtualMachines")[M1])
    azure.fake.named("virtualMachines")[W1]["power"] = "deallocated"
    done = azure.play("provision", fleet=FLEET, AGREED="staging")
    assert done.code == 0, done.said
    assert azure.fake.named("virtualMachines")[W1]["power"] == "running"
    assert azure.inventory()["_meta"]["hostvars"][M1]["ansible_host"] == address
    # The disk of before is still there, beside the new one.
    assert len([name for name in azure.fake.named("disks") if name.startswith(M1)]) == 2


def test_destroy(azure: Azure) -> None:
    refused = azure.play("destroy")
    assert refused.code != 0
    assert "nothing was changed: type the environment's name, staging" in refused.sentence
    assert set(azure.fake.named("virtualMachines")) == {M1, D1, W1}
    first = azure.play("destroy", AGREED="staging")
    assert first.code == 0, first.said
    assert azure.fake.named("virtualMachines") == {}
    assert azure.fake.named("publicIPAddresses") == {}
    # Disks with data are still there, and what costs nothing.
    assert len(azure.fake.named("disks")) == 3
    again = azure.play("destroy")
    assert (again.code, again.changed) == (0, 0), again.said
    told = azure.play("destroy", DISKS="remove", AGREED="staging")
    assert told.code == 0, told.said
    assert azure.fake.items == {}
    azure.note("azure destroy 3, changed first", first.changed, "")
    azure.note("azure destroy 3, changed again", again.changed, "", 0)
    azure.note("azure destroy 3", round(first.seconds, 1), "s")

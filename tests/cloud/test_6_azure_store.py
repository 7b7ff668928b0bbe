"""Azure, the store for backups: an account that is what it has to be, rights to it, and gone only when that is said."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.stand_in import Azure, Fleet, Run
from tests.cloud.tunnel import Item

FLEET: Fleet = {
    "m": {"groups": ["managers", "edge"]},
    "w": {"groups": ["workers"]},
    "d": {"groups": ["data"]},
}
NAME = "jenkins"
STORE = "astoreofthetests"
# "Azure built-in roles for Storage": Storage Blob Data Contributor.
CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"


def provision(azure: Azure, *arguments: str, store: str = STORE, **more: Any) -> Run:
    """Make the environment, with a store."""
    return azure.play(
        "provision",
        *arguments,
        environment=NAME,
        fleet=FLEET,
        settings={"beanft_store": store},
        AGREED=NAME,
        **more,
    )


def destroy(azure: Azure, **more: str) -> Run:
    """Remove the environment; the setting may be gone by then."""
    return azure.play("destroy", environment=NAME, AGREED=NAME, **more)


def one(azure: Azure, kind: str) -> Item:
    """Return the one of a kind."""
    (found,) = azure.fake.named(kind).values()
    return found


def identified(azure: Azure) -> set[str]:
    """Return the machines that have the identity of those with data."""
    identity = one(azure, "userAssignedIdentities")["id"]
    return {
        name.rpartition("-")[2]
        for name, item in azure.fake.named("virtualMachines").items()
        if identity in item.get("identity", {}).get("userAssignedIdentities", {})
    }


def test_without_a_store_there_is_no_identity(azure: Azure) -> None:
    done = provision(azure, store="")
    assert done.code == 0, done.said
    assert azure.fake.named("userAssignedIdentities") == {}
    # Their providers may not be registered in the subscription, which then refuses to be asked.
    assert not {"GET storageAccounts", "GET flexibleServers"} & set(azure.fake.calls)


@pytest.mark.parametrize(
    ("store", "sentence"),
    [
        ("a-store", "a storage account's name is 3 to 24 small letters and digits"),
        ("ofsomebodyelse", "The storage account named ofsomebodyelse is already taken."),
    ],
)
def test_what_can_not_be_is_refused(azure: Azure, store: str, sentence: str) -> None:
    done = provision(azure, store=store)
    assert done.code != 0
    assert sentence in done.sentence
    assert azure.fake.named("storageAccounts") == {}


def test_a_store_for_machines_that_are_there(azure: Azure) -> None:
    first = provision(azure)
    assert first.code == 0, first.said
    assert f"make store {STORE}" in first.sentence
    assert identified(azure) == {"m1", "d1"}
    again = provision(azure)
    assert (again.code, again.changed) == (0, 0), again.said
    assert "nothing to make or remove" in again.sentence
    azure.note("azure store for 3 machines, changed first", first.changed, "")
    azure.note("azure store, changed again", again.changed, "", 0)


def test_the_store_is_private_without_keys_and_keeps_what_was_removed(azure: Azure) -> None:
    account = one(azure, "storageAccounts")
    assert account["tags"]["beanft-environment"] == NAME
    assert (
        account["properties"].items()
        >= {
            "minimumTlsVersion": "TLS1_2",
            "supportsHttpsTrafficOnly": True,
            "allowBlobPublicAccess": False,
            "allowSharedKeyAccess": False,
        }.items()
    )
    service = one(azure, "blobServices")
    for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
        assert service["properties"][policy] == {"enabled": True, "days": 30}
    assert one(azure, "containers")["properties"]["publicAccess"] == "None"


def test_the_identity_may_use_the_container_and_nothing_else(azure: Azure) -> None:
    role = one(azure, "roleAssignments")["properties"]
    assert role["roleDefinitionId"].endswith(f"/roleDefinitions/{CONTRIBUTOR}")
    assert role["scope"] == one(azure, "containers")["id"]
    assert role["scope"].endswith(f"/{STORE}/blobServices/default/containers/backups")
    identity = one(azure, "userAssignedIdentities")
    assert role["principalId"] == identity["properties"]["principalId"]


def test_a_machine_made_anew_has_the_identity(azure: Azure) -> None:
    azure.fake.delete(azure.fake.named("virtualMachines")[f"beanft-{NAME}-d1"])
    done = provision(azure)
    assert done.code == 0, done.said
    assert identified(azure) == {"m1", "d1"}


def test_the_store_outlives_the_machines(azure: Azure) -> None:
    done = destroy(azure)
    assert done.code == 0, done.said
    assert f"keep store {STORE}" in done.sentence
    assert azure.fake.named("virtualMachines") == {}
    assert set(azure.fake.named("storageAccounts")) == {STORE}


def test_an_environment_made_anew_has_its_store(azure: Azure) -> None:
    done = provision(azure)
    assert done.code == 0, done.said
    assert f"make store {STORE}" not in done.sentence
    assert identified(azure) == {"m1", "d1"}


def test_it_goes_when_that_is_said(azure: Azure) -> None:
    first = destroy(azure, DISKS="remove")
    assert first.code == 0, first.said
    assert f"remove store {STORE}, with the backups in it" in first.sentence
    assert azure.fake.items == {}
    again = destroy(azure, DISKS="remove")
    assert (again.code, again.changed) == (0, 0), again.said
    azure.note("azure store destroyed, changed again", again.changed, "", 0)

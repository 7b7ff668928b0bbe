"""Azure with a managed PostgreSQL in place of group data's, from nothing to nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cloud.stand_in import SHOWS_DATABASE, Azure, Fleet, Run
from tests.cloud.tunnel import Fault, Item

FLEET: Fleet = {"m": {"groups": ["managers", "edge"]}, "d": {"groups": ["data"]}}
SMALL = {"size": "small", "disk_gb": 32, "zones": 1}
LARGER = {"size": "large", "disk_gb": 64, "zones": 2}


def provision(
    azure: Azure, *arguments: str, database: dict[str, Any] | None = None, **more: str
) -> Run:
    """Provision with a database, or what differs from a small one."""
    settings = {"beanft_databases": {"staging": {**SMALL, **(database or {})}}}
    return azure.play("provision", *arguments, fleet=FLEET, settings=settings, **more)


def server(azure: Azure) -> Item:
    """Return the one database."""
    (found,) = azure.fake.named("flexibleServers").values()
    return found


@pytest.mark.parametrize(
    ("database", "sentence"),
    [
        ({"disk_gb": 40}, "the database of staging: Azure has disk_gb 32, 64, 128 and 256"),
        ({"zones": 2}, "the database of staging: Azure has two zones for size large alone"),
        ({"size": "huge"}, "the database of staging: size is 'huge': small, medium, large"),
    ],
)
def test_what_can_not_be_is_refused(azure: Azure, database: dict[str, Any], sentence: str) -> None:
    done = provision(azure, database=database)
    assert done.code != 0
    assert sentence in done.sentence
    assert azure.fake.items == {}


def test_a_quota_is_named_and_the_next_run_completes(azure: Azure) -> None:
    message = "The requested tier is not available in this region for your subscription."
    azure.fake.faults = [Fault("PUT flexibleServers", 409, "SkuNotAvailable", message)]
    done = provision(azure, AGREED="staging")
    assert done.code != 0
    assert message in done.sentence
    assert "make database, small, 32 GB, 1 zone" in done.sentence
    first = provision(azure, AGREED="staging")
    assert first.code == 0, first.said
    again = provision(azure)
    assert (again.code, again.changed) == (0, 0), again.said
    assert "nothing to make or remove" in again.sentence
    azure.note("azure database, changed again", again.changed, "", 0)


def test_it_is_as_promised(azure: Azure) -> None:
    found = server(azure)
    properties = found["properties"]
    assert found["sku"] == {"name": "Standard_B1ms", "tier": "Burstable"}
    assert properties["version"] == "17"
    assert properties["authConfig"]["passwordAuth"] == "Enabled"
    # Of the network alone, where nobody but the machines is.
    assert properties["network"]["delegatedSubnetResourceId"].endswith("/subnets/database")
    (link,) = azure.fake.named("virtualNetworkLinks").values()
    assert link["properties"]["virtualNetwork"]["id"].endswith("/beanft-staging")
    values = {
        item["name"].rpartition("/")[2]: item["properties"]["value"]
        for item in azure.fake.named("configurations").values()
    }
    assert values == {
        "password_encryption": "scram-sha-256",
        "ssl_min_protocol_version": "TLSv1.2",
    }


def test_its_password_is_in_the_vault_and_nowhere_else(azure: Azure) -> None:
    (password,) = azure.fake.passwords.values()
    assert len(password) > 20
    (record,) = azure.fake.named("deployments").values()
    assert password not in str(record)
    state = azure.tree / ".local" / "azure-staging"
    for path in state.rglob("*"):
        if path.is_file():
            assert password.encode() not in path.read_bytes()


def test_machines_know_where_it_is(azure: Azure) -> None:
    settings = {"beanft_databases": {"staging": SMALL}}
    refused = azure.play("machines", settings=settings)
    assert refused.code != 0
    assert "database-ca.pem, which has no certificates" in refused.sentence
    bundle = azure.tree / ".local/azure-staging/database-ca.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
    shows = azure.tree / "ansible/playbooks/shows.yml"
    shows.write_text(SHOWS_DATABASE)
    known = azure.play("shows", settings=settings)
    shows.unlink()
    assert known.code == 0, known.said
    host = server(azure)["properties"]["fullyQualifiedDomainName"]
    assert f"the database is at {host}" in known.sentence


def test_another_size_is_asked_for(azure: Azure) -> None:
    refused = provision(azure, database=LARGER)
    assert refused.code != 0
    line = "change database from small, 32 GB, 1 zone into large, 64 GB, 2 zones, at once"
    assert line in refused.sentence
    assert server(azure)["sku"]["name"] == "Standard_B1ms"
    done = provision(azure, database=LARGER, AGREED="staging")
    assert done.code == 0, done.said
    assert server(azure)["sku"]["name"] == "Standard_D2ds_v5"
    assert server(azure)["properties"]["highAvailability"]["mode"] == "ZoneRedundant"
    smaller = provision(azure, database={**LARGER, "disk_gb": 32}, AGREED="staging")
    assert smaller.code != 0
    assert "which can't shrink to 32" in smaller.sentence


def test_a_line_that_is_taken_out_removes_nothing(azure: Azure) -> None:
    done = azure.play("provision", fleet=FLEET)
    assert (done.code, done.changed) == (0, 0), done.said
    assert "keep database, which is named in beanft_databases no more" in done.sentence
    assert server(azure)


def test_destroy_keeps_it_until_that_is_said(azure: Azure) -> None:
    first = azure.play("destroy", AGREED="staging")
    assert first.code == 0, first.said
    assert "keep database, which goes on costing" in first.sentence
    assert azure.fake.named("virtualMachines") == {}
    assert server(azure)
    told = azure.play("destroy", DISKS="remove", AGREED="staging")
    assert told.code == 0, told.said
    assert "remove database, with the data in it" in told.sentence
    assert azure.fake.items == {}

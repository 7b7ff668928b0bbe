"""GCP with a managed PostgreSQL in place of group data's, from nothing to nothing."""

from __future__ import annotations

from typing import Any

from tests.cloud import gcp_database, gcp_fake
from tests.cloud.stand_in import SHOWS_DATABASE, Fleet, Gcp, Run
from tests.cloud.tunnel import Fault, Item

FLEET: Fleet = {"m": {"groups": ["managers", "edge"]}, "d": {"groups": ["data"]}}
NAME = "production"
PREFIX = f"beanft-{NAME}"
SMALL = {"size": "small", "disk_gb": 20, "zones": 1}
LARGER = {"size": "large", "disk_gb": 64, "zones": 2}


def settings(database: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the settings of an environment with a small database, or what differs from one."""
    return {"beanft_databases": {NAME: {**SMALL, **(database or {})}}}


def provision(
    gcp: Gcp, *arguments: str, database: dict[str, Any] | None = None, **more: str
) -> Run:
    """Provision with a database."""
    return gcp.play(
        "provision",
        *arguments,
        environment=NAME,
        fleet=FLEET,
        settings=settings(database),
        **more,
    )


def destroy(gcp: Gcp, **more: str) -> Run:
    """Remove the environment."""
    return gcp.play("destroy", environment=NAME, settings=settings(), AGREED=NAME, **more)


def instance(gcp: Gcp) -> Item:
    """Return the one database."""
    (found,) = gcp.fake.sql.instances.values()
    return found


def led_to(gcp: Gcp) -> Item:
    """Return where its name leads: the rule at the address that the network has for it."""
    (zone,) = gcp.fake.names.zones
    (record,) = (item for item in gcp.fake.names.records[zone] if item["type"] == "A")
    assert record["name"] == instance(gcp)["dnsName"]
    rules = gcp.fake.named("forwardingRules").values()
    (rule,) = (item for item in rules if [item["IPAddress"]] == record["rrdatas"])
    return rule


def test_who_has_none_is_not_asked_for_its_api(gcp: Gcp) -> None:
    done = gcp.play("provision", "--check", environment=NAME, fleet=FLEET)
    assert done.code == 0, done.said
    assert not [call for call in gcp.fake.calls if "sql" in call or "managedZones" in call]


def test_what_can_not_be_is_refused(gcp: Gcp) -> None:
    done = provision(gcp, database={"size": "huge"})
    assert done.code != 0
    assert f"the database of {NAME}: size is 'huge': small, medium, large" in done.sentence
    gcp.fake.sql.instances[PREFIX] = {"name": PREFIX, "settings": {"userLabels": {}}}
    done = provision(gcp, AGREED=NAME)
    gcp.fake.sql.instances.clear()
    assert done.code != 0
    assert f"there is a database {PREFIX} without the label" in done.sentence
    assert gcp.fake.named("instances") == {}


def test_a_quota_is_named_and_the_next_run_completes(gcp: Gcp) -> None:
    message = "Failed to create instance because the quota of CPUs is exceeded."
    gcp.fake.faults = [Fault("POST sql instances", 409, "QUOTA", message, late=True)]
    done = provision(gcp, AGREED=NAME)
    assert done.code != 0
    assert f"database {PREFIX}: {message}" in done.sentence
    assert "make database, small, 20 GB, 1 zone" in done.sentence
    first = provision(gcp, AGREED=NAME)
    assert first.code == 0, first.said
    again = provision(gcp)
    assert (again.code, again.changed) == (0, 0), again.said
    assert "nothing to make or remove" in again.sentence
    gcp.note("gcp database, changed again", again.changed, "", 0)


def test_it_is_as_promised(gcp: Gcp) -> None:
    found = instance(gcp)
    assert found["databaseVersion"] == "POSTGRES_17"
    assert found["region"] == "europe-west3"
    kept = found["settings"]
    assert kept["tier"] == "db-custom-1-3840"
    assert kept["deletionProtectionEnabled"] is True
    assert kept["backupConfiguration"]["pointInTimeRecoveryEnabled"] is True
    assert kept["ipConfiguration"] == {
        "ipv4Enabled": False,
        "sslMode": "ENCRYPTED_ONLY",
        "serverCaMode": "GOOGLE_MANAGED_CAS_CA",
        "pscConfig": {"pscEnabled": True, "allowedConsumerProjects": [gcp_fake.PROJECT]},
    }


def test_its_name_leads_to_it_in_the_network_alone(gcp: Gcp) -> None:
    network = f"{gcp_fake.ROOT}/global/networks/{PREFIX}"
    rule = led_to(gcp)
    assert rule["target"] == instance(gcp)["pscServiceAttachmentLink"]
    assert rule["network"] == network
    (address,) = (
        item for item in gcp.fake.named("addresses").values() if item["addressType"] == "INTERNAL"
    )
    assert rule["IPAddress"] == address["address"]
    (zone,) = gcp.fake.names.zones.values()
    assert zone["visibility"] == "private"
    assert zone["privateVisibilityConfig"]["networks"] == [{"networkUrl": network}]


def test_its_password_is_in_the_vault_and_nowhere_else(gcp: Gcp) -> None:
    (password,) = gcp.fake.sql.passwords.values()
    assert len(password) > 20
    state = gcp.tree / ".local" / f"gcp-{NAME}"
    for path in state.rglob("*"):
        if path.is_file():
            assert password.encode() not in path.read_bytes()


def test_machines_know_where_it_is_and_by_whom_it_is_known(gcp: Gcp) -> None:
    bundle = gcp.tree / f".local/gcp-{NAME}/database-ca.pem"
    assert bundle.read_text().split() == " ".join(gcp_database.AUTHORITIES).split()
    shows = gcp.tree / "ansible/playbooks/shows.yml"
    shows.write_text(SHOWS_DATABASE)
    known = gcp.play("shows", environment=NAME, settings=settings())
    shows.unlink()
    assert known.code == 0, known.said
    host = instance(gcp)["dnsName"].removesuffix(".")
    assert f"the database is at {host}" in known.sentence


def test_another_size_is_asked_for(gcp: Gcp) -> None:
    refused = provision(gcp, database=LARGER)
    assert refused.code != 0
    line = "change database from small, 20 GB, 1 zone into large, 64 GB, 2 zones, at once"
    assert line in refused.sentence
    assert instance(gcp)["settings"]["tier"] == "db-custom-1-3840"
    done = provision(gcp, database=LARGER, AGREED=NAME)
    assert done.code == 0, done.said
    assert instance(gcp)["settings"]["tier"] == "db-custom-4-15360"
    assert instance(gcp)["settings"]["availabilityType"] == "REGIONAL"
    smaller = provision(gcp, database={**LARGER, "disk_gb": 32}, AGREED=NAME)
    assert smaller.code != 0
    assert "which can't shrink to 32" in smaller.sentence


def test_what_was_changed_by_hand_is_put_back(gcp: Gcp) -> None:
    kept = instance(gcp)["settings"]
    kept["deletionProtectionEnabled"] = False
    kept["ipConfiguration"]["ipv4Enabled"] = True
    kept["userLabels"]["theirs"] = "x"
    done = provision(gcp, database=LARGER)
    assert done.code == 0, done.said
    kept = instance(gcp)["settings"]
    assert kept["deletionProtectionEnabled"] is True
    assert kept["ipConfiguration"]["ipv4Enabled"] is False
    assert kept["userLabels"]["theirs"] == "x"


def test_one_made_anew_is_what_its_name_leads_to(gcp: Gcp) -> None:
    before = instance(gcp)
    gcp.fake.sql.instances.clear()
    done = provision(gcp, database=LARGER, AGREED=NAME)
    assert done.code == 0, done.said
    assert instance(gcp)["dnsName"] != before["dnsName"]
    assert led_to(gcp)["target"] == instance(gcp)["pscServiceAttachmentLink"]


def test_a_line_that_is_taken_out_removes_nothing(gcp: Gcp) -> None:
    done = gcp.play("provision", environment=NAME, fleet=FLEET)
    assert (done.code, done.changed) == (0, 0), done.said
    assert "keep database, which is named in beanft_databases no more" in done.sentence
    assert instance(gcp)


def test_destroy_keeps_it_and_it_is_reached_again(gcp: Gcp) -> None:
    first = destroy(gcp)
    assert first.code == 0, first.said
    assert "keep database, which goes on costing" in first.sentence
    assert gcp.fake.named("networks") == {}
    assert gcp.fake.names.zones == {}
    kept = instance(gcp)
    again = destroy(gcp)
    assert (again.code, again.changed) == (0, 0), again.said
    back = provision(gcp, database=LARGER, AGREED=NAME)
    assert back.code == 0, back.said
    assert "make database" not in back.sentence
    assert instance(gcp) is kept
    assert led_to(gcp)["target"] == kept["pscServiceAttachmentLink"]


def test_it_goes_when_that_is_said(gcp: Gcp) -> None:
    told = destroy(gcp, DISKS="remove")
    assert told.code == 0, told.said
    assert "remove database, with the data in it" in told.sentence
    assert gcp.fake.sql.instances == {}
    assert gcp.fake.items == {}
    again = destroy(gcp, DISKS="remove")
    assert (again.code, again.changed) == (0, 0), again.said
    gcp.note("gcp database destroyed, changed again", again.changed, "", 0)

"""GCP, verb by verb, and when something is wrong."""

from __future__ import annotations

from tests.cloud.stand_in import Fleet, Gcp, groups_of
from tests.cloud.tunnel import Fault

FLEET: Fleet = {
    "m": {"groups": ["managers", "edge"], "size": "medium"},
    "d": {"groups": ["data"], "size": "large", "disk_gb": 40},
}
MORE: Fleet = {**FLEET, "w": {"groups": ["workers"], "count": 3}}
GROUPS = {"m1": {"managers", "edge"}, "d1": {"data"}}
M1, D1, W1, W2, W3 = (f"beanft-staging-{name}" for name in ("m1", "d1", "w1", "w2", "w3"))


def test_without_credentials_there_is_one_sentence(gcp: Gcp) -> None:
    done = gcp.play("provision", GCP_AUTH_KIND="")
    assert done.code == 1
    assert done.said.startswith("beanft: there are no GCP credentials: set GCP_AUTH_KIND to")
    assert done.said.count("\n") == 1


def test_wrong_credentials(gcp: Gcp) -> None:
    done = gcp.play("provision", GCP_ACCESS_TOKEN="of-somebody-else")
    assert (done.code, done.said) == (
        1,
        "beanft: GCP does not take these credentials for project-of-a-test (401: Invalid"
        " Credentials): get new ones, or set another GCP_PROJECT\n",
    )


def test_check_mode_says_what_would_be_made(gcp: Gcp) -> None:
    done = gcp.play("provision", "--check", fleet=FLEET)
    assert done.code == 0, done.said
    assert f"make {M1}, medium, 30 GB: managers, edge" in done.sentence
    assert gcp.fake.items == {}


def test_provision(gcp: Gcp) -> None:
    first = gcp.play("provision", fleet=FLEET, AGREED="staging")
    assert first.code == 0, first.said
    again = gcp.play("provision", fleet=FLEET)
    assert (again.code, again.changed) == (0, 0), again.said
    gcp.note("gcp provision 2, changed first", first.changed, "")
    gcp.note("gcp provision 2, changed again", again.changed, "", 0)
    gcp.note("gcp provision 2", round(first.seconds, 1), "s", 40)
    gcp.note("gcp provision 2 again", round(again.seconds, 1), "s", 20)


def test_the_inventory_yields_the_groups(gcp: Gcp) -> None:
    inventory = gcp.inventory()
    assert groups_of(inventory, "staging") == GROUPS
    hosts = inventory["_meta"]["hostvars"]
    fixed = gcp.fake.named("addresses")
    # The entry's machine has the address that stays.
    assert hosts[M1]["ansible_host"] == fixed[M1]["address"]
    assert set(fixed) == {M1}


def test_machines_are_made_as_promised(gcp: Gcp) -> None:
    machines, disks = gcp.fake.named("instances"), gcp.fake.named("disks")
    assert {name: item["machineType"].rsplit("/", 1)[-1] for name, item in machines.items()} == {
        M1: "e2-medium",
        D1: "e2-standard-2",
    }
    for item in machines.values():
        told = {entry["key"]: entry["value"] for entry in item["metadata"]["items"]}
        assert told["ssh-keys"].startswith("deploy:ssh-ed25519 ")
        assert (told["block-project-ssh-keys"], told["enable-oslogin"]) == ("TRUE", "FALSE")
        # No token of the project is on a machine, and no private key in its metadata.
        assert "serviceAccounts" not in item
        assert "PRIVATE" not in str(told)
        assert item["disks"][0]["autoDelete"] is False
    assert disks[D1]["sizeGb"] == "40"
    assert disks[M1]["sourceImage"].endswith("debian-cloud/global/images/family/debian-13")


def test_host_keys_are_known_before_the_first_connection(gcp: Gcp) -> None:
    lines = (gcp.tree / ".local" / "gcp-staging" / "known_hosts").read_text().splitlines()
    identity = {name: item["id"] for name, item in gcp.fake.named("instances").items()}
    assert sorted(lines) == sorted(
        f"{name} ssh-ed25519 AAAA{number}" for name, number in identity.items()
    )


def test_the_network_lets_in_what_is_declared(gcp: Gcp) -> None:
    rules = {
        name.removeprefix("beanft-staging-"): (
            item.get("sourceRanges") or item.get("sourceTags"),
            item["targetTags"],
            {rule["IPProtocol"]: set(rule["ports"]) for rule in item["allowed"]},
        )
        for name, item in gcp.fake.named("firewalls").items()
    }
    ours = ["beanft-staging"]
    assert rules == {
        "ssh": (["192.0.2.7/32"], ours, {"tcp": {"22"}}),
        "edge": (["0.0.0.0/0"], ["beanft-staging-edge"], {"tcp": {"80", "443"}}),
        "inside": (
            ours,
            ours,
            {"tcp": {"2377", "5432", "6379", "7946", "9100"}, "udp": {"4789", "7946"}},
        ),
    }


def test_a_network_that_is_taken_out_is_let_in_no_more(gcp: Gcp) -> None:
    two, one = ["192.0.2.7/32", "198.51.100.0/24"], ["192.0.2.7/32"]
    for networks in (two, one):
        done = gcp.play("provision", fleet=FLEET, settings={"beanft_ssh_from": networks})
        assert (done.code, done.changed) == (0, 1), done.said
        rule = gcp.fake.named("firewalls")["beanft-staging-ssh"]
        assert rule["sourceRanges"] == networks


def test_a_quota_and_a_429_in_the_middle_and_the_next_run_completes(gcp: Gcp) -> None:
    quota = "Quota 'CPUS' exceeded. Limit: 4.0 in region europe-west3."
    slow = "Rate Limit Exceeded"
    gcp.fake.faults = [
        # Accepted, and failed as an operation, as quota is.
        Fault("POST instances", 200, "QUOTA_EXCEEDED", quota, after=1, late=True),
        Fault("POST instances", 429, "rateLimitExceeded", slow, after=1),
    ]
    done = gcp.play("provision", fleet=MORE, AGREED="staging")
    assert done.code != 0
    assert quota in done.sentence
    assert slow in done.sentence
    assert set(gcp.fake.named("instances")) == {M1, D1, W1}
    gcp.fake.faults.clear()
    done = gcp.play("provision", fleet=MORE, AGREED="staging")
    assert done.code == 0, done.said
    assert gcp.groups() == {**GROUPS, "w1": {"workers"}, "w2": {"workers"}, "w3": {"workers"}}
    # All that came up is known, also what an earlier run made before it failed.
    known = (gcp.tree / ".local" / "gcp-staging" / "known_hosts").read_text()
    assert {line.split()[0] for line in known.splitlines()} == {M1, D1, W1, W2, W3}
    gcp.note("gcp scale up by 2, completed after faults, changed", done.changed, "")
    gcp.note("gcp scale up by 2, completed after faults", round(done.seconds, 1), "s")


def test_scale_down(gcp: Gcp) -> None:
    first = gcp.play("provision", fleet=FLEET, AGREED="staging")
    assert first.code == 0, first.said
    assert set(gcp.fake.named("instances")) == {M1, D1}
    assert set(gcp.fake.named("disks")) == {M1, D1}
    again = gcp.play("provision", fleet=FLEET)
    assert (again.code, again.changed) == (0, 0), again.said
    gcp.note("gcp scale down by 3, changed first", first.changed, "")
    gcp.note("gcp scale down by 3, changed again", again.changed, "", 0)
    gcp.note("gcp scale down by 3", round(first.seconds, 1), "s")


def test_a_machine_that_is_gone_comes_back_with_its_disk_and_its_address(gcp: Gcp) -> None:
    old, disk = gcp.fake.named("instances")[M1], gcp.fake.named("disks")[M1]
    gcp.fake.items.pop(old["selfLink"].partition("project-of-a-test/")[2])
    done = gcp.play("provision", fleet=FLEET, AGREED="staging")
    assert done.code == 0, done.said
    new = gcp.fake.named("instances")[M1]
    assert new["id"] != old["id"]
    assert new["disks"][0]["source"] == disk["selfLink"]
    assert gcp.fake.named("disks")[M1] == disk
    address = gcp.fake.named("addresses")[M1]["address"]
    assert new["networkInterfaces"][0]["accessConfigs"][0]["natIP"] == address


def test_destroy(gcp: Gcp) -> None:
    refused = gcp.play("destroy")
    assert refused.code != 0
    assert "nothing was changed: type the environment's name, staging" in refused.sentence
    assert set(gcp.fake.named("instances")) == {M1, D1}
    first = gcp.play("destroy", AGREED="staging")
    assert first.code == 0, first.said
    assert set(gcp.fake.items) == {item["selfLink"].partition("project-of-a-test/")[2]
                                   for item in gcp.fake.named("disks").values()}  # fmt: skip
    assert set(gcp.fake.named("disks")) == {M1, D1}
    again = gcp.play("destroy")
    assert (again.code, again.changed) == (0, 0), again.said
    told = gcp.play("destroy", DISKS="remove", AGREED="staging")
    assert told.code == 0, told.said
    assert gcp.fake.items == {}
    gcp.note("gcp destroy 2, changed first", first.changed, "")
    gcp.note("gcp destroy 2, changed again", again.changed, "", 0)
    gcp.note("gcp destroy 2", round(first.seconds, 1), "s")

"""AWS, verb by verb: what a person would do with an environment, from nothing to nothing."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from tests.cloud.stand_in import NEWEST, Aws, Fleet, groups_of, undocumented

FLEET: Fleet = {
    "m": {"groups": ["managers", "edge"], "size": "medium"},
    "w": {"groups": ["workers"]},
    "d": {"groups": ["data", "monitoring"], "size": "large", "disk_gb": 40},
}
MORE: Fleet = {**FLEET, "w": {"groups": ["workers"], "count": 3}}
GROUPS = {"m1": {"managers", "edge"}, "w1": {"workers"}, "d1": {"data", "monitoring"}}
RIGHT = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::backups/*"}
INSTANCES = 500
NAMES = {name: f"beanft-staging-{name}" for name in ("m1", "w1", "w2", "w3", "d1")}


def tags(item: dict[str, Any]) -> dict[str, str]:
    """Return tags by name."""
    return {tag["Key"]: tag["Value"] for tag in item["Tags"]}


def policies(aws: Aws) -> list[str]:
    """Return the names of what machines may do."""
    iam = aws.client("iam")
    names = iam.list_role_policies(RoleName="beanft-staging")["PolicyNames"]
    iam.close()
    return list(names)


def making(calls: Iterable[str]) -> set[str]:
    """Return the calls that make something."""
    return {call for call in calls if re.match(r"\w+:(Create|Run|Allocate|Put|Import)", call)}


def test_without_credentials_there_is_one_sentence(aws: Aws) -> None:
    done = aws.play("provision", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert (done.code, done.said) == (
        1,
        "beanft: there are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and"
        " AWS_SECRET_ACCESS_KEY, or run on a machine that has a role\n",
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"beanft_ssh_from": []}, "name the networks from which you log in"),
        ({"beanft_ssh_from": ["0.0.0.0/0"]}, "name the networks from which you log in"),
        ({"beanft_fleet": {}}, "the fleet of staging is described by nothing"),
    ],
)
def test_what_can_not_be_is_refused(aws: Aws, settings: dict[str, Any], sentence: str) -> None:
    before = aws.proxy.calls.copy()
    done = aws.play("provision", settings={"beanft_fleet": FLEET, **settings})
    assert done.code != 0
    assert sentence in done.sentence
    assert not making(aws.proxy.calls - before)


def test_check_mode_says_what_would_be_made(aws: Aws) -> None:
    done = aws.play("provision", "--check", fleet=FLEET)
    assert done.code == 0, done.said
    for line in (
        "make network",
        "make beanft-staging-m1, medium, 30 GB: managers, edge",
        "make beanft-staging-d1, large, 40 GB: data, monitoring",
        "make fixed address of beanft-staging-m1",
    ):
        assert line in done.sentence
    assert not making(aws.proxy.calls)


def test_provision(aws: Aws) -> None:
    first = aws.play("provision", fleet=FLEET, AGREED="staging")
    assert first.code == 0, first.said
    assert "PRIVATE KEY" not in first.said
    # Nobody has to agree to nothing.
    again = aws.play("provision", fleet=FLEET)
    assert again.code == 0, again.said
    assert again.changed == 0, again.said
    assert "nothing to make or remove" in again.said
    aws.note("aws provision 3, changed first", first.changed, "")
    aws.note("aws provision 3, changed again", again.changed, "", 0)
    aws.note("aws provision 3", round(first.seconds, 1), "s", 40)
    aws.note("aws provision 3 again", round(again.seconds, 1), "s", 20)


def test_the_inventory_yields_the_groups(aws: Aws) -> None:
    inventory = aws.inventory()
    assert groups_of(inventory, "staging") == GROUPS
    hosts = inventory["_meta"]["hostvars"]
    assert set(hosts) == {NAMES[name] for name in GROUPS}
    assert len({item["ansible_host"] for item in hosts.values()}) == 3


def test_a_cloud_is_not_asked_twice_in_a_minute(aws: Aws) -> None:
    # A machine that is busy may take its minutes.
    patience = {"ANSIBLE_INVENTORY_CACHE_TIMEOUT": "3600"}
    first, before = aws.inventory(**patience), aws.proxy.calls.copy()
    assert aws.inventory(**patience) == first
    assert aws.proxy.calls == before
    # Another region is another question.
    assert aws.inventory(AWS_REGION="eu-west-1")["_meta"]["hostvars"] == {}
    assert aws.proxy.calls != before


def test_machines_are_made_as_promised(aws: Aws) -> None:
    machines, ec2 = aws.instances(), aws.client("ec2")
    sizes = {name: machine["InstanceType"] for name, machine in machines.items()}
    assert sizes == {NAMES["m1"]: "t3.medium", NAMES["w1"]: "t3.small", NAMES["d1"]: "t3.large"}
    volumes = {item["VolumeId"]: item for item in ec2.describe_volumes()["Volumes"]}
    for name, machine in machines.items():
        assert machine["ImageId"] == NEWEST
        options = machine["MetadataOptions"]
        assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
        assert machine["IamInstanceProfile"]["Arn"].endswith("/beanft-staging")
        (disk,) = machine["BlockDeviceMappings"]
        volume = volumes[disk["Ebs"]["VolumeId"]]
        assert volume["Encrypted"]
        assert volume["Size"] == (40 if name == NAMES["d1"] else 30)
        assert tags(volume)["beanft-environment"] == "staging"
        # Where there are data, the disk outlives its machine: SQLite is on the first manager.
        assert disk["Ebs"]["DeleteOnTermination"] == (name == NAMES["w1"])
    (address,) = ec2.describe_addresses()["Addresses"]
    assert address["InstanceId"] == machines[NAMES["m1"]]["InstanceId"]
    ec2.close()


def test_the_network_lets_in_what_is_declared(aws: Aws) -> None:
    ec2 = aws.client("ec2")
    (network,) = ec2.describe_vpcs(
        Filters=[{"Name": "tag:beanft-environment", "Values": ["staging"]}]
    )["Vpcs"]
    within = [{"Name": "vpc-id", "Values": [network["VpcId"]]}]
    subnets = ec2.describe_subnets(Filters=within)["Subnets"]
    assert len({item["AvailabilityZone"] for item in subnets}) == 3
    rules: dict[str, set[tuple[str, int, str]]] = {}
    for group in ec2.describe_security_groups(Filters=within)["SecurityGroups"]:
        rules[group["GroupName"]] = {
            (rule["IpProtocol"], rule.get("FromPort", -1), source)
            for rule in group["IpPermissions"]
            for source in (
                *(item["CidrIp"] for item in rule["IpRanges"]),
                *(
                    "itself"
                    for item in rule["UserIdGroupPairs"]
                    if item["GroupId"] == group["GroupId"]
                ),
            )
        }
    ec2.close()
    assert rules["beanft-staging-edge"] == {("tcp", 80, "0.0.0.0/0"), ("tcp", 443, "0.0.0.0/0")}
    assert rules["beanft-staging-machines"] == {
        ("tcp", 22, "192.0.2.7/32"),
        *(("tcp", port, "itself") for port in (2377, 5432, 6379, 7946, 9100)),
        *(("udp", port, "itself") for port in (4789, 7946)),
    }


def test_machines_may_do_nothing_in_the_account(aws: Aws) -> None:
    iam = aws.client("iam")
    trust = iam.get_role(RoleName="beanft-staging")["Role"]["AssumeRolePolicyDocument"]
    assert trust["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert policies(aws) == []
    attached = iam.list_attached_role_policies(RoleName="beanft-staging")
    assert attached["AttachedPolicies"] == []
    iam.close()


def test_a_machine_is_told_a_host_key_that_is_known(aws: Aws) -> None:
    state = aws.tree / ".local" / "aws-staging"
    ec2 = aws.client("ec2")
    machine = aws.instances()[NAMES["m1"]]
    told = ec2.describe_instance_attribute(InstanceId=machine["InstanceId"], Attribute="userData")[
        "UserData"
    ]["Value"]
    ec2.close()
    content = yaml.safe_load(base64.b64decode(told))
    known = dict(
        line.split(" ", 1) for line in (state / "known_hosts").read_text().strip().splitlines()
    )
    assert content["ssh_keys"]["ed25519_public"].startswith(known[NAMES["m1"]])
    assert set(known) == {NAMES[name] for name in GROUPS}


def test_scale_up(aws: Aws) -> None:
    before = aws.instances()
    # Beside it machines get a right, which the next run takes back.
    rights = {"cloud_aws_policy": {"Version": "2012-10-17", "Statement": [RIGHT]}}
    first = aws.play("provision", fleet=MORE, settings=rights, AGREED="staging")
    assert first.code == 0, first.said
    assert policies(aws) == ["beanft-staging"]
    assert aws.groups() == {**GROUPS, "w2": {"workers"}, "w3": {"workers"}}
    after = aws.instances()
    assert all(after[name]["InstanceId"] == item["InstanceId"] for name, item in before.items())
    # One zone after the other.
    zones = {after[NAMES[name]]["Placement"]["AvailabilityZone"] for name in ("w1", "w2", "w3")}
    assert len(zones) == 3
    aws.note("aws scale up by 2, changed first", first.changed, "")
    aws.note("aws scale up by 2", round(first.seconds, 1), "s")


def test_a_machine_that_can_not_leave_the_swarm_is_not_removed(aws: Aws) -> None:
    done = aws.play("provision", fleet=FLEET, machines=True, AGREED="staging")
    assert done.code != 0
    assert "UNREACHABLE" in done.said
    assert "stopped before 'Machines that go leave the Swarm'" in done.sentence
    machines = aws.instances()
    assert set(machines) == set(NAMES.values())
    # The connection was tried, and went nowhere.
    assert machines[NAMES["m1"]]["PublicIpAddress"] in aws.called()


def test_scale_down(aws: Aws) -> None:
    first = aws.play("provision", fleet=FLEET, AGREED="staging")
    assert first.code == 0, first.said
    assert "remove beanft-staging-w2" in first.sentence
    assert set(aws.instances()) == {NAMES[name] for name in GROUPS}
    assert policies(aws) == []
    # Check mode, for once: that it would change nothing is what a second run shows in test_provision.
    again = aws.play("provision", "--check", fleet=FLEET)
    assert (again.code, again.changed) == (0, 0), again.said
    aws.note("aws scale down by 2, changed first", first.changed, "")
    aws.note("aws scale down by 2, would change again", again.changed, "", 0)
    aws.note("aws scale down by 2", round(first.seconds, 1), "s")


def test_a_machine_that_is_gone_is_made_anew_and_one_that_was_stopped_is_started(aws: Aws) -> None:
    ec2 = aws.client("ec2")
    old = aws.instances()[NAMES["m1"]]
    (address,) = ec2.describe_addresses()["Addresses"]
    ec2.terminate_instances(InstanceIds=[old["InstanceId"]])
    # As AWS does it by itself.
    ec2.disassociate_address(AssociationId=address["AssociationId"])
    stopped = aws.instances()[NAMES["w1"]]
    ec2.stop_instances(InstanceIds=[stopped["InstanceId"]])
    done = aws.play("provision", fleet=FLEET, AGREED="staging")
    assert done.code == 0, done.said
    started = aws.instances()[NAMES["w1"]]
    assert started["InstanceId"] == stopped["InstanceId"]
    assert started["State"]["Name"] == "running"
    new = aws.instances()[NAMES["m1"]]
    assert new["InstanceId"] != old["InstanceId"]
    (bound,) = ec2.describe_addresses()["Addresses"]
    assert (bound["PublicIp"], bound["InstanceId"]) == (address["PublicIp"], new["InstanceId"])
    ec2.close()


def test_nothing_is_destroyed_without_an_agreement(aws: Aws) -> None:
    done = aws.play("destroy", AGREED="production")
    assert done.code != 0
    assert "nothing was changed: type the environment's name, staging" in done.sentence
    for line in ("remove beanft-staging-m1", "remove network", "keep disk vol-"):
        assert line in done.sentence
    assert set(aws.instances()) == {NAMES[name] for name in GROUPS}


def test_destroy(aws: Aws) -> None:
    first = aws.play("destroy", AGREED="staging")
    assert first.code == 0, first.said
    again = aws.play("destroy")
    assert again.code == 0, again.said
    assert again.changed == 0, again.said
    ec2, iam = aws.client("ec2"), aws.client("iam")
    ours = [{"Name": "tag:beanft-environment", "Values": ["staging"]}]
    assert not aws.instances()
    assert ec2.describe_vpcs(Filters=ours)["Vpcs"] == []
    assert ec2.describe_addresses()["Addresses"] == []
    assert ec2.describe_key_pairs()["KeyPairs"] == []
    assert iam.list_roles()["Roles"] == []
    assert iam.list_instance_profiles()["InstanceProfiles"] == []
    # Disks with data are still there.
    left = {tags(item)["Name"] for item in ec2.describe_volumes(Filters=ours)["Volumes"]}
    assert left == {NAMES["m1"], NAMES["d1"]}
    ec2.close()
    iam.close()
    aws.note("aws destroy 3, changed first", first.changed, "")
    aws.note("aws destroy 3, changed again", again.changed, "", 0)
    aws.note("aws destroy 3", round(first.seconds, 1), "s")


def test_many_machines_are_found_quickly(aws: Aws) -> None:
    client = aws.client("ec2")
    tags = {
        "beanft": "machine",
        "beanft-environment": "local",
        "beanft-machine": "w1",
        "beanft-groups": "workers",
    }
    made = client.run_instances(
        ImageId=NEWEST,
        MinCount=INSTANCES,
        MaxCount=INSTANCES,
        TagSpecifications=[
            {
                "ResourceType": "instance",
                "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
            }
        ],
    )["Instances"]
    begun = time.monotonic()
    hosts = aws.inventory("local")["_meta"]["hostvars"]
    took = time.monotonic() - begun
    begun = time.monotonic()
    remembered = aws.inventory("local", ANSIBLE_INVENTORY_CACHE_TIMEOUT="3600")
    again = time.monotonic() - begun
    assert remembered["_meta"]["hostvars"] == hosts
    client.terminate_instances(InstanceIds=[item["InstanceId"] for item in made])
    client.close()
    # Without names, which are the same machine's if they are the same.
    assert set(hosts) == {item["InstanceId"] for item in made}
    aws.note(f"aws inventory of {INSTANCES} machines", round(took, 1), "s", 5)
    aws.note(f"aws inventory of {INSTANCES} machines, remembered", round(again, 1), "s", 5)


def test_what_is_asked_of_the_account_is_documented(aws: Aws) -> None:
    assert undocumented(aws) == []

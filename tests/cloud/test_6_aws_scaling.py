"""AWS with an Auto Scaling group beside the fleet, from nothing to nothing.

Moto keeps a group's hooks and does nothing with them: that a machine waits for its end is put into what it says of the
group, and that it may end is answered for it.
"""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest
import yaml

from tests.cloud.aws_faults import Fault
from tests.cloud.stand_in import NEWEST, Aws, Fleet, Run, undocumented

FLEET: Fleet = {"m": {"groups": ["managers", "edge"]}}
NAME = "beanft-staging"
SCALING = {"min": 2, "max": 3, "size": "medium", "disk_gb": 40}
MAY_END = (
    b'<CompleteLifecycleActionResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/">'
    b"<CompleteLifecycleActionResult/></CompleteLifecycleActionResponse>"
)


def provision(
    aws: Aws, *arguments: str, scaling: Any = SCALING, machines: bool = False, **more: str
) -> Run:
    """Provision with an Auto Scaling group."""
    settings = {"beanft_scaling": {"staging": scaling}}
    return aws.play(
        "provision", *arguments, fleet=FLEET, settings=settings, machines=machines, **more
    )


def groups(aws: Aws) -> list[dict[str, Any]]:
    """Return the Auto Scaling groups of the account."""
    client = aws.client("autoscaling")
    found = client.describe_auto_scaling_groups()["AutoScalingGroups"]
    client.close()
    return list(found)


def scaled(aws: Aws) -> dict[str, dict[str, Any]]:
    """Return the group's machines that are not terminated, by id."""
    client = aws.client("ec2")
    found = client.describe_instances(Filters=[{"Name": "tag:beanft", "Values": ["scaled"]}])
    client.close()
    return {
        machine["InstanceId"]: machine
        for reservation in found["Reservations"]
        for machine in reservation["Instances"]
        if machine["State"]["Name"] != "terminated"
    }


def ends(aws: Aws, machine: str) -> list[str]:
    """Let the group have decided to end a machine; return a list of those that may end then."""
    free: list[str] = []

    def waiting(_: dict[str, list[str]], answer: bytes) -> bytes:
        members = answer.decode().split("<InstanceId>")
        return "<InstanceId>".join(
            re.sub(">InService<", ">Terminating:Wait<", part, count=1)
            if part.startswith(machine)
            else part
            for part in members
        ).encode()

    def may_end(asked: dict[str, list[str]], _: bytes) -> bytes:
        assert asked["LifecycleActionResult"] == ["CONTINUE"]
        free.extend(asked["InstanceId"])
        return MAY_END

    aws.proxy.instead = {"DescribeAutoScalingGroups": waiting, "CompleteLifecycleAction": may_end}
    return free


@pytest.mark.parametrize(
    ("scaling", "sentence"),
    [
        ({"min": 3, "max": 2}, "min is 3 and max is 2"),
        ({"most": 2}, "it has 'most': it can have min, max, size, disk_gb, cpu_percent"),
    ],
)
def test_what_can_not_be_is_refused(aws: Aws, scaling: Any, sentence: str) -> None:
    done = provision(aws, "--check", scaling=scaling)
    assert done.code != 0
    assert f"the Auto Scaling group of staging: {sentence}" in done.sentence


def test_check_mode_says_what_would_be_made(aws: Aws) -> None:
    done = provision(aws, "--check")
    assert done.code == 0, done.said
    assert "make Auto Scaling group, 2 to 3 machines, medium, 40 GB each" in done.sentence
    assert groups(aws) == []


def test_a_quota_of_groups_is_said_and_the_next_run_completes(aws: Aws) -> None:
    quota = "You have already reached the limit for this resource"
    aws.proxy.faults = [Fault("CreateAutoScalingGroup", 400, "LimitExceeded", quota, 99)]
    done = provision(aws, AGREED="staging")
    assert done.code != 0
    assert quota in done.sentence
    assert "PRIVATE KEY" not in done.said
    assert scaled(aws) == {}
    order: list[str] = []
    for action in ("PutLifecycleHook", "RunInstances", "UpdateAutoScalingGroup"):
        aws.proxy.afterwards[action] = lambda _, action=action: order.append(action)
    aws.proxy.faults = [Fault("PutLifecycleHook", 429, "Throttling", "Rate exceeded")]
    done = provision(aws, AGREED="staging")
    assert done.code == 0, done.said
    # No machine is started that does not know what goes before its end.
    assert order == ["PutLifecycleHook", "UpdateAutoScalingGroup"]
    assert len(scaled(aws)) == 2


def test_again_nothing_changes(aws: Aws) -> None:
    again = provision(aws)
    assert (again.code, again.changed) == (0, 0), again.said
    checked = provision(aws, "--check")
    assert (checked.code, checked.changed) == (0, 0), checked.said
    aws.note("aws scaling group, changed again", again.changed, "", 0)
    aws.note("aws scaling group again", round(again.seconds, 1), "s")


def test_it_is_made_as_promised(aws: Aws) -> None:
    (group,) = groups(aws)
    assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == (2, 3, 2)
    assert len(group["VPCZoneIdentifier"].split(",")) == 3
    client = aws.client("autoscaling")
    (hook,) = client.describe_lifecycle_hooks(AutoScalingGroupName=NAME)["LifecycleHooks"]
    (policy,) = client.describe_policies(AutoScalingGroupName=NAME)["ScalingPolicies"]
    client.close()
    assert hook["LifecycleTransition"] == "autoscaling:EC2_INSTANCE_TERMINATING"
    assert (hook["HeartbeatTimeout"], hook["DefaultResult"]) == (3600, "CONTINUE")
    assert policy["TargetTrackingConfiguration"]["TargetValue"] == 60
    ec2 = aws.client("ec2")
    versions = ec2.describe_launch_template_versions(LaunchTemplateName=NAME)
    ec2.close()
    (version,) = versions["LaunchTemplateVersions"]
    told = version["LaunchTemplateData"]
    assert (told["ImageId"], told["InstanceType"]) == (NEWEST, "t3.medium")
    options = told["MetadataOptions"]
    assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
    (disk,) = told["BlockDeviceMappings"]
    assert disk["Ebs"]["Encrypted"]
    assert disk["Ebs"]["DeleteOnTermination"]
    # Into machines as into any other, and none of the entry's ports.
    assert len(told["SecurityGroupIds"]) == 1


def test_machines_have_no_secret_but_their_host_key(aws: Aws) -> None:
    ec2 = aws.client("ec2")
    versions = ec2.describe_launch_template_versions(LaunchTemplateName=NAME)
    ec2.close()
    data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]["UserData"]
    content = yaml.safe_load(base64.b64decode(data))
    assert set(content) <= {
        *("users", "manage_etc_hosts", "disable_root", "ssh_pwauth", "ssh_deletekeys"),
        *("ssh_keys", "no_ssh_fingerprints", "ssh", "locale"),
    }
    known = (aws.tree / ".local" / "aws-staging" / "known_hosts").read_text()
    public = content["ssh_keys"]["ed25519_public"].split()[:2]
    assert f"i-* {' '.join(public)}" in known


def test_the_inventory_has_them_as_workers_by_their_ids(aws: Aws) -> None:
    machines = set(scaled(aws))
    inventory = aws.inventory()
    assert set(inventory["workers"]["hosts"]) == machines
    hosts = inventory["_meta"]["hostvars"]
    assert {hosts[machine]["beanft_machine"] for machine in machines} == machines
    # Nobody takes them for machines of the fleet that have no place any more.
    assert set(aws.instances()) == {f"{NAME}-m1"}


def test_where_none_is_to_end_none_is_told_that_it_may(aws: Aws) -> None:
    before = aws.proxy.calls.copy()
    done = aws.play("follow")
    assert (done.code, done.changed) == (0, 0), done.said
    assert "no machine is to end" in done.sentence
    assert "autoscaling:CompleteLifecycleAction" not in aws.proxy.calls - before


def test_a_machine_that_could_not_leave_the_swarm_is_not_told_that_it_may_end(aws: Aws) -> None:
    free = ends(aws, min(scaled(aws)))
    done = aws.play("follow", machines=True)
    assert done.code != 0
    assert "UNREACHABLE" in done.said
    assert free == []


def test_a_machine_that_is_to_end_is_followed(aws: Aws) -> None:
    machine = min(scaled(aws))
    free = ends(aws, machine)
    done = aws.play("follow")
    assert done.code == 0, done.said
    assert f"ends {machine}" in done.sentence
    assert free == [machine]


def test_other_bounds_are_agreed_to(aws: Aws) -> None:
    more = {**SCALING, "min": 3, "max": 5}
    refused = provision(aws, scaling=more, AGREED="production")
    assert refused.code != 0
    assert "change Auto Scaling group from 2 to 3 machines into 3 to 5" in refused.sentence
    assert len(scaled(aws)) == 2
    done = provision(aws, scaling=more, AGREED="staging")
    assert done.code == 0, done.said
    assert len(scaled(aws)) == 3
    again = provision(aws, scaling=more)
    assert (again.code, again.changed) == (0, 0), again.said


def test_it_is_removed_where_it_is_not_wanted_any_more(aws: Aws) -> None:
    # They leave the Swarm first, as those of the fleet do.
    refused = provision(aws, scaling={}, machines=True, AGREED="staging")
    assert refused.code != 0
    assert "stopped before 'Machines that go leave the Swarm'" in refused.sentence
    assert len(groups(aws)) == 1
    done = provision(aws, scaling={}, AGREED="staging")
    assert done.code == 0, done.said
    assert "remove Auto Scaling group and its 3 machines" in done.sentence
    assert groups(aws) == []
    assert scaled(aws) == {}
    again = provision(aws, scaling={})
    assert (again.code, again.changed) == (0, 0), again.said


def test_destroy(aws: Aws) -> None:
    done = provision(aws, AGREED="staging")
    assert done.code == 0, done.said
    first = aws.play("destroy", AGREED="staging", DISKS="remove")
    assert first.code == 0, first.said
    assert "remove Auto Scaling group and its 2 machines" in first.sentence
    again = aws.play("destroy")
    assert (again.code, again.changed) == (0, 0), again.said
    assert groups(aws) == []
    assert scaled(aws) == {}
    ec2 = aws.client("ec2")
    assert ec2.describe_launch_templates()["LaunchTemplates"] == []
    ours = [{"Name": "tag:beanft-environment", "Values": ["staging"]}]
    assert ec2.describe_vpcs(Filters=ours)["Vpcs"] == []
    assert ec2.describe_volumes(Filters=ours)["Volumes"] == []
    ec2.close()
    aws.note("aws scaling group, destroy, changed again", again.changed, "", 0)


def test_what_is_asked_of_the_account_is_documented(aws: Aws) -> None:
    assert undocumented(aws) == []

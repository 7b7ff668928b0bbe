"""AWS when something is wrong: what is said, and that the next run completes what is there."""

from __future__ import annotations

import re

from tests.cloud.aws_faults import Fault
from tests.cloud.stand_in import Aws, Fleet, undocumented

FLEET: Fleet = {
    "m": {"groups": ["managers", "edge"]},
    "w": {"groups": ["workers"], "count": 2},
}
NAMES = [f"beanft-production-{name}" for name in ("m1", "w1", "w2")]


def test_wrong_credentials(aws: Aws) -> None:
    message = "The security token included in the request is invalid."
    aws.proxy.faults = [Fault("GetCallerIdentity", 403, "InvalidClientTokenId", message, 99)]
    done = aws.play("provision", environment="production", fleet=FLEET)
    assert done.code == 1
    assert done.said == (
        f"beanft: AWS does not take these credentials (InvalidClientTokenId: {message}):"
        " get new ones, or set another AWS_PROFILE\n"
    )


def test_credentials_that_may_not_look(aws: Aws) -> None:
    message = "You are not authorized to perform this operation."
    aws.proxy.faults = [Fault("DescribeInstances", 403, "UnauthorizedOperation", message, 99)]
    done = aws.play("provision", environment="production", fleet=FLEET)
    assert done.code != 0
    assert message in done.sentence
    assert "Traceback" not in done.said


def test_a_quota_and_a_500_in_the_middle(aws: Aws) -> None:
    quota = "You have requested more vCPU capacity than your current vCPU limit of 2 allows."
    broken = "An internal error occurred. Retry your request."
    aws.proxy.faults = [
        # The client asks again by itself after these.
        Fault("CreateSubnet", 429, "Throttling", "Rate exceeded"),
        Fault("CreateSubnet", 500, "InternalError", "An internal error has occurred"),
        Fault("RunInstances", 400, "VcpuLimitExceeded", quota, 1, after=1),
        Fault("RunInstances", 500, "ServerInternal", broken, 99, after=1),
    ]
    done = aws.play(
        "provision",
        environment="production",
        fleet=FLEET,
        AGREED="production",
        AWS_MAX_ATTEMPTS="2",
    )
    assert done.code != 0
    # In the cloud's own words, which machine it is about, and what to do.
    assert re.search(f"{NAMES[1]}: .*{re.escape(quota)}", done.sentence)
    assert re.search(f"{NAMES[2]}: .*{re.escape(broken)}", done.sentence)
    assert "What was made stays: mend the cause and run the same again" in done.sentence
    assert "PRIVATE KEY" not in done.said
    assert set(aws.instances("production")) == {NAMES[0]}


def test_a_machine_that_does_not_start(aws: Aws) -> None:
    kept = aws.instances("production")[NAMES[0]]["InstanceId"]

    def terminate(answer: bytes) -> None:
        found = re.search(rb"<instanceId>(i-[0-9a-f]+)</instanceId>", answer)
        assert found
        client = aws.client("ec2")
        client.terminate_instances(InstanceIds=[found[1].decode()])
        client.close()

    aws.proxy.afterwards["RunInstances"] = terminate
    done = aws.play("provision", environment="production", fleet=FLEET, AGREED="production")
    assert done.code != 0
    assert f"did not start: {NAMES[1]}" in done.sentence
    assert "The next run makes them anew" in done.sentence
    left = aws.instances("production")
    assert set(left) == {NAMES[0], NAMES[2]}
    assert left[NAMES[0]]["InstanceId"] == kept


def test_the_next_run_completes_though_it_is_slowed_down(aws: Aws) -> None:
    slow = ("Request limit exceeded.", 2)
    aws.proxy.faults = [
        Fault("RunInstances", 503, "RequestLimitExceeded", *slow),
        Fault("AllocateAddress", 429, "Throttling", *slow),
        Fault("AssociateAddress", 500, "InternalError", *slow),
    ]
    done = aws.play("provision", environment="production", fleet=FLEET, AGREED="production")
    assert done.code == 0, done.said
    assert all(fault.times <= 0 for fault in aws.proxy.faults)
    machines = aws.instances("production")
    assert {name: item["State"]["Name"] for name, item in machines.items()} == dict.fromkeys(
        NAMES, "running"
    )
    client = aws.client("ec2")
    ours = [{"Name": "tag:beanft-environment", "Values": ["production"]}]
    addresses = client.describe_addresses(Filters=ours)["Addresses"]
    client.close()
    # Of the entry's machine alone, and once.
    assert [item.get("InstanceId") for item in addresses] == [machines[NAMES[0]]["InstanceId"]]
    aws.note("aws completed after faults, changed", done.changed, "")
    aws.note("aws completed after faults, slowed down", round(done.seconds, 1), "s")


def test_a_destroy_that_fails_is_completed_by_the_next(aws: Aws) -> None:
    message = "The subnet has dependencies and cannot be deleted."
    aws.proxy.faults = [Fault("DeleteSubnet", 400, "DependencyViolation", message, 99)]
    more = {"AGREED": "production", "DISKS": "remove"}
    done = aws.play("destroy", environment="production", **more)
    assert done.code != 0
    assert message in done.sentence
    aws.proxy.faults.clear()
    done = aws.play("destroy", environment="production", **more)
    assert done.code == 0, done.said
    client = aws.client("ec2")
    ours = [{"Name": "tag:beanft-environment", "Values": ["production"]}]
    assert client.describe_vpcs(Filters=ours)["Vpcs"] == []
    assert client.describe_volumes(Filters=ours)["Volumes"] == []
    client.close()


def test_what_is_asked_of_the_account_is_documented(aws: Aws) -> None:
    assert undocumented(aws) == []

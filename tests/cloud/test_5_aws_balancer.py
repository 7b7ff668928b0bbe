"""AWS with a load balancer before the entry, from nothing to nothing."""

from __future__ import annotations

from typing import Any

from tests.cloud.aws_faults import Fault
from tests.cloud.stand_in import ROOT, Aws, Fleet, Run, undocumented

FLEET: Fleet = {"m": {"groups": ["managers", "edge"]}, "w": {"groups": ["workers"]}}
MORE: Fleet = {**FLEET, "e": {"groups": ["workers", "edge"], "count": 2}}
NAME = "beanft-staging"
LOGIN = "192.0.2.7/32"


def provision(
    aws: Aws, *arguments: str, fleet: Fleet = FLEET, balancer: str = "before", **more: str
) -> Run:
    """Provision with a load balancer."""
    settings = {"beanft_balancers": {"staging": balancer}}
    return aws.play("provision", *arguments, fleet=fleet, settings=settings, **more)


def balancers(aws: Aws) -> list[dict[str, Any]]:
    """Return the load balancers of the account."""
    client = aws.client("elbv2")
    found = client.describe_load_balancers()["LoadBalancers"]
    client.close()
    return list(found)


def targets(aws: Aws) -> dict[int, set[str]]:
    """Return the names of the machines that each port leads to."""
    names = {item["InstanceId"]: name for name, item in aws.instances().items()}
    client = aws.client("elbv2")
    found = {}
    for group in client.describe_target_groups()["TargetGroups"]:
        health = client.describe_target_health(TargetGroupArn=group["TargetGroupArn"])
        found[group["Port"]] = {
            names[item["Target"]["Id"]].removeprefix(f"{NAME}-")
            for item in health["TargetHealthDescriptions"]
        }
    client.close()
    return found


def walls(aws: Aws) -> dict[str, set[tuple[int, str]]]:
    """Return the ports that each security group lets in, and from where."""
    client = aws.client("ec2")
    ours = [{"Name": "tag:beanft-environment", "Values": ["staging"]}]
    groups = client.describe_security_groups(Filters=ours)["SecurityGroups"]
    client.close()
    names = {group["GroupId"]: group["GroupName"].removeprefix(f"{NAME}-") for group in groups}
    return {
        names[group["GroupId"]]: {
            (rule["FromPort"], source)
            for rule in group["IpPermissions"]
            for source in (
                *(item["CidrIp"] for item in rule["IpRanges"]),
                *(names[item["GroupId"]] for item in rule["UserIdGroupPairs"]),
            )
        }
        for group in groups
    }


def test_check_mode_says_what_would_be_made(aws: Aws) -> None:
    done = provision(aws, "--check")
    assert done.code == 0, done.said
    assert "make load balancer" in done.sentence
    assert balancers(aws) == []


def test_a_quota_of_load_balancers_is_said_and_the_next_run_completes(aws: Aws) -> None:
    quota = "The maximum number of load balancers has been reached"
    aws.proxy.faults = [
        # The client asks again by itself after this.
        Fault("CreateLoadBalancer", 400, "Throttling", "Rate exceeded"),
        Fault("CreateLoadBalancer", 400, "TooManyLoadBalancers", quota, 99),
    ]
    done = provision(aws, AGREED="staging")
    assert done.code != 0
    assert f"load balancer {NAME}: " in done.sentence
    assert quota in done.sentence
    assert "Traceback" not in done.said
    assert balancers(aws) == []
    aws.proxy.faults = [
        Fault("CreateListener", 503, "ServiceUnavailable", "Service is unavailable"),
        Fault("RegisterTargets", 429, "Throttling", "Rate exceeded"),
    ]
    # It was agreed to by the run that failed.
    done = provision(aws)
    assert done.code == 0, done.said
    assert f"the load balancer is {balancers(aws)[0]['DNSName']}" in done.sentence
    assert all(fault.times <= 0 for fault in aws.proxy.faults)


def test_again_nothing_changes(aws: Aws) -> None:
    again = provision(aws)
    assert (again.code, again.changed) == (0, 0), again.said
    checked = provision(aws, "--check")
    assert (checked.code, checked.changed) == (0, 0), checked.said
    aws.note("aws balancer, changed again", again.changed, "", 0)
    aws.note("aws balancer again", round(again.seconds, 1), "s")


def test_it_is_made_as_promised(aws: Aws) -> None:
    client = aws.client("elbv2")
    (balancer,) = balancers(aws)
    assert (balancer["Type"], balancer["Scheme"]) == ("network", "internet-facing")
    assert len(balancer["AvailabilityZones"]) == 3
    arn = balancer["LoadBalancerArn"]
    (tags,) = client.describe_tags(ResourceArns=[arn])["TagDescriptions"]
    assert {"Key": "beanft-environment", "Value": "staging"} in tags["Tags"]
    listeners = client.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    # TLS ends at the entry.
    assert {(item["Protocol"], item["Port"]) for item in listeners} == {("TCP", 80), ("TCP", 443)}
    groups = client.describe_target_groups(LoadBalancerArn=arn)["TargetGroups"]
    assert {group["Port"] for group in groups} == {80, 443}
    for group in groups:
        check = (group["HealthCheckProtocol"], group["HealthCheckPort"], group["HealthCheckPath"])
        assert check == ("HTTP", "80", "/readyz")
        answer = client.describe_target_group_attributes(TargetGroupArn=group["TargetGroupArn"])
        attributes = {item["Key"]: item["Value"] for item in answer["Attributes"]}
        assert attributes["preserve_client_ip.enabled"] == "true"
        assert attributes["proxy_protocol_v2.enabled"] == "false"
        assert attributes["target_health_state.unhealthy.connection_termination.enabled"] == "false"
    client.close()
    assert targets(aws) == {80: {"m1"}, 443: {"m1"}}


def test_a_visitor_can_neither_go_around_it_nor_say_another_address(aws: Aws) -> None:
    found = walls(aws)
    assert found["balancer"] == {(80, "0.0.0.0/0"), (443, "0.0.0.0/0")}
    assert found["edge"] == {(port, source) for port in (80, 443) for source in (LOGIN, "balancer")}
    # The entry takes the address from the connection, whatever its first bytes say.
    entry = (ROOT / "ansible/roles/edge/templates/haproxy.cfg.j2").read_text(encoding="utf-8")
    assert "set-header X-Forwarded-For %[src]" in entry
    assert "accept-proxy" not in entry


def test_scale_up_and_down(aws: Aws) -> None:
    up = provision(aws, fleet=MORE, AGREED="staging")
    assert up.code == 0, up.said
    assert targets(aws) == {port: {"m1", "e1", "e2"} for port in (80, 443)}
    order: list[str] = []
    for action in ("DeregisterTargets", "TerminateInstances"):
        aws.proxy.afterwards[action] = lambda _, action=action: order.append(action)
    # Somebody shortened the time in which connections end; it is put back.
    drift(aws)
    down = provision(aws, AGREED="staging")
    assert down.code == 0, down.said
    assert targets(aws) == {80: {"m1"}, 443: {"m1"}}
    assert order == ["DeregisterTargets", "TerminateInstances"]
    client = aws.client("elbv2")
    for group in client.describe_target_groups()["TargetGroups"]:
        answer = client.describe_target_group_attributes(TargetGroupArn=group["TargetGroupArn"])
        assert {"Key": "deregistration_delay.timeout_seconds", "Value": "70"} in answer[
            "Attributes"
        ]
    client.close()


def drift(aws: Aws) -> None:
    """Change a target group by hand."""
    client = aws.client("elbv2")
    group = client.describe_target_groups()["TargetGroups"][0]
    client.modify_target_group_attributes(
        TargetGroupArn=group["TargetGroupArn"],
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}],
    )
    client.close()


def test_a_machine_that_is_made_anew_takes_the_old_ones_place(aws: Aws) -> None:
    client = aws.client("ec2")
    client.terminate_instances(InstanceIds=[aws.instances()[f"{NAME}-m1"]["InstanceId"]])
    client.close()
    done = provision(aws, AGREED="staging")
    assert done.code == 0, done.said
    assert targets(aws) == {80: {"m1"}, 443: {"m1"}}


def test_beside_it_the_machines_are_open_while_the_name_moves(aws: Aws) -> None:
    done = provision(aws, balancer="beside")
    assert done.code == 0, done.said
    assert walls(aws)["edge"] == {(80, "0.0.0.0/0"), (443, "0.0.0.0/0")}
    assert len(balancers(aws)) == 1


def test_it_is_removed_where_it_is_not_wanted_any_more(aws: Aws) -> None:
    done = provision(aws, balancer="none", AGREED="staging")
    assert done.code == 0, done.said
    assert "remove load balancer" in done.sentence
    assert balancers(aws) == []
    assert targets(aws) == {}
    assert "balancer" not in walls(aws)
    before = aws.proxy.calls.copy()
    again = provision(aws, balancer="none")
    assert (again.code, again.changed) == (0, 0), again.said
    # Who has none needs no right to look for it.
    asked = aws.proxy.calls - before
    assert not [call for call in asked if call.startswith("elasticloadbalancing:")]


def test_one_of_somebody_else_is_not_touched(aws: Aws) -> None:
    ec2, client = aws.client("ec2"), aws.client("elbv2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    made = client.create_load_balancer(Name=NAME, Type="network", Subnets=[subnet])
    done = provision(aws, AGREED="staging")
    assert done.code != 0
    assert "it is somebody else's; rename or remove it" in done.sentence
    client.delete_load_balancer(LoadBalancerArn=made["LoadBalancers"][0]["LoadBalancerArn"])
    ec2.close()
    client.close()
    done = provision(aws)
    assert done.code == 0, done.said


def test_destroy(aws: Aws) -> None:
    # Its addresses in the network are given back some time after it, and hold its firewall.
    aws.proxy.faults = [
        Fault(
            "DeleteSecurityGroup", 400, "DependencyViolation", "has a dependent object", 1, after=2
        )
    ]
    first = aws.play("destroy", AGREED="staging", DISKS="remove")
    assert first.code == 0, first.said
    assert "remove load balancer" in first.sentence
    assert all(fault.times <= 0 for fault in aws.proxy.faults)
    assert balancers(aws) == []
    assert targets(aws) == {}
    assert walls(aws) == {}
    again = aws.play("destroy")
    assert (again.code, again.changed) == (0, 0), again.said
    aws.note("aws balancer, destroy, changed again", again.changed, "", 0)


def test_what_is_asked_of_the_account_is_documented(aws: Aws) -> None:
    assert undocumented(aws) == []

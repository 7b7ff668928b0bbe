"""Module: a network load balancer of AWS before machines, with security groups."""

from __future__ import annotations

import time
from typing import Any

import botocore.exceptions
from ansible_collections.amazon.aws.plugins.module_utils.modules import (
    AnsibleAWSModule as AnsibleModule,  # by this name the test of modules' documentation finds its options
)
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry

DOCUMENTATION = r"""
module: network_balancer
short_description: A network load balancer of AWS before machines, with security groups
description:
  - Leads TCP ports to the same ports of machines, which see the visitors' own addresses. Nothing is added to what
    visitors send, so there is nothing that a visitor could forge.
  - C(community.aws.elb_network_lb) makes no load balancer with security groups, which can't be given to it later, can't
    change its subnets and has no check mode; C(community.aws.elb_target_group) can't keep connections to a machine that
    fails its check.
options:
  name: {description: Its name; those of its target groups end with the port., type: str, required: true}
  state:
    description: >-
      V(present) makes what is missing and changes what differs. V(drained) takes machines that are not in O(targets)
      off and waits until what they have begun is finished; it is no error where there is no load balancer. V(absent)
      removes it with its target groups.
    type: str
    choices: [present, drained, absent]
    default: present
  vpc_id: {description: The network. Required for V(present)., type: str}
  subnets: {description: A subnet in each zone., type: list, elements: str, default: []}
  security_groups: {description: Who may connect to it., type: list, elements: str, default: []}
  ports: {description: The ports., type: list, elements: int, default: []}
  targets: {description: Ids of the machines., type: list, elements: str, default: []}
  check_port: {description: The port of a machine that is asked whether it serves., type: int, default: 80}
  check_path: {description: The path that is asked for there; 200 means that it does., type: str, default: /readyz}
  drain_seconds:
    description: How long connections to a machine that is taken off may last, at the most.
    type: int
    default: 70
  tags: {description: What it is found by. One of the name without them is refused., type: dict, required: true}
"""
EXAMPLES = r"""
- name: Load balancer
  network_balancer:
    name: beanft-staging
    vpc_id: vpc-0123
    subnets: [subnet-0123]
    security_groups: [sg-0123]
    ports: [80, 443]
    targets: [i-0123]
    tags: {beanft-environment: staging}
"""
RETURN = r"""
address:
  description: The load balancer's name in DNS, '' where there is none.
  type: str
  returned: always
"""

# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html: what a zone gets
# goes to machines of all zones, so a visitor who still knows the address of a zone without a machine is served.
BALANCER = {"load_balancing.cross_zone.enabled": "true"}
CHECK = {
    "HealthCheckProtocol": "HTTP",
    "HealthCheckIntervalSeconds": 10,
    "HealthyThresholdCount": 2,
    "UnhealthyThresholdCount": 2,
}
# What the API calls them, and what it says where there is none.
KINDS = {
    "load_balancers": ("LoadBalancers", "LoadBalancerNotFoundException"),
    "target_groups": ("TargetGroups", "TargetGroupNotFoundException"),
}
POLL_SECONDS = 2.0


def group_attributes(drain_seconds: int) -> dict[str, str]:
    """Return the attributes of a target group."""
    return {
        # The entry sees and logs who asks. A header before the connection's first byte, the other way to say it, could
        # be written by whoever reaches a machine.
        "preserve_client_ip.enabled": "true",
        "proxy_protocol_v2.enabled": "false",
        "deregistration_delay.timeout_seconds": str(drain_seconds),
        # During maintenance every machine's check fails. New connections go to all of them then, and those that there
        # are finish what they have begun.
        "target_health_state.unhealthy.connection_termination.enabled": "false",
    }


def differing(wanted: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    """Return what is wanted and is not so."""
    return {name: value for name, value in wanted.items() if str(there.get(name)) != str(value)}


def pairs(values: dict[str, Any]) -> list[dict[str, str]]:
    """Return names and values as the API takes them."""
    return [{"Key": name, "Value": str(value)} for name, value in sorted(values.items())]


class Balancer:
    """The load balancer and its target groups."""

    def __init__(self, client: Any, values: dict[str, Any], check_mode: bool) -> None:
        """Look for it."""
        self.client, self.values, self.check_mode = client, values, check_mode
        self.changed = False
        self.name = values["name"]
        self.there = self.found("load_balancers", self.name)

    def found(self, kind: str, name: str) -> dict[str, Any]:
        """Return the load balancer or target group of a name, or {}."""
        plural, missing = KINDS[kind]
        try:
            answer = getattr(self.client, f"describe_{kind}")(Names=[name], aws_retry=True)
        except getattr(self.client.exceptions, missing):
            return {}
        return dict(answer[plural][0])

    def change(self, action: str, **arguments: Any) -> dict[str, Any]:
        """Change something, but not in check mode; return the API's answer."""
        self.changed = True
        if self.check_mode:
            return {}
        return dict(getattr(self.client, action)(**arguments, aws_retry=True))

    def foreign(self) -> bool:
        """Tell whether there is one of the name that is somebody else's."""
        if not self.there:
            return False
        arn = self.there["LoadBalancerArn"]
        (answer,) = self.client.describe_tags(ResourceArns=[arn], aws_retry=True)["TagDescriptions"]
        tags = {tag["Key"]: tag["Value"] for tag in answer["Tags"]}
        return bool(differing(self.values["tags"], tags))

    # --------------------------------------------------------------- present
    def present(self) -> None:
        """Make what is missing and change what differs."""
        values, tags = self.values, pairs(self.values["tags"])
        if not self.there:
            # First, since there is a quota of them: where it is reached nothing else is left behind.
            made = self.change(
                "create_load_balancer",
                Name=self.name,
                Type="network",
                Scheme="internet-facing",
                Subnets=values["subnets"],
                SecurityGroups=values["security_groups"],
                Tags=tags,
            )
            if self.check_mode:
                return
            self.there = made["LoadBalancers"][0]
        arn = self.there["LoadBalancerArn"]
        zones = {zone["SubnetId"] for zone in self.there["AvailabilityZones"]}
        if zones != set(values["subnets"]):
            self.change("set_subnets", LoadBalancerArn=arn, Subnets=values["subnets"])
        if set(self.there.get("SecurityGroups", [])) != set(values["security_groups"]):
            self.change(
                "set_security_groups", LoadBalancerArn=arn, SecurityGroups=values["security_groups"]
            )
        answer = self.client.describe_load_balancer_attributes(LoadBalancerArn=arn, aws_retry=True)
        if attributes := differing(BALANCER, as_dict(answer)):
            self.change(
                "modify_load_balancer_attributes", LoadBalancerArn=arn, Attributes=pairs(attributes)
            )
        answer = self.client.describe_listeners(LoadBalancerArn=arn, aws_retry=True)
        listening = {item["Port"] for item in answer["Listeners"]}
        for port in values["ports"]:
            group = self.group(port, tags)
            if group and port not in listening:
                self.change(
                    "create_listener",
                    LoadBalancerArn=arn,
                    Protocol="TCP",
                    Port=port,
                    DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
                    Tags=tags,
                )

    def group(self, port: int, tags: list[dict[str, str]]) -> str:
        """Make or change the target group of a port; return its ARN, or '' in check mode where there is none."""
        values = self.values
        check = {
            **CHECK,
            "HealthCheckPort": str(values["check_port"]),
            "HealthCheckPath": values["check_path"],
        }
        group = self.found("target_groups", f"{self.name}-{port}")
        if group:
            if differs := differing(check, group):
                self.change(
                    "modify_target_group", TargetGroupArn=group["TargetGroupArn"], **differs
                )
        else:
            made = self.change(
                "create_target_group",
                Name=f"{self.name}-{port}",
                Protocol="TCP",
                Port=port,
                VpcId=values["vpc_id"],
                TargetType="instance",
                Matcher={"HttpCode": "200"},
                Tags=tags,
                **check,
            )
            if self.check_mode:
                return ""
            group = made["TargetGroups"][0]
        arn = str(group["TargetGroupArn"])
        answer = self.client.describe_target_group_attributes(TargetGroupArn=arn, aws_retry=True)
        if attributes := differing(group_attributes(values["drain_seconds"]), as_dict(answer)):
            self.change(
                "modify_target_group_attributes", TargetGroupArn=arn, Attributes=pairs(attributes)
            )
        self.deregister(arn)
        there = self.targets(arn)
        if new := [
            target for target in values["targets"] if there.get(target, "draining") == "draining"
        ]:
            self.change(
                "register_targets", TargetGroupArn=arn, Targets=[{"Id": target} for target in new]
            )
        return arn

    # --------------------------------------------------------------- drained
    def targets(self, arn: str) -> dict[str, str]:
        """Return the state of each machine of a target group."""
        answer = self.client.describe_target_health(TargetGroupArn=arn, aws_retry=True)
        return {
            item["Target"]["Id"]: item["TargetHealth"]["State"]
            for item in answer["TargetHealthDescriptions"]
        }

    def deregister(self, arn: str) -> None:
        """Take machines off a target group; those that are leaving it already are."""
        leaving = [
            target
            for target, state in self.targets(arn).items()
            if target not in self.values["targets"] and state != "draining"
        ]
        if leaving:
            self.change(
                "deregister_targets",
                TargetGroupArn=arn,
                Targets=[{"Id": target} for target in leaving],
            )

    def groups(self) -> list[str]:
        """Return the ARNs of the target groups that there are."""
        found = [
            self.found("target_groups", f"{self.name}-{port}") for port in self.values["ports"]
        ]
        return [str(group["TargetGroupArn"]) for group in found if group]

    def drained(self) -> None:
        """Take machines off and wait for the end of what they have begun."""
        groups = self.groups()
        for arn in groups:
            self.deregister(arn)
        # The API ends it by itself after that time; half a minute more is its own slowness.
        deadline = time.monotonic() + self.values["drain_seconds"] + 30
        while not self.check_mode and any(
            "draining" in self.targets(arn).values() for arn in groups
        ):
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(POLL_SECONDS)

    # ---------------------------------------------------------------- absent
    def absent(self) -> None:
        """Remove it with its target groups."""
        if self.there:
            arn = self.there["LoadBalancerArn"]
            self.change("delete_load_balancer", LoadBalancerArn=arn)
            if not self.check_mode:
                self.client.get_waiter("load_balancers_deleted").wait(LoadBalancerArns=[arn])
        for arn in self.groups():
            self.change("delete_target_group", TargetGroupArn=arn)


def as_dict(answer: dict[str, Any]) -> dict[str, str]:
    """Return the attributes of an answer by name."""
    return {item["Key"]: item["Value"] for item in answer["Attributes"]}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {
                "type": "str",
                "choices": ["present", "drained", "absent"],
                "default": "present",
            },
            "vpc_id": {"type": "str"},
            "subnets": {"type": "list", "elements": "str", "default": []},
            "security_groups": {"type": "list", "elements": "str", "default": []},
            "ports": {"type": "list", "elements": "int", "default": []},
            "targets": {"type": "list", "elements": "str", "default": []},
            "check_port": {"type": "int", "default": 80},
            "check_path": {"type": "str", "default": "/readyz"},
            "drain_seconds": {"type": "int", "default": 70},
            "tags": {"type": "dict", "required": True},
        },
        required_if=[("state", "present", ["vpc_id"])],
        supports_check_mode=True,
    )
    name, state = module.params["name"], module.params["state"]
    try:
        client = module.client("elbv2", retry_decorator=AWSRetry.jittered_backoff())
        balancer = Balancer(client, module.params, module.check_mode)
        if balancer.foreign():
            module.fail_json(
                msg=f"there is a load balancer {name} without the tags {module.params['tags']}: it is somebody else's;"
                " rename or remove it"
            )
        getattr(balancer, state)()
    except TimeoutError:
        module.fail_json(
            msg=f"a machine that was taken off the load balancer {name} is not drained: run the same again"
        )
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
        module.fail_json_aws(error, msg=f"load balancer {name}")
    address = "" if state == "absent" else str(balancer.there.get("DNSName", ""))
    module.exit_json(changed=balancer.changed, address=address)


if __name__ == "__main__":
    main()

"""Module: a network load balancer of GCP before machines, with its firewall rule."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from ansible.module_utils.gcp_answers import checked, said, same
from ansible_collections.google.cloud.plugins.module_utils.gcp_utils import (
    GcpModule as AnsibleModule,
)
from ansible_collections.google.cloud.plugins.module_utils.gcp_utils import GcpSession

DOCUMENTATION = r"""
module: gcp_balancer
short_description: A network load balancer of GCP before machines, with its firewall rule
description:
  - An external passthrough Network Load Balancer, which leads TCP ports of an address of its own to the same ports of
    machines. They get the visitors' packets as they are, so there is nothing that a visitor could forge.
  - A firewall rule lets everybody in at the load balancer's address, which packets that come by it have as theirs to
    go to. It says nothing of the machines' own addresses.
  - C(google.cloud.gcp_compute_firewall) refuses a rule of sources and destinations, which the API has long had;
    C(google.cloud.gcp_compute_region_backend_service) sends no fingerprint, without which the API refuses to change
    one; C(google.cloud.gcp_compute_instance_group) does not say that machines came or went. None has a check mode, and
    each takes over what it finds under the name.
options:
  name: {description: The name of each of its parts., type: str, required: true}
  state:
    description: >-
      V(present) makes what is missing and changes what differs. V(drained) takes machines that are not in O(machines)
      off and waits as long as what they have begun may last. V(absent) removes all parts.
    type: str
    choices: [present, drained, absent]
    default: present
  description:
    description: >-
      The description of each part, by which it is known. One of the name that has another is refused, and not removed
      by V(absent).
    type: str
    required: true
  region: {description: The region., type: str, required: true}
  zones: {description: The region's zones in which there may be machines., type: list, elements: str, required: true}
  network: {description: The name of the network., type: str, required: true}
  target_tags: {description: The network tags of the machines., type: list, elements: str, default: []}
  ports: {description: The ports., type: list, elements: int, default: []}
  machines: {description: The zone of each machine by its name., type: dict, default: {}}
  drain_seconds:
    description: How long connections to a machine that is taken off may last, at the most.
    type: int
    default: 70
"""
EXAMPLES = r"""
- name: Load balancer
  gcp_balancer:
    name: beanft-staging-balancer
    description: Load balancer of beanft-staging
    region: europe-west3
    zones: [europe-west3-a, europe-west3-b]
    network: beanft-staging
    target_tags: [beanft-staging-edge]
    ports: [80, 443]
    machines: {beanft-staging-m1: europe-west3-a}
"""
RETURN = r"""
address:
  description: The load balancer's address, '' where there is none.
  type: str
  returned: always
"""

# https://cloud.google.com/compute/docs/reference/rest/v1, in which parts name each other by the second.
ROOT = "https://compute.googleapis.com/compute/v1/"
LINKS = "https://www.googleapis.com/compute/v1/"
CHECK = {
    "type": "HTTP",
    "httpHealthCheck": {"port": 80, "requestPath": "/readyz"},
    "checkIntervalSec": 10,
    "timeoutSec": 5,
    "healthyThreshold": 2,
    "unhealthyThreshold": 2,
}
# Those that the API changes; another one that differs is made anew.
CHANGED = ("healthChecks", "backendServices", "firewalls")
MISSING = 404
POLL_SECONDS = 1.0


@dataclasses.dataclass
class Part:
    """What there is to be under a path, and what there is."""

    path: str
    wanted: dict[str, Any]
    there: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What the API calls such parts, as addresses."""
        return self.path.rsplit("/", 2)[1]


class Balancer:
    """The load balancer, of parts."""

    def __init__(self, module: Any, session: Any) -> None:
        """Look for its parts."""
        self.module, self.session, self.values = module, session, module.params
        self.changed = False
        self.project = f"projects/{self.values['project']}"
        region = f"{self.project}/regions/{self.values['region']}"
        self.address = self.part(f"{region}/addresses", {})
        self.check = self.part(f"{region}/healthChecks", CHECK)
        network = f"{LINKS}{self.project}/global/networks/{self.values['network']}"
        # One in every zone, also where no machine is yet: so those that come change nothing else.
        self.groups = {
            zone: self.part(f"{self.project}/zones/{zone}/instanceGroups", {"network": network})
            for zone in self.values["zones"]
        }
        self.service = self.part(
            f"{region}/backendServices",
            {
                "loadBalancingScheme": "EXTERNAL",
                "protocol": "TCP",
                "backends": [
                    {"group": LINKS + group.path, "balancingMode": "CONNECTION"}
                    for group in self.groups.values()
                ],
                "healthChecks": [LINKS + self.check.path],
                "connectionDraining": {"drainingTimeoutSec": self.values["drain_seconds"]},
            },
        )
        ports = [str(port) for port in self.values["ports"]]
        self.firewall = self.part(
            f"{self.project}/global/firewalls",
            {
                "network": network,
                "direction": "INGRESS",
                "sourceRanges": ["0.0.0.0/0"],
                "targetTags": self.values["target_tags"],
                "allowed": [{"IPProtocol": "tcp", "ports": ports}],
            },
        )
        self.rule = self.part(
            f"{region}/forwardingRules",
            {
                "loadBalancingScheme": "EXTERNAL",
                "IPProtocol": "TCP",
                "ports": ports,
                "backendService": LINKS + self.service.path,
            },
        )
        # The address is made first and removed last: where it is, there may be the others.
        self.parts = [
            self.address,
            self.check,
            *self.groups.values(),
            self.service,
            self.firewall,
            self.rule,
        ]

    # ------------------------------------------------------------- the API
    def part(self, parent: str, wanted: dict[str, Any]) -> Part:
        """Return a part, and what there is of it."""
        path = f"{parent}/{self.values['name']}"
        answer = self.session.full_get(ROOT + path)
        there = {} if answer.status_code == MISSING else checked(self.module, answer)
        return Part(path, wanted, there)

    def change(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """Change something and wait for it, but not in check mode."""
        self.changed = True
        if self.module.check_mode:
            return
        operation = checked(self.module, getattr(self.session, method)(ROOT + path, body))
        scope = "/".join(path.split("/")[: 3 if "/global/" in path else 4])
        while operation.get("status") != "DONE":
            time.sleep(POLL_SECONDS)
            operation = checked(
                self.module, self.session.full_get(f"{ROOT}{scope}/operations/{operation['name']}")
            )
        if why := said(operation):
            self.module.fail_json(msg=f"load balancer {self.values['name']}: {path}: {why}")

    def foreign(self) -> list[Part]:
        """Return the parts of the name that are somebody else's."""
        return [
            part
            for part in self.parts
            if part.there and part.there.get("description") != self.values["description"]
        ]

    # --------------------------------------------------------------- present
    def present(self) -> None:
        """Make what is missing and change what differs."""
        # First, since there is a quota of them: where it is reached nothing else is left behind.
        self.ensure(self.address)
        address = self.address.there.get("address", "")
        self.firewall.wanted["destinationRanges"] = [f"{address}/32"]
        self.rule.wanted["IPAddress"] = address
        self.ensure(self.check)
        for zone, group in self.groups.items():
            self.ensure(group)
            self.members(zone)
        for part in (self.service, self.firewall, self.rule):
            self.ensure(part)

    def ensure(self, part: Part) -> None:
        """Make a part, or change it where it differs."""
        parent, _, name = part.path.rpartition("/")
        if part.there and same(part.wanted, part.there):
            return
        if part.there and part.kind in CHANGED:
            fingerprint = part.there.get("fingerprint")
            self.change(
                "patch",
                part.path,
                part.wanted | ({"fingerprint": fingerprint} if fingerprint else {}),
            )
            return
        if part.there:
            self.change("delete", part.path)
        self.change(
            "post",
            parent,
            {"name": name, "description": self.values["description"], **part.wanted},
        )
        if not self.module.check_mode:
            part.there = checked(self.module, self.session.full_get(ROOT + part.path))

    # --------------------------------------------------------------- drained
    def members(self, zone: str, actions: tuple[str, ...] = ("remove", "add")) -> None:
        """Take the machines of a zone off that are not wanted, and the others on."""
        group = self.groups[zone]
        if not group.there:
            return
        listed = checked(
            self.module,
            self.session.post(f"{ROOT}{group.path}/listInstances", {"instanceState": "ALL"}),
        )
        there = {item["instance"].rpartition("/")[2] for item in listed.get("items") or []}
        wanted = {name for name, place in self.values["machines"].items() if place == zone}
        for action, names in (("remove", there - wanted), ("add", wanted - there)):
            if names and action in actions:
                links = [
                    {"instance": f"{LINKS}{self.project}/zones/{zone}/instances/{name}"}
                    for name in sorted(names)
                ]
                self.change("post", f"{group.path}/{action}Instances", {"instances": links})

    def drained(self) -> None:
        """Take machines off and wait for the end of what they have begun."""
        for zone in self.groups:
            self.members(zone, ("remove",))
        # The API tells nobody whether they still have connections.
        if self.changed and not self.module.check_mode:
            time.sleep(self.values["drain_seconds"])

    # ---------------------------------------------------------------- absent
    def absent(self) -> None:
        """Remove its parts, but nobody else's."""
        foreign = self.foreign()
        for part in reversed(self.parts):
            if part.there and part not in foreign:
                self.change("delete", part.path)


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
            "description": {"type": "str", "required": True},
            "region": {"type": "str", "required": True},
            "zones": {"type": "list", "elements": "str", "required": True},
            "network": {"type": "str", "required": True},
            "target_tags": {"type": "list", "elements": "str", "default": []},
            "ports": {"type": "list", "elements": "int", "default": []},
            "machines": {"type": "dict", "default": {}},
            "drain_seconds": {"type": "int", "default": 70},
        },
        supports_check_mode=True,
    )
    if not module.params["scopes"]:
        module.params["scopes"] = ["https://www.googleapis.com/auth/compute"]
    state = module.params["state"]
    balancer = Balancer(module, GcpSession(module, "compute"))
    if state != "absent" and (foreign := balancer.foreign()):
        module.fail_json(
            msg=f"there is {foreign[0].path} without the description '{module.params['description']}': it is somebody"
            " else's; rename or remove it"
        )
    getattr(balancer, state)()
    address = "" if state == "absent" else balancer.address.there.get("address", "")
    module.exit_json(changed=balancer.changed, address=address)


if __name__ == "__main__":
    main()

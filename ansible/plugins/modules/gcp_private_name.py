"""Module: a name that one network of GCP knows, and the address that it has there."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.gcp_answers import checked, same
from ansible_collections.google.cloud.plugins.module_utils.gcp_utils import (
    GcpModule as AnsibleModule,
)
from ansible_collections.google.cloud.plugins.module_utils.gcp_utils import GcpSession

DOCUMENTATION = r"""
module: gcp_private_name
short_description: A name that one network of GCP knows, and the address that it has there
description:
  - A private zone of Cloud DNS of that name, with one address.
  - C(google.cloud.gcp_dns_resource_record_set) can't work with an access token, and writes the zone's SOA record anew
    with every other one. Neither it nor C(google.cloud.gcp_dns_managed_zone) has a check mode.
options:
  zone: {description: The zone's name in the project., type: str, required: true}
  state:
    description: V(absent) removes the zone with what is in it.
    type: str
    choices: [present, absent]
    default: present
  description: {description: What it is for., type: str, default: ''}
  name: {description: "The name, which ends in a dot.", type: str, default: ''}
  network: {description: The name of the network., type: str, default: ''}
  address: {description: The address., type: str, default: ''}
"""
EXAMPLES = r"""
- name: Name of the database
  gcp_private_name:
    zone: beanft-staging-database
    description: Database of beanft-staging
    name: a.b.europe-west3.sql.goog.
    network: beanft-staging
    address: 10.70.0.9
"""
RETURN = "{}"

# https://cloud.google.com/dns/docs/reference/rest/v1
ROOT = "https://dns.googleapis.com/dns/v1/projects/"
NETWORKS = "https://www.googleapis.com/compute/v1/projects/"
SECONDS = 300
MISSING = 404
# Every zone has them, and they go with it.
OF_ZONE = ("NS", "SOA")


class Name:
    """A zone and what is in it."""

    def __init__(self, module: Any, session: Any) -> None:
        """Look for it."""
        self.module, self.session, self.values = module, session, module.params
        self.zones = f"{ROOT}{self.values['project']}/managedZones"
        self.link = f"{self.zones}/{self.values['zone']}"
        self.changed = False
        answer = session.full_get(self.link)
        self.there = {} if answer.status_code == MISSING else checked(module, answer)

    def change(self, method: str, link: str, body: dict[str, Any] | None = None) -> None:
        """Change something, but not in check mode."""
        self.changed = True
        if not self.module.check_mode:
            checked(self.module, getattr(self.session, method)(link, body))

    def records(self) -> list[dict[str, Any]]:
        """Return the records of the zone but those that every zone has."""
        if not self.there:
            return []
        listed = self.session.list(f"{self.link}/rrsets", checked, array_name="rrsets")
        return [item for item in listed if item["type"] not in OF_ZONE]

    def remove(self, record: dict[str, Any]) -> None:
        """Remove a record."""
        self.change("delete", f"{self.link}/rrsets/{record['name']}/{record['type']}")

    def present(self) -> None:
        """Make what is missing; a zone of another name or network is made anew."""
        network = f"{NETWORKS}{self.values['project']}/global/networks/{self.values['network']}"
        zone = {
            "name": self.values["zone"],
            "description": self.values["description"],
            "dnsName": self.values["name"],
            "visibility": "private",
            "privateVisibilityConfig": {"networks": [{"networkUrl": network}]},
        }
        if self.there and not same(zone, self.there):
            self.absent()
        if not self.there:
            self.change("post", self.zones, zone)
            self.there = {} if self.module.check_mode else zone
        record = {
            "name": self.values["name"],
            "type": "A",
            "ttl": SECONDS,
            "rrdatas": [self.values["address"]],
        }
        records = self.records()
        for other in records:
            if not same(record, other):
                self.remove(other)
        if not any(same(record, other) for other in records):
            self.change("post", f"{self.link}/rrsets", record)

    def absent(self) -> None:
        """Remove it."""
        for record in self.records():
            self.remove(record)
        if self.there:
            self.change("delete", self.link)
        self.there = {}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "zone": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "description": {"type": "str", "default": ""},
            "name": {"type": "str", "default": ""},
            "network": {"type": "str", "default": ""},
            "address": {"type": "str", "default": ""},
        },
        required_if=[("state", "present", ["name", "network", "address"])],
        supports_check_mode=True,
    )
    if not module.params["scopes"]:
        module.params["scopes"] = ["https://www.googleapis.com/auth/ndev.clouddns.readwrite"]
    name = Name(module, GcpSession(module, "dns"))
    getattr(name, module.params["state"])()
    module.exit_json(changed=name.changed)


if __name__ == "__main__":
    main()

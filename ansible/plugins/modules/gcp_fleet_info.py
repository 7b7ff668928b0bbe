"""Module: what an environment has at GCP, in one look."""

from __future__ import annotations

from ansible.module_utils.gcp_answers import checked
from ansible_collections.google.cloud.plugins.module_utils.gcp_utils import (
    GcpModule as AnsibleModule,
)
from ansible_collections.google.cloud.plugins.module_utils.gcp_utils import GcpSession

DOCUMENTATION = r"""
module: gcp_fleet_info
short_description: What an environment has at GCP, in one look
description:
  - Lists what the modules C(google.cloud.gcp_compute_*_info) list one by one, zone by zone, each in a process of its
    own, which is what takes the time.
  - Changes nothing.
options:
  environment: {description: The environment., type: str, required: true}
  region: {description: Where its fixed addresses are., type: str, required: true}
  zones: {description: Where its machines and disks are., type: list, elements: str, required: true}
"""
EXAMPLES = r"""
- name: What there is
  gcp_fleet_info:
    environment: staging
    region: europe-west3
    zones: [europe-west3-a, europe-west3-b]
  register: there
"""
RETURN = r"""
networks: {description: The environment's network., type: list, elements: dict, returned: always}
instances: {description: Its machines., type: list, elements: dict, returned: always}
addresses: {description: All addresses of the region., type: list, elements: dict, returned: always}
disks: {description: All disks of the zones., type: list, elements: dict, returned: always}
"""

# https://cloud.google.com/compute/docs/reference/rest/v1
ROOT = "https://compute.googleapis.com/compute/v1/projects/"


def lists(environment: str, region: str, zones: list[str]) -> dict[str, list[tuple[str, str]]]:
    """Return the lists to ask for, by what they are of: a path below the project, a filter."""
    machines = f"(labels.beanft = machine) (labels.beanft-environment = {environment})"
    return {
        "networks": [("global/networks", f"name = beanft-{environment}")],
        "instances": [(f"zones/{zone}/instances", machines) for zone in zones],
        "addresses": [(f"regions/{region}/addresses", "")],
        "disks": [(f"zones/{zone}/disks", "") for zone in zones],
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "environment": {"type": "str", "required": True},
            "region": {"type": "str", "required": True},
            "zones": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    if not module.params["scopes"]:
        module.params["scopes"] = ["https://www.googleapis.com/auth/compute"]
    asked = lists(*(module.params[name] for name in ("environment", "region", "zones")))
    session = GcpSession(module, "compute")
    found = {
        kind: [
            item
            for path, query in queries
            for item in session.list(
                f"{ROOT}{module.params['project']}/{path}",
                checked,
                params={"filter": query} if query else {},
            )
        ]
        for kind, queries in asked.items()
    }
    module.exit_json(
        changed=False,
        networks=found["networks"],
        instances=found["instances"],
        addresses=found["addresses"],
        disks=found["disks"],
    )


if __name__ == "__main__":
    main()

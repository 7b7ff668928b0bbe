"""Module: the SSH host key that a machine of GCP has told its project."""

from __future__ import annotations

from typing import Any

from ansible_collections.google.cloud.plugins.module_utils.gcp_utils import (
    GcpModule as AnsibleModule,
)
from ansible_collections.google.cloud.plugins.module_utils.gcp_utils import GcpSession

DOCUMENTATION = r"""
module: gcp_host_key
short_description: The SSH host key that a machine of GCP has told its project
description:
  - Google's guest agent writes a machine's host keys to its guest attributes, where C(enable-guest-attributes) is set
    in its metadata. This reads the ed25519 one, so that the first connection to the machine is checked.
  - Changes nothing.
options:
  name: {description: The machine's name., type: str, required: true}
  zone: {description: The machine's zone., type: str, required: true}
"""
EXAMPLES = r"""
- name: Host key of a machine
  gcp_host_key:
    name: beanft-staging-m1
    zone: europe-west3-a
  register: told
"""
RETURN = r"""
key:
  description: The key's type and value, '' where the machine has not told it yet.
  type: str
  returned: always
"""

# https://cloud.google.com/compute/docs/metadata/manage-guest-attributes
URL = (
    "https://compute.googleapis.com/compute/v1/projects/{project}/zones/{zone}/instances/{name}"
    "/getGuestAttributes"
)
NOT_YET = 404


def key_of(answer: dict[str, Any], kind: str = "ssh-ed25519") -> str:
    """Return the key of a kind in an answer of the API, or ''."""
    for item in (answer.get("queryValue") or {}).get("items") or []:
        if item.get("namespace") == "hostkeys" and item.get("key") == kind:
            return f"{kind} {item['value']}"
    return ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "zone": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    if not module.params["scopes"]:
        module.params["scopes"] = ["https://www.googleapis.com/auth/compute"]
    url = URL.format(**module.params)
    answer = GcpSession(module, "compute").full_get(url, params={"queryPath": "hostkeys/"})
    if answer.status_code == NOT_YET:
        module.exit_json(changed=False, key="")
    module.raise_for_status(answer)
    module.exit_json(changed=False, key=key_of(answer.json()))


if __name__ == "__main__":
    main()

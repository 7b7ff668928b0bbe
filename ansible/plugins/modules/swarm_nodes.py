#!/usr/bin/python
"""Ansible module: the addresses of all nodes of the Swarm, as far as this machine can say."""

from __future__ import annotations

import json
import re

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import DockerError, docker

DOCUMENTATION = r"""
module: swarm_nodes
short_description: Addresses of the Swarm's nodes
description:
  - Returns the addresses of all nodes, also of those that are down, for what has to be right when they come back. It
    changes nothing.
  - A machine that is no manager, or whose Swarm has no leader, knows none; that is no error, since whoever asks
    has to be able to mend that.
options: {}
"""

EXAMPLES = r"""
- name: Nodes that the Swarm knows
  swarm_nodes: {}
"""

RETURN = r"""
addresses:
  description: IPv4 addresses, sorted.
  returned: success
  type: list
  elements: str
"""

# A leader gives no address as a node, but one as a manager, with its port.
ADDRESS = re.compile(r"(\d+\.\d+\.\d+\.\d+)(:\d+)?")
NOWHERE = "0.0.0.0"  # noqa: S104 - not to bind to
FORMAT = '{{json .Status.Addr}} {{if .ManagerStatus}}{{json .ManagerStatus.Addr}}{{else}}""{{end}}'
SECONDS = 20.0


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        nodes = docker(module, "node", "ls", "--quiet", seconds=SECONDS).split()
        lines = docker(
            module, "node", "inspect", "--format", FORMAT, *nodes, seconds=SECONDS
        ).splitlines()
    except DockerError:
        lines = []
    found = (ADDRESS.fullmatch(json.loads(word)) for line in lines for word in line.split())
    addresses = {match[1] for match in found if match} - {NOWHERE}
    module.exit_json(changed=False, addresses=sorted(addresses))


if __name__ == "__main__":
    main()

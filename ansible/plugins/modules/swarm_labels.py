#!/usr/bin/python
"""Ansible module: gives the nodes of a Swarm their labels, all at once."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import DockerError, docker, docker_json

DOCUMENTATION = r"""
module: swarm_labels
short_description: Labels of a Swarm's nodes
description:
  - Gives nodes exactly the labels that they are to have, on a manager and in one call. A task for each machine would
    start as many modules on that one manager at the same time.
  - A node that the Swarm does not have is an error, except in check mode, where it may be about to join.
options:
  nodes:
    description: The nodes.
    type: list
    elements: dict
    required: true
    suboptions:
      hostname:
        description: What the engine calls it.
        type: str
        required: true
      labels:
        description: Its labels, and no others.
        type: dict
        required: true
"""

EXAMPLES = r"""
- name: Labels of the nodes
  swarm_labels:
    nodes:
      - {hostname: m1, labels: {beanft.edge: "true"}}
      - {hostname: m2, labels: {}}
"""

RETURN = r"""
changed_nodes:
  description: Nodes that got other labels or would.
  returned: success
  type: list
  elements: str
"""

Node = dict[str, Any]


def there(module: AnsibleModule) -> dict[str, dict[str, str]]:
    """Return the labels of the nodes that the Swarm has, by hostname."""
    try:
        ids = docker(module, "node", "ls", "--quiet").split()
        found = docker_json(module, "node", "inspect", *ids)
    except DockerError:
        if module.check_mode:
            return {}
        raise
    return {
        node["Description"]["Hostname"]: node["Spec"].get("Labels") or {}
        for node in found
        # Of one name, what is left of a machine that was made anew.
        if node["Status"]["State"] != "down"
    }


def update(module: AnsibleModule, node: Node, labels: dict[str, str]) -> None:
    """Change a node's labels from what they are."""
    wanted = node["labels"]
    options = [
        *(("--label-rm", name) for name in sorted(set(labels) - set(wanted))),
        *(
            ("--label-add", f"{name}={value}")
            for name, value in sorted(wanted.items())
            if labels.get(name) != value
        ),
    ]
    docker(
        module, "node", "update", *(word for option in options for word in option), node["hostname"]
    )


def main() -> None:
    """Look at all nodes, and change those that differ."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "hostname": {"type": "str", "required": True},
                    "labels": {"type": "dict", "required": True},
                },
            }
        },
        supports_check_mode=True,
    )
    nodes: list[Node] = [
        {**node, "labels": {name: str(value) for name, value in node["labels"].items()}}
        for node in module.params["nodes"]
    ]
    try:
        found = there(module)
        wrong = [node for node in nodes if found.get(node["hostname"]) != node["labels"]]
        if not module.check_mode:
            missing = sorted({node["hostname"] for node in wrong} - set(found))
            if missing:
                module.fail_json(msg=f"the Swarm has no node {', '.join(missing)} that is up")
            for node in wrong:
                update(module, node, found[node["hostname"]])
    except DockerError as error:
        module.fail_json(msg=f"the nodes' labels could not be set: {error}")
    module.exit_json(changed=bool(wrong), changed_nodes=[node["hostname"] for node in wrong])


if __name__ == "__main__":
    main()

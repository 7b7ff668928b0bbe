"""Inventory plugin: community.docker.docker_containers, on an engine where containers come and go.

That plugin lists all containers of the engine and then inspects one after the other. Where any of them
has gone meanwhile, such as a step of a build, it fails. This one asks again.
"""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.plugins.loader import inventory_loader

DOCUMENTATION = """
name: docker_machines
short_description: community.docker.docker_containers that asks again where a container has gone
description:
  - Leaves everything to the plugin P(community.docker.docker_containers#inventory), whose files it reads. Lets it
    start again, a few times, where a container that it listed is not there when it is inspected.
options: {}
"""

DELEGATE = "community.docker.docker_containers"
ATTEMPTS = 8


class InventoryModule(BaseInventoryPlugin):
    """The plugin."""

    NAME = "docker_machines"

    def verify_file(self, path: str) -> bool:
        """Tell whether a file is one of that plugin."""
        return bool(super().verify_file(path) and path.endswith(("docker.yml", "docker.yaml")))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Let the plugin fill the inventory."""
        super().parse(inventory, loader, path, cache)
        for attempt in range(1, ATTEMPTS + 1):
            plugin = inventory_loader.get(DELEGATE)
            if plugin is None:
                raise AnsibleParserError(f"{DELEGATE} is not installed: run 'make tools' first")
            try:
                plugin.parse(inventory, loader, path, cache)
            except AnsibleError as error:
                if "No such container" not in str(error) or attempt == ATTEMPTS:
                    raise
            else:
                return

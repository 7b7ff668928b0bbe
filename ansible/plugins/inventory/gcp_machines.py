"""Inventory plugin: google.cloud.gcp_compute, with templates in two of its options.

Which environment of which project an inventory is for comes from the environment of the process;
Google's plugin reads `projects` and `filters` as they stand in its file, and has no filters of its
own that are templates. The file stays one of Google's plugin, with its name and suffix.
"""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.plugins.loader import inventory_loader

DOCUMENTATION = """
name: gcp_machines
short_description: google.cloud.gcp_compute with templates in C(projects) and C(filters)
description:
  - Reads a file of the plugin P(google.cloud.gcp_compute#inventory), fills in the templates in C(projects) and
    C(filters), and leaves everything else to that plugin.
options: {}
"""

DELEGATE = "google.cloud.gcp_compute"
TEMPLATED = ("projects", "filters")


class InventoryModule(BaseInventoryPlugin):
    """The plugin."""

    NAME = "gcp_machines"

    def verify_file(self, path: str) -> bool:
        """Tell whether a file is one of Google's plugin."""
        return bool(super().verify_file(path) and path.endswith(("gcp.yml", "gcp_compute.yml")))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Let Google's plugin fill the inventory."""
        super().parse(inventory, loader, path, cache)
        plugin = inventory_loader.get(DELEGATE)
        if plugin is None:
            raise AnsibleParserError(f"{DELEGATE} is not installed: run 'make tools' first")
        as_written = plugin.get_option

        def get_option(option: str, hostvars: dict[str, object] | None = None) -> Any:
            value = as_written(option, hostvars)
            return self.templar.template(value) if option in TEMPLATED else value

        plugin.get_option = get_option
        try:
            plugin.parse(inventory, loader, path, cache)
        except AttributeError as error:
            if error.__context__ is None:
                raise
            # It stumbles over its own report of a connection that failed.
            raise AnsibleParserError(
                f"Compute Engine did not answer: {error.__context__}"
            ) from error

"""Inventory plugin: amazon.aws.aws_ec2 and google.cloud.gcp_compute, with what they lack.

Of both, what the cloud says about a machine is there for the expressions of the file, and stays out of the machine's
variables: nothing reads those sixty, and with 500 machines to copy and to print them takes longer than all the rest.
Which environment of which project a GCP inventory is for comes from the environment of the process; Google's plugin
reads `projects` and `filters` as they stand in its file, and has no filters of its own that are templates.
Of both, an expression is compiled once and not for each machine, which takes six times as long as to evaluate it.
The file stays one of the cloud's plugin, with its name and suffix.
"""

from __future__ import annotations

import functools
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.plugins.loader import inventory_loader

DOCUMENTATION = """
name: cloud_machines
short_description: amazon.aws.aws_ec2 and google.cloud.gcp_compute, with few variables and, of GCP, with templates
description:
  - Reads a file of P(amazon.aws.aws_ec2#inventory) or P(google.cloud.gcp_compute#inventory) by that plugin.
  - Variables that begin with the file's C(hostvars_prefix) or C(vars_prefix) are for the file's expressions alone.
  - Fills in the templates in C(projects) and C(filters) of a file for GCP.
options: {}
"""

# By the end of the file's name: the plugin, its option for the beginning of variables, those that get their templates.
CLOUDS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "aws_ec2.yml": ("amazon.aws.aws_ec2", "hostvars_prefix", ()),
    "gcp.yml": ("google.cloud.gcp_compute", "vars_prefix", ("projects", "filters")),
}


class Lean:
    """An inventory that keeps no variables of some beginning."""

    def __init__(self, inventory: Any, plugin: Any, option: str) -> None:
        """Keep them where the plugin has no such option set."""
        self._inventory, self._plugin, self._option = inventory, plugin, option

    def __getattr__(self, name: str) -> Any:
        """All else is the inventory's."""
        return getattr(self._inventory, name)

    def set_variable(self, entity: str, name: str, value: object) -> None:
        """Set a variable of a machine or group."""
        prefix = self._plugin.get_option(self._option)
        if not prefix or not name.startswith(prefix):
            self._inventory.set_variable(entity, name, value)


def compile_once(templar: Any) -> None:
    """Let what evaluates expressions remember those that it has compiled; Ansible's compiles at each evaluation."""
    environment = getattr(getattr(templar, "_engine", None), "environment", None)
    if environment is not None and "compile_expression" not in vars(environment):
        environment.compile_expression = functools.cache(environment.compile_expression)


class InventoryModule(BaseInventoryPlugin):
    """The plugin."""

    NAME = "cloud_machines"

    def verify_file(self, path: str) -> bool:
        """Tell whether a file is one of a cloud's plugin."""
        return bool(super().verify_file(path) and path.endswith(tuple(CLOUDS)))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Let the cloud's plugin fill the inventory."""
        super().parse(inventory, loader, path, cache)
        delegate, prefix, templated = next(
            found for end, found in CLOUDS.items() if path.endswith(end)
        )
        plugin = inventory_loader.get(delegate)
        if plugin is None:
            raise AnsibleParserError(f"{delegate} is not installed: run 'make tools' first")
        as_written = plugin.get_option

        def get_option(option: str, hostvars: dict[str, object] | None = None) -> Any:
            value = as_written(option, hostvars)
            return self.templar.template(value) if option in templated else value

        evaluate = plugin._compose

        def compose(*arguments: Any, **named: Any) -> Any:
            # The plugin makes what evaluates when it begins to parse.
            compile_once(plugin.templar)
            return evaluate(*arguments, **named)

        plugin._compose = compose
        if templated:
            plugin.get_option = get_option
        try:
            plugin.parse(Lean(inventory, plugin, prefix), loader, path, cache)
        except AttributeError as error:
            # Google's stumbles over its own report of a connection that failed.
            if error.__context__ is None or not templated:
                raise
            raise AnsibleParserError(
                f"Compute Engine did not answer: {error.__context__}"
            ) from error
        # Ansible does this itself where it calls the plugin.
        plugin.update_cache_if_changed()

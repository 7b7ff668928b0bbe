"""Inventory plugin: machines that somebody else made, from a list in a file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.display import Display

DOCUMENTATION = """
name: static_machines
short_description: Machines from a list
description:
  - Yields the groups and variables of every provider's inventory from a file that lists an environment's
    machines, as C(.local/static-ENV/machines.yml). E(MACHINES) names another file.
  - C(machines) has one entry a machine, by its short name (lower-case letters and digits). C(address) is where
    this machine reaches it; C(groups) are its groups; C(inside) is its address among the machines, by default
    C(address). C(port) and C(user) are those of SSH, by default 22 and C(deploy); C(http_port) and C(https_port)
    are those of its entry as seen from here, by default 80 and 443.
  - C(variables) are variables of roles, for all machines of the environment.
  - What is wrong in the file is an error that names it; without the file there are no machines.
options: {}
"""

GROUPS = ("managers", "workers", "edge", "data", "monitoring", "jenkins")
# What a machine may have, with the variable that it becomes.
KEYS = {
    "address": "ansible_host",
    "inside": "beanft_address",
    "port": "ansible_port",
    "user": "ansible_user",
    "http_port": "beanft_entry_port",
    "https_port": "beanft_entry_https_port",
}
Machine = dict[str, Any]


def where() -> Path:
    """Return the file with the list."""
    return Path(os.environ.get("MACHINES") or f"{os.environ.get('BEANFT_STATE')}/machines.yml")


def problem(name: object, machine: object) -> str:
    """Return what is wrong with a machine, or ''."""
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9]*", name):
        return f"'{name}' is no name of a machine: use lower-case letters and digits, as m1"
    if not isinstance(machine, dict) or not isinstance(machine.get("address"), str):
        return f"{name} has no address"
    if unknown := sorted(set(machine) - {*KEYS, "groups"}):
        return f"{name} has '{unknown[0]}': a machine has {', '.join([*KEYS, 'groups'])}"
    groups = machine.get("groups")
    if not isinstance(groups, list) or not groups or not set(groups) <= set(GROUPS):
        return f"groups of {name} are {groups}: a list of {', '.join(GROUPS)}"
    return ""


def read(content: object) -> tuple[dict[str, Machine], dict[str, Any]]:
    """Return the machines and the variables in a file's content.

    Raises:
        ValueError: something in it is wrong; the message says what.
    """
    parts = content if isinstance(content, dict) else {}
    if not parts or set(parts) - {"machines", "variables"}:
        raise ValueError("it has 'machines' and may have 'variables', and nothing else")
    machines, variables = parts.get("machines"), parts.get("variables") or {}
    if not isinstance(machines, dict) or not isinstance(variables, dict):
        raise ValueError("'machines' and 'variables' are mappings, by name")
    for name, machine in machines.items():
        if said := problem(name, machine):
            raise ValueError(said)
    return machines, variables


def variables_of(machine: Machine) -> dict[str, Any]:
    """Return a machine's variables."""
    usual = {"inside": machine["address"], "user": "deploy", "http_port": 80}
    return {
        variable: str(value) if key == "http_port" else value
        for key, variable in KEYS.items()
        if (value := machine.get(key, usual.get(key))) is not None
    }


class InventoryModule(BaseInventoryPlugin):
    """The plugin."""

    NAME = "static_machines"

    def verify_file(self, path: str) -> bool:
        """Tell whether a file is one of this plugin."""
        return bool(super().verify_file(path) and path.endswith("static.yml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Fill the inventory."""
        super().parse(inventory, loader, path, cache)
        file, environment = where(), os.environ.get("BEANFT_ENVIRONMENT")
        if not file.exists():
            Display().warning(
                f"there is no {file}: docs/operations.md, 'Machines of your own', has an example"
            )
            return
        try:
            content = loader.load_from_file(str(file), cache="none", trusted_as_template=True)
            machines, variables = read(content)
        except ValueError as error:
            raise AnsibleParserError(f"{file}: {error}") from None
        for name, machine in machines.items():
            host = f"beanft-{environment}-{name}"
            for group in ("machines", *machine["groups"]):
                self.inventory.add_host(host, group=self.inventory.add_group(group))
            own = {
                "beanft_name": host,
                "beanft_environment": environment,
                "beanft_machine": name,
            }
            for key, value in {**variables, **own, **variables_of(machine)}.items():
                self.inventory.set_variable(host, key, value)
        # For what runs on this machine.
        for key, value in variables.items():
            self.inventory.set_variable("all", key, value)

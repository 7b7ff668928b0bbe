"""Action plugin: refuses variables that begin as a role's own and that no role knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.plugins.action import ActionBase

DOCUMENTATION = r"""
name: known_variables
short_description: Refuse unknown variables of roles
description:
  - Looks at what every host of the inventory has been given, by group, by host or on the command line. A name that
    begins with that of a role and is in no C(argument_specs.yml) is a typing error, and one that has been renamed has
    no effect any more. Both fail here, before anything is changed.
  - Leaves the fact C(variables_are_known). Later in a run, hosts also have what the roles themselves have set.
options:
  roles:
    description: Folder of the roles.
    type: path
    required: true
  names:
    description: File with old and new names (C(renamed)), and names that are no role's (C(foreign)).
    type: path
    required: true
"""

Names = Mapping[str, Iterable[str]]


def options_of(roles: Path) -> dict[str, set[str]]:
    """Return the variables that each role declares, of all its entry points."""
    found: dict[str, set[str]] = {}
    for path in sorted(roles.glob("*/meta/argument_specs.yml")):
        specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
        found[path.parents[1].name] = {
            name for spec in specs.values() for name in (spec or {}).get("options") or {}
        }
    return found


def problem(name: str, options: Mapping[str, set[str]], renamed: Mapping[str, str]) -> str:
    """Return what is wrong with a variable's name, or ''."""
    if name in renamed:
        return f"{name} is called {renamed[name]} now"
    known = set().union(*options.values())
    role = max((role for role in options if name.startswith(f"{role}_")), key=len, default="")
    if not role or name in known:
        return ""
    nearest = difflib.get_close_matches(name, sorted(options[role]), 1, 0.6)
    hint = (
        f"did you mean {nearest[0]}?" if nearest else f"ansible/roles/{role}/README.md lists them"
    )
    return f"{name} is no variable of role {role}: {hint}"


def problems(
    hosts: Names, options: Mapping[str, set[str]], renamed: Mapping[str, str]
) -> list[str]:
    """Return what is wrong with the hosts' variables, each with where it is, and once."""
    where: dict[str, list[str]] = {}
    for host, names in hosts.items():
        for name in names:
            if said := problem(name, options, renamed):
                where.setdefault(said, []).append(host)
    return [f"{said} ({', '.join(sorted(hosts))})" for said, hosts in sorted(where.items())]


class ActionModule(ActionBase):
    """The action."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Look at every host's variables."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "roles": {"type": "path", "required": True},
                "names": {"type": "path", "required": True},
            }
        )
        hostvars = (task_vars or {})["hostvars"]
        names = yaml.safe_load(Path(arguments["names"]).read_text(encoding="utf-8"))
        # Names only: a value may not be ready to be looked at, or be a secret.
        hosts = {host: set(hostvars.raw_get(host)) - set(names["foreign"]) for host in hostvars}
        found = problems(hosts, options_of(Path(arguments["roles"])), names["renamed"])
        if found:
            return {"failed": True, "msg": "unknown variables: " + "; ".join(found)}
        return {"changed": False, "ansible_facts": {"variables_are_known": True}}

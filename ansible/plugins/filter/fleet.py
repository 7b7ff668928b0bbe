"""Filters that make machines and subnets of what an environment's fleet is said to be."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from typing import Any

from ansible.errors import AnsibleFilterError

GROUPS = ("managers", "workers", "edge", "data", "monitoring", "jenkins")
SIZES = ("small", "medium", "large")
USUAL: dict[str, Any] = {"count": 1, "size": "small", "disk_gb": 30}
SMALLEST_DISK_GB = 10
STOPPED = ("stopping", "stopped")


def problem(letter: object, kind: object) -> str:
    """Return what is wrong with one kind of machines, or ''."""
    if not isinstance(letter, str) or not re.fullmatch("[a-z]{1,10}", letter):
        return f"'{letter}' is no beginning of machines' names: use lower-case letters, as m"
    if not isinstance(kind, dict) or not kind.get("groups"):
        return f"{letter} has no groups"
    if unknown := sorted(set(kind) - {*USUAL, "groups"}):
        return f"{letter} has '{unknown[0]}': it can have groups, {', '.join(USUAL)}"
    if not isinstance(kind["groups"], list) or not set(kind["groups"]) <= set(GROUPS):
        return f"groups of {letter} are {kind['groups']}: a list of {', '.join(GROUPS)}"
    values = {**USUAL, **kind}
    for name, least in (("count", 0), ("disk_gb", SMALLEST_DISK_GB)):
        value = values[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            return f"{name} of {letter} is {value!r}: a whole number, {least} or more"
    if values["size"] not in SIZES:
        return f"size of {letter} is {values['size']!r}: {', '.join(SIZES)}"
    return ""


def fleet_machines(fleet: object, environment: str) -> list[dict[str, Any]]:
    """Return the machines of a fleet, in the order in which they are described.

    Args:
        fleet: kinds of machines by the beginning of their names: C(groups), C(count), C(size), C(disk_gb).
        environment: the environment, which is a part of machines' names.

    Raises:
        AnsibleFilterError: it can't be; the message says why.
    """
    if not isinstance(fleet, dict) or not fleet:
        raise AnsibleFilterError(f"the fleet of {environment} is described by nothing: set fleet")
    machines: list[dict[str, Any]] = []
    for letter, kind in fleet.items():
        if said := problem(letter, kind):
            raise AnsibleFilterError(f"the fleet of {environment}: {said}")
        values = {**USUAL, **kind}
        machines += [
            {
                "name": f"beanft-{environment}-{letter}{number}",
                "short": f"{letter}{number}",
                # Those of a kind go to one zone after the other.
                "zone": number - 1,
                **{key: values[key] for key in ("groups", "size", "disk_gb")},
            }
            for number in range(1, values["count"] + 1)
        ]
    count = Counter(group for machine in machines for group in machine["groups"])
    if count["managers"] not in (1, 3, 5):
        raise AnsibleFilterError(
            f"the fleet of {environment} has {count['managers']} managers: 1, 3 or 5 keep a majority"
        )
    if count["data"] > 1:
        raise AnsibleFilterError(
            f"the fleet of {environment} has {count['data']} machines with data: there can be one"
        )
    if not count["edge"]:
        raise AnsibleFilterError(f"the fleet of {environment} has no machine in the group edge")
    # SQLite and the release records are on the first manager.
    first = min(machine["name"] for machine in machines if "managers" in machine["groups"])
    for machine in machines:
        machine["has_data"] = "data" in machine["groups"] or machine["name"] == first
    return machines


def fleet_changes(
    wanted: list[dict[str, Any]],
    there: dict[str, str],
    fixed: list[str],
    network: bool,
) -> list[str]:
    """Return what has to be made, started and removed, a line each, for a person to agree to.

    Args:
        wanted: machines as C(fleet_machines) makes them; none where everything is to go.
        there: the state of each machine that there is, by name.
        fixed: machines for which there are fixed addresses.
        network: whether there is a network.
    """
    names = [machine["name"] for machine in wanted]
    edge = [machine["name"] for machine in wanted if "edge" in machine["groups"]]
    lines = [] if network or not wanted else ["make    network"]
    lines += [
        f"make    {machine['name']}, {machine['size']}, {machine['disk_gb']} GB: "
        + ", ".join(machine["groups"])
        for machine in wanted
        if machine["name"] not in there
    ]
    lines += [f"make    fixed address of {name}" for name in edge if name not in fixed]
    lines += [f"start   {name}" for name in names if there.get(name, "running") in STOPPED]
    lines += [f"remove  {name}" for name in sorted(set(there) - set(names))]
    lines += [f"remove  fixed address of {name}" for name in sorted(set(fixed) - set(edge))]
    return lines + (["remove  network"] if network and not wanted else [])


def fleet_subnets(network: str, count: int) -> list[str]:
    """Return the first subnets of a network, each a sixteenth of it."""
    try:
        parts = ipaddress.ip_network(network).subnets(prefixlen_diff=4)
    except ValueError as error:
        raise AnsibleFilterError(f"'{network}' is no network: {error}") from None
    return [str(next(parts)) for _ in range(count)]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, object]:
        """Return the filters by name."""
        return {
            "fleet_machines": fleet_machines,
            "fleet_changes": fleet_changes,
            "fleet_subnets": fleet_subnets,
        }

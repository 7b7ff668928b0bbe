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
SCALING: dict[str, Any] = {"min": 0, "max": 1, "size": "small", "disk_gb": 30, "cpu_percent": 60}
DATABASE: dict[str, Any] = {"size": "small", "disk_gb": 20, "zones": 1}
# A disk of gp3 has at least 20 GB at RDS, and from 400 on other limits, which have to be bought.
DATABASE_DISK_GB = (20, 399)
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


def _whole(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def fleet_scaling(scaling: object, environment: str) -> dict[str, Any]:
    """Return what an environment's Auto Scaling group is, with what was not said; {} where there is none.

    Raises:
        AnsibleFilterError: it can't be; the message says why.
    """
    if not scaling:
        return {}
    said = ""
    if not isinstance(scaling, dict):
        said = f"it is {scaling!r}: use {', '.join(SCALING)}"
    elif unknown := sorted(set(scaling) - set(SCALING)):
        said = f"it has '{unknown[0]}': it can have {', '.join(SCALING)}"
    else:
        values = {**SCALING, **scaling}
        bounds = {
            "min": (0, 100),
            "max": (1, 100),
            "disk_gb": (SMALLEST_DISK_GB, 16384),
            "cpu_percent": (10, 90),
        }
        for name, (least, most) in bounds.items():
            if not _whole(values[name], least, most):
                said = f"{name} is {values[name]!r}: a whole number from {least} to {most}"
        if not said and values["min"] > values["max"]:
            said = f"min is {values['min']} and max is {values['max']}"
        if values["size"] not in SIZES:
            said = f"size is {values['size']!r}: {', '.join(SIZES)}"
    if said:
        raise AnsibleFilterError(f"the Auto Scaling group of {environment}: {said}")
    return {**SCALING, **scaling}  # type: ignore[dict-item]


def fleet_scaling_changes(wanted: dict[str, Any], groups: list[dict[str, Any]]) -> list[str]:
    """Return what has to be done about an Auto Scaling group, a line each, for a person to agree to.

    Args:
        wanted: what C(fleet_scaling) returns.
        groups: the one that there is, or none, as the cloud shows it.
    """
    if not groups:
        if not wanted:
            return []
        number = f"{wanted['min']} to {wanted['max']} machines"
        return [
            f"make    Auto Scaling group, {number}, {wanted['size']}, {wanted['disk_gb']} GB each"
        ]
    there = groups[0]
    if not wanted:
        return [f"remove  Auto Scaling group and its {len(there['instances'])} machines"]
    now, then = (there["min_size"], there["max_size"]), (wanted["min"], wanted["max"])
    if now == then:
        return []
    return ["change  Auto Scaling group from {} to {} machines into {} to {}".format(*now, *then)]


def fleet_database(database: object, environment: str, zones: int) -> dict[str, Any]:
    """Return what an environment's managed database is, with what was not said; {} where there is none.

    Args:
        database: what was said.
        environment: the environment.
        zones: over how many zones its network is.

    Raises:
        AnsibleFilterError: it can't be; the message says why.
    """
    if not database:
        return {}
    said = ""
    if not isinstance(database, dict):
        said = f"it is {database!r}: use {', '.join(DATABASE)}"
    elif unknown := sorted(set(database) - set(DATABASE)):
        said = f"it has '{unknown[0]}': it can have {', '.join(DATABASE)}"
    else:
        values = {**DATABASE, **database}
        for name, (least, most) in {"disk_gb": DATABASE_DISK_GB, "zones": (1, 2)}.items():
            if not _whole(values[name], least, most):
                said = f"{name} is {values[name]!r}: a whole number from {least} to {most}"
        if values["size"] not in SIZES:
            said = f"size is {values['size']!r}: {', '.join(SIZES)}"
        # Also where it is in one: it might move.
        if zones < 2:
            said = "its network has to be over two zones or three"
    if said:
        raise AnsibleFilterError(f"the database of {environment}: {said}")
    return {**DATABASE, **database}  # type: ignore[dict-item]


def _database_words(size: object, disk_gb: int, zones: int) -> str:
    return f"{size}, {disk_gb} GB, {zones} zone{'s' if zones > 1 else ''}"


def fleet_database_changes(
    wanted: dict[str, Any], there: dict[str, Any], types: dict[str, str]
) -> list[str]:
    """Return what has to be done about a managed database, a line each, for a person to agree to.

    Args:
        wanted: what C(fleet_database) returns.
        there: the one that there is, as the cloud shows it, or {}.
        types: the cloud's names of sizes.

    Raises:
        AnsibleFilterError: it can't be made of the one that there is.
    """
    if not wanted:
        return []
    then = _database_words(*(wanted[name] for name in DATABASE))
    if not there:
        return [f"make    database, {then}"]
    # What was agreed to and has not happened yet is no other change.
    has = {**there, **there.get("pending_modified_values", {})}
    if wanted["disk_gb"] < has["allocated_storage"]:
        raise AnsibleFilterError(
            f"the database has a disk of {has['allocated_storage']} GB, which can't shrink to {wanted['disk_gb']}"
        )
    sizes = {kind: size for size, kind in types.items()}
    kind = has["db_instance_class"]
    now = _database_words(
        sizes.get(kind, kind), has["allocated_storage"], 2 if has["multi_az"] else 1
    )
    return [] if now == then else [f"change  database from {now} into {then}, at once"]


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
            "fleet_scaling": fleet_scaling,
            "fleet_scaling_changes": fleet_scaling_changes,
            "fleet_database": fleet_database,
            "fleet_database_changes": fleet_database_changes,
            "fleet_subnets": fleet_subnets,
        }

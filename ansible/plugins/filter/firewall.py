"""Filters about ports: what is declared for a machine, whether it makes sense, and what a scan found beside it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Rule = Mapping[str, Any]
# The group of all machines.
FLEET = "machines"
ANYWHERE = "anywhere"
PROTOCOLS = ("tcp", "udp")
# It becomes a comment in nftables' own quotes.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ,.'()/_-]{0,99}")
HEAD = ("machine", "port", "declared as", "listens", "from outside")


# ------------------------------------------------------------------ declared
def _address(machine: str, hostvars: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a machine's address among the others, from the inventory or else from its facts."""
    known = hostvars[machine]
    facts = known.get("ansible_facts") or {}
    found = known.get("beanft_address") or (facts.get("default_ipv4") or {}).get("address")
    if not found:
        raise AnsibleFilterError(
            f"the address of {machine} is not known, and without it the firewall would shut that machine out: "
            "set beanft_address for it in the inventory, or run without --limit when it answers"
        )
    return str(found)


def _sources(
    port: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    nodes: Iterable[str],
) -> list[str]:
    """Return the networks that may connect to a port; none means anywhere."""
    source = port["from"]
    if isinstance(source, str):
        if source == ANYWHERE:
            return []
        if source not in groups:
            raise AnsibleFilterError(
                f"port {port['port']} ({port['name']}) is open from '{source}': use anywhere, a group "
                f"({', '.join(sorted(groups))}) or a list of networks"
            )
        found = {_address(machine, hostvars) for machine in groups[source]}
        if source == FLEET:
            found |= set(nodes)
        if not found:
            raise AnsibleFilterError(
                f"port {port['port']} ({port['name']}) is open from group '{source}', which is empty"
            )
        return sorted(found)
    if not source:
        raise AnsibleFilterError(
            f"port {port['port']} ({port['name']}) is open from an empty list: use anywhere, or name networks"
        )
    return [str(network) for network in source]


def firewall_rules(
    ports: Iterable[Mapping[str, Any]],
    machine: str,
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
    nodes: Iterable[str] = (),
) -> list[dict[str, Any]]:
    """Return the rules of one machine's firewall.

    Args:
        ports: each with ``name``, ``port``, ``protocol``, ``groups`` that it is open on, and ``from``: anywhere, a
            group, or a list of networks.
        machine: whose rules.
        groups: the inventory's groups.
        hostvars: what is known of each machine.
        nodes: addresses that belong to the fleet although the inventory does not show their machines now.

    Raises:
        AnsibleFilterError: a group or an address is not known.
    """
    rules = []
    # Asked for once each: a machine's variables cost a fraction of a millisecond, and this is every machine's of each.
    of_groups: dict[str, list[str]] = {}
    for port in ports:
        missing = [key for key in ("name", "port", "protocol", "groups", "from") if key not in port]
        if missing:
            raise AnsibleFilterError(f"a declared port has no {', '.join(missing)}: {dict(port)}")
        if not any(machine in groups.get(group, ()) for group in port["groups"]):
            continue
        source = port["from"]
        if not isinstance(source, str):
            sources = _sources(port, groups, hostvars, nodes)
        elif source in of_groups:
            sources = of_groups[source]
        else:
            sources = of_groups[source] = _sources(port, groups, hostvars, nodes)
        rules.append(
            {
                "name": port["name"],
                "port": port["port"],
                "protocol": port["protocol"],
                "from": list(sources),
                # Its containers are this machine to all others, so they are to itself.
                "containers": isinstance(source, str) and machine in groups.get(source, ()),
            }
        )
    return rules


# --------------------------------------------------------------------- sense
def networks(values: Iterable[str], version: int) -> list[str]:
    """Return the networks of one version of IP, without those that others contain."""
    found = [ipaddress.ip_network(str(value), strict=False) for value in values]
    collapsed: Iterable[Network] = ipaddress.collapse_addresses(
        network
        for network in found
        if network.version == version  # type: ignore[type-var]
    )
    return [str(network).removesuffix("/32" if version == 4 else "/128") for network in collapsed]


def _matches(source: Iterable[str], address: str) -> bool:
    """Return whether an address is in one of the networks; no networks are all of them."""
    wanted = ipaddress.ip_address(address.split("%")[0])
    known = [ipaddress.ip_network(str(value), strict=False) for value in source]
    return not known or any(
        network.version == wanted.version and wanted in network for network in known
    )


def _admits(rules: Iterable[Rule], port: int, protocol: str, address: str) -> str | None:
    """Return the name of the rule that lets an address connect to a port."""
    for rule in rules:
        is_it = (rule["port"], rule.get("protocol", "tcp")) == (port, protocol)
        if is_it and _matches(rule.get("from") or [], address):
            return str(rule["name"])
    return None


def _problems_of(rule: Rule) -> list[str]:
    """Return what is wrong with one rule."""
    name = str(rule["name"])
    problems = []
    if not NAME.fullmatch(name):
        problems.append(f"name '{name}': use letters, digits, blanks and , . ' ( ) / _ -")
    if not 1 <= int(rule["port"]) <= 65535:
        problems.append(f"'{name}': port {rule['port']} is none: use 1 to 65535")
    for value in rule.get("from") or []:
        try:
            ipaddress.ip_network(str(value), strict=False)
        except ValueError:
            problems.append(
                f"'{name}': '{value}' in from is no address or network: use one as 192.0.2.0/24"
            )
    return problems


def firewall_problems(rules: Iterable[Rule], connection: str = "") -> list[str]:
    """Return what is wrong with rules, in sentences.

    Args:
        rules: the role's ``firewall_rules``.
        connection: what sshd puts into SSH_CONNECTION, nothing where the run came another way.
    """
    rules = list(rules)
    problems = [problem for rule in rules for problem in _problems_of(rule)]
    if connection and not problems:
        client, _, _, port = connection.split()
        if not _admits(rules, int(port), "tcp", client):
            problems.append(
                f"they would cut the SSH connection of this run: let {client} connect to port {port}/tcp"
            )
    return problems


# ---------------------------------------------------------------------- scan
def _is_loopback(address: str) -> bool:
    bare = address.replace("[", "").replace("]", "").split("%")[0]
    return bare != "*" and ipaddress.ip_address(bare).is_loopback


def _listeners(sockets: str) -> dict[tuple[str, int], set[str]]:
    """Return who listens on more than loopback, from what ss prints: programs by protocol and port."""
    found: dict[tuple[str, int], set[str]] = {}
    for line in sockets.splitlines():
        cells = line.split(None, 6)
        address, port = cells[4].rsplit(":", 1)
        if not _is_loopback(address):
            # No process has those of the kernel itself, as that of overlay networks.
            names = re.findall(r'"([^"]*)",pid=', cells[6] if len(cells) > 6 else "")
            found.setdefault((cells[0], int(port)), set()).update(names or ["the kernel"])
    return found


def scan_ports(
    scan: Mapping[str, Any], rules: Iterable[Rule], sockets: str
) -> list[dict[str, Any]]:
    """Return a machine's ports: those that are declared, that are open, or that somebody listens on for UDP.

    Args:
        scan: what ``port_scan`` found: ``open``, ``source``, ``is_udp_filtered``.
        rules: the machine's rules.
        sockets: what ``ss`` prints there of who listens, without a header. For UDP it is all there is, since a
            connection from outside proves nothing.
    """
    rules = list(rules)
    listeners = _listeners(sockets)
    keys = {(str(rule["protocol"]), int(rule["port"])) for rule in rules}
    keys |= {("tcp", int(port)) for port in scan["open"]}
    keys |= {key for key in listeners if key[0] == "udp"}
    ports = []
    for protocol, port in sorted(keys, key=lambda key: (key[1], key[0])):
        admitted = _admits(rules, port, protocol, scan["source"])
        listens = sorted(listeners.get((protocol, port), ()))
        if protocol == "tcp":
            is_open = port in scan["open"]
        else:
            is_open = bool(listens) and (bool(admitted) or not scan["is_udp_filtered"])
        named = [
            str(rule["name"])
            for rule in rules
            if (rule["protocol"], rule["port"]) == (protocol, port)
        ]
        ports.append(
            {
                "port": port,
                "protocol": protocol,
                "declared": named[0] if named else "",
                "listens": ", ".join(listens),
                "open": is_open,
                "allowed": not is_open or admitted is not None,
            }
        )
    return ports


def scan_undeclared(machines: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[str]:
    """Return the open ports that nobody declared, each as a few words."""
    return [
        f"{machine.rsplit('-', 1)[-1]} {port['port']}/{port['protocol']}"
        + (f" ({port['listens']})" if port["listens"] else "")
        for machine, ports in sorted(machines.items())
        for port in ports
        if not port["allowed"]
    ]


def scan_table(machines: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[str]:
    """Return the ports of all machines as aligned lines."""
    rows = [HEAD]
    for machine, ports in sorted(machines.items()):
        for port in ports:
            rows.append(
                (
                    machine.rsplit("-", 1)[-1],
                    f"{port['port']}/{port['protocol']}",
                    port["declared"] or "-",
                    port["listens"] or "nobody",
                    "closed"
                    if not port["open"]
                    else "open"
                    if port["allowed"]
                    else "OPEN, NOT DECLARED",
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, object]:
        """Return the filters by name."""
        return {
            "firewall_rules": firewall_rules,
            "firewall_problems": firewall_problems,
            "networks": networks,
            "scan_ports": scan_ports,
            "scan_undeclared": scan_undeclared,
            "scan_table": scan_table,
        }

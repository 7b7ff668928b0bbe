"""Ports: what is declared becomes rules, rules that make no sense are named, and a scan finds what is open beside."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

ROOT = Path(__file__).parents[2]
GROUPS = {
    "machines": ["x-m1", "x-m2", "x-m3"],
    "managers": ["x-m1"],
    "workers": ["x-m2", "x-m3"],
    "edge": ["x-m1", "x-m2"],
    "data": [],
}
HOSTVARS: dict[str, dict[str, Any]] = {
    "x-m1": {"beanft_address": "10.1.0.11"},
    "x-m2": {"ansible_facts": {"default_ipv4": {"address": "10.1.0.12"}}},
    "x-m3": {"beanft_address": "10.1.0.13", "ansible_facts": {}},
}
SSH = {"name": "SSH", "port": 22, "protocol": "tcp"}
Filter = Callable[..., Any]


def port(**values: Any) -> dict[str, Any]:
    return {**SSH, "groups": ["machines"], "from": "anywhere", **values}


@pytest.fixture
def filters(plugin: Callable[[str], ModuleType]) -> dict[str, Filter]:
    return dict(plugin("filter/firewall").FilterModule().filters())


@pytest.fixture
def rules(filters: dict[str, Filter]) -> Filter:
    """Return a function that makes the rules of a machine."""

    def act(*ports: dict[str, Any], machine: str = "x-m1", **values: Any) -> Any:
        known = {"groups": GROUPS, "hostvars": HOSTVARS, **values}
        return filters["firewall_rules"](ports, machine, **known)

    return act


# ------------------------------------------------------------------ declared
def test_a_port_is_open_on_its_groups_machines(rules: Filter) -> None:
    web = port(name="web", port=80, groups=["edge"])
    assert rules(port(), web) == [
        {**SSH, "from": [], "containers": False},
        {"name": "web", "port": 80, "protocol": "tcp", "from": [], "containers": False},
    ]
    assert [rule["port"] for rule in rules(port(), web, machine="x-m3")] == [22]


def test_a_port_is_open_to_a_group_with_its_containers(rules: Filter) -> None:
    gossip = port(port=7946, **{"from": "machines"})
    (rule,) = rules(gossip)
    assert rule["from"] == ["10.1.0.11", "10.1.0.12", "10.1.0.13"]
    assert rule["containers"]
    (rule,) = rules(port(**{"from": "managers"}), machine="x-m2")
    assert (rule["from"], rule["containers"]) == (["10.1.0.11"], False)


def test_machines_that_are_down_stay_in_the_fleet(rules: Filter) -> None:
    (rule,) = rules(port(**{"from": "machines"}), nodes=["10.1.0.12", "10.1.0.14"])
    assert rule["from"] == ["10.1.0.11", "10.1.0.12", "10.1.0.13", "10.1.0.14"]
    # They are in no other group.
    assert rules(port(**{"from": "edge"}), nodes=["10.1.0.14"])[0]["from"] == [
        "10.1.0.11",
        "10.1.0.12",
    ]


def test_networks_are_taken_as_they_are(rules: Filter) -> None:
    (rule,) = rules(port(**{"from": ["192.0.2.0/24"]}))
    assert (rule["from"], rule["containers"]) == (["192.0.2.0/24"], False)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"from": "home"}, r"port 22 \(SSH\) is open from 'home': use anywhere, a group \(data,"),
        ({"from": "data"}, "from group 'data', which is empty"),
        ({"from": []}, "from an empty list"),
        (
            {"hostvars": {**HOSTVARS, "x-m2": {}}, "from": "machines"},
            "address of x-m2 is not known",
        ),
    ],
)
def test_what_can_not_be_right_is_refused(
    rules: Filter, values: dict[str, Any], words: str
) -> None:
    known = {key: values.pop(key) for key in ("hostvars",) if key in values}
    with pytest.raises(AnsibleFilterError, match=words):
        rules(port(**values), **known)


def test_what_is_missing_is_named(rules: Filter) -> None:
    with pytest.raises(AnsibleFilterError, match="a declared port has no groups, from"):
        rules({**SSH})


def test_the_projects_own_ports_make_rules_on_every_machine(filters: dict[str, Filter]) -> None:
    text = (ROOT / "ansible/playbooks/vars/ports.yml").read_text(encoding="utf-8")
    ports = yaml.safe_load(text)["beanft_ports"]
    # Ansible fills these in.
    ports[0]["from"] = "anywhere"
    next(port for port in ports if port["name"] == "PostgreSQL")["groups"] = ["data"]
    groups = {**GROUPS, "data": ["x-m3"]}
    opened = {
        machine: {
            (rule["port"], rule["protocol"])
            for rule in filters["firewall_rules"](ports, machine, groups, HOSTVARS)
            if rule["protocol"] == "tcp"
        }
        for machine in groups["machines"]
    }
    swarm = {(22, "tcp"), (7946, "tcp")}
    assert opened == {
        "x-m1": {*swarm, (2377, "tcp"), (80, "tcp"), (443, "tcp")},
        "x-m2": {*swarm, (80, "tcp"), (443, "tcp")},
        "x-m3": {*swarm, (5432, "tcp"), (6379, "tcp")},
    }
    made = filters["firewall_rules"](ports, "x-m1", groups, HOSTVARS)
    assert filters["firewall_problems"](made, "192.0.2.7 50000 10.1.0.11 22") == []


def test_machines_figures_are_for_the_group_that_asks(filters: dict[str, Filter]) -> None:
    text = (ROOT / "ansible/playbooks/vars/ports.yml").read_text(encoding="utf-8")
    (figures,) = [item for item in yaml.safe_load(text)["beanft_ports"] if item["port"] == 9100]
    groups = {**GROUPS, "monitoring": ["x-m1"]}
    # As Ansible fills it in where the group has a machine.
    figures["groups"] = ["machines"]
    opened = {
        machine: [
            (rule["from"], rule["containers"])
            for rule in filters["firewall_rules"]([figures], machine, groups, HOSTVARS)
        ]
        for machine in ("x-m1", "x-m2")
    }
    assert opened == {"x-m1": [(["10.1.0.11"], True)], "x-m2": [(["10.1.0.11"], False)]}


# --------------------------------------------------------------------- sense
@pytest.mark.parametrize(
    ("values", "version", "expected"),
    [
        (["10.0.0.0/8", "10.1.0.0/16", "192.0.2.1"], 4, ["10.0.0.0/8", "192.0.2.1"]),
        (["10.1.2.3/24", "2001:db8::1", "fe80::/10"], 4, ["10.1.2.0/24"]),
        (["10.1.2.3", "2001:db8::1", "fe80::/10"], 6, ["2001:db8::1", "fe80::/10"]),
        ([], 4, []),
    ],
)
def test_networks_by_version(
    filters: dict[str, Filter], values: list[str], version: int, expected: list[str]
) -> None:
    assert filters["networks"](values, version) == expected


@pytest.mark.parametrize(
    ("rules", "connection", "words"),
    [
        ([SSH], "192.0.2.7 50000 10.1.0.11 22", None),
        ([SSH], "", None),
        ([{"name": "web", "port": 80}], "", None),
        ([{**SSH, "from": ["192.0.2.0/24"]}], "192.0.2.7 50000 10.1.0.11 22", None),
        ([{**SSH, "from": ["fe80::/10"]}], "fe80::1%eth0 50000 fe80::2%eth0 22", None),
        ([{**SSH, "from": ["192.0.2.0/24"]}], "198.51.100.7 1 10.1.0.11 22", "let 198.51.100.7"),
        ([{**SSH, "from": ["192.0.2.0/24"]}], "fe80::1 1 fe80::2 22", "let fe80::1"),
        ([SSH], "192.0.2.7 50000 10.1.0.11 2222", "to port 2222/tcp"),
        ([{**SSH, "protocol": "udp"}], "192.0.2.7 50000 10.1.0.11 22", "would cut"),
        ([{**SSH, "port": 0}], "", "port 0 is none"),
        ([{**SSH, "name": 'a" drop'}], "", "use letters"),
        ([{**SSH, "from": ["here"]}], "192.0.2.7 50000 10.1.0.11 22", "'here' in from"),
    ],
)
def test_problems(
    filters: dict[str, Filter], rules: list[dict[str, Any]], connection: str, words: str | None
) -> None:
    found = filters["firewall_problems"](rules, connection)
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


# ---------------------------------------------------------------------- scan
RULES = [
    {**SSH, "from": []},
    {"name": "gossip", "port": 7946, "protocol": "tcp", "from": ["10.1.0.0/24"]},
    {"name": "gossip", "port": 7946, "protocol": "udp", "from": ["10.1.0.0/24"]},
]


def listens(
    number: int,
    address: str = "*",
    name: str = "python3",
    protocol: str = "tcp",
) -> str:
    """Say as ss does that somebody listens; without a name it is the kernel."""
    state = "LISTEN" if protocol == "tcp" else "UNCONN"
    process = f'users:(("{name}",pid=7,fd=3),("{name}",pid=8,fd=3))' if name else ""
    return (
        f"{protocol}   {state} 0      128          {address}:{number}      0.0.0.0:*    {process}\n"
    )


def scanned(*ports: int, source: str = "10.1.0.12", filtered: bool = True) -> dict[str, Any]:
    return {"open": list(ports), "source": source, "is_udp_filtered": filtered}


@pytest.fixture
def judge(filters: dict[str, Filter]) -> Filter:
    """Return a function that names what is open and not declared on a machine."""

    def act(scan: dict[str, Any], *sockets: str) -> Any:
        ports = filters["scan_ports"](scan, RULES, "".join(sockets))
        return filters["scan_undeclared"]({"x-m1": ports})

    return act


def test_what_is_declared_may_be_open(judge: Filter) -> None:
    assert judge(scanned(22, 7946), listens(7946, protocol="udp")) == []


def test_what_nobody_declared_may_not(judge: Filter) -> None:
    assert judge(scanned(22, 8100), listens(8100)) == ["m1 8100/tcp (python3)"]
    assert judge(scanned(22, 8100)) == ["m1 8100/tcp"]


def test_what_is_declared_for_others_may_not(judge: Filter) -> None:
    assert judge(scanned(22, 7946, source="192.0.2.7")) == ["m1 7946/tcp"]


def test_a_listener_for_udp_counts_where_nothing_filters(judge: Filter) -> None:
    mine = [
        listens(5353, "192.0.2.1%eth0", "avahi", "udp"),
        listens(323, "127.0.0.1", "chronyd", "udp"),
        listens(53, "127.0.0.53%lo", "resolved", "udp"),
        listens(323, "[::1]", "chronyd", "udp"),
    ]
    assert judge(scanned(22), *mine) == []
    assert judge(scanned(22, filtered=False), *mine) == ["m1 5353/udp (avahi)"]
    assert judge(scanned(22, filtered=False), listens(7946, "*", "dockerd", "udp")) == []
    linked = listens(546, "[fe80::1]%eth0", "dhclient", "udp")
    assert judge(scanned(22, filtered=False), linked) == ["m1 546/udp (dhclient)"]


def test_the_table(filters: dict[str, Filter]) -> None:
    sockets = [listens(22, name="sshd"), listens(8100), listens(68, "*", "", "udp")]
    ports = filters["scan_ports"](scanned(22, 8100), RULES, "".join(sockets))
    assert filters["scan_table"]({"x-m1": ports}) == [
        "machine  port      declared as  listens     from outside",
        "m1       22/tcp    SSH          sshd        open",
        "m1       68/udp    -            the kernel  closed",
        "m1       7946/tcp  gossip       nobody      closed",
        "m1       7946/udp  gossip       nobody      closed",
        "m1       8100/tcp  -            python3     OPEN, NOT DECLARED",
    ]


def listening_after(port: int) -> socket.socket:
    """Listen at one of the next ports: among thousands are those of programs that come and go."""
    for near in range(port + 2, port + 50):
        with contextlib.suppress(OSError):
            return socket.create_server(("127.0.0.1", near))
    raise AssertionError(f"no port after {port} is free")


def test_a_scan_finds_what_accepts_and_nothing_else(run: Any) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        listening_after(first.getsockname()[1]) as other,
    ):
        ports = [it.getsockname()[1] for it in (first, other)]
        result = run("port_scan", address="127.0.0.1", first=ports[0], last=ports[1])
        assert set(ports) <= set(result["open"])
        assert result["refused"] + len(result["open"]) == ports[1] - ports[0] + 1
        assert result["source"] == "127.0.0.1"
        # Nothing is between a machine and itself.
        assert result["is_udp_filtered"] is False
    closed = run("port_scan", address="127.0.0.1", first=ports[0], last=ports[0])
    assert (closed["open"], closed["refused"]) == ([], 1)


def test_a_scan_of_what_is_no_address_fails(run: Any) -> None:
    assert "could not be looked at" in run("port_scan", address="256.0.0.1")["msg"]


# --------------------------------------------------------------------- nodes
def test_nodes_that_are_down_have_their_address(docker: Any, run: Any) -> None:
    lines = [
        ["0.0.0.0", "10.1.0.11:2377"],  # noqa: S104 - what a leader says of itself
        ["10.1.0.12", "10.1.0.12:2377"],
        ["10.1.0.13", ""],
    ]
    docker.says(
        {
            "node ls": "a\nb\nc\n",
            "node inspect": "".join(" ".join(map(json.dumps, line)) + "\n" for line in lines),
        }
    )
    result = run("swarm_nodes")
    assert result["addresses"] == ["10.1.0.11", "10.1.0.12", "10.1.0.13"]
    assert not result["changed"]


def test_who_is_no_manager_knows_none(docker: Any, run: Any) -> None:
    docker.says(
        {"node ls": {"err": "Error response: This node is not a swarm manager.", "code": 1}}
    )
    assert run("swarm_nodes")["addresses"] == []

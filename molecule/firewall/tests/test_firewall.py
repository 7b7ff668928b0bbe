"""What a user of role firewall gets: what is declared is open, and nothing else is, whatever Docker publishes."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import BASE, Run, apply, load, machine, playbook
from testinfra.host import Host

testinfra_hosts = ["m1", "m2"]  # Debian 12 and 13
EVIDENCE = [
    "nft list table inet beanft",
    "iptables -t nat -S",
    "ss -lntup",
    "journalctl --unit nftables --lines 20 --no-pager",
]
SSH = {"name": "SSH", "port": 22}
# Undeclared.
LISTENER, PUBLISHED = 8100, 8101
# Declared for the fleet by converge.yml, and nobody listens.
FLEET = 8104
SERVER = """
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalPort => 8000, Listen => 20, ReuseAddr => 1) or die $!;
while (my $caller = $server->accept) { print $caller "here\n"; close $caller }
"""
OPEN, REFUSED, SILENT = "open", "refused", "silent"


def name_of(host: Host) -> str:
    """Return a machine's short name."""
    return str(host.backend.get_pytest_id()).removeprefix("ssh://")


def address_of(host: Host) -> str:
    """Return a machine's address among the machines."""
    line = host.check_output("ip -4 -oneline address show dev eth0")
    return str(line.split()[3].split("/")[0])


def asked(host: Host, address: str, port: int, *before: str) -> str:
    """Return what a machine, or a container of it, gets when it connects to a port."""
    connect = f"exec 3<>/dev/tcp/{address}/{port}"
    done = host.run(" ".join([*before, "timeout 2 bash -c %s"]), connect)
    return {0: OPEN, 1: REFUSED, 124: SILENT}[done.rc]


def asked_from_here(address: str, port: int) -> str:
    """Return what the control machine, which is none of the fleet, gets."""
    try:
        with socket.create_connection((address, port), timeout=2):
            return OPEN
    except TimeoutError:
        return SILENT
    except ConnectionRefusedError:
        return REFUSED


def settles_on(wanted: str, host: Host, address: str, port: int) -> str:
    """Ask until the answer is the wanted one, for half a minute at most; return the last answer."""
    deadline = time.monotonic() + 30
    while (answer := asked(host, address, port)) != wanted and time.monotonic() < deadline:
        time.sleep(0.5)
    return answer


def converge() -> Run:
    """Let the machines have the scenario's own rules."""
    return playbook(Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "converge.yml")


@pytest.fixture
def other() -> Host:
    """Return a machine that looks at the one under test from outside."""
    return machine("m3")


@pytest.fixture
def listener(host: Host) -> Iterator[int]:
    """Let a process listen on all addresses of the machine, on a port that nobody declared."""
    host.check_output(
        f"systemd-run --quiet --collect --unit listener python3 -m http.server {LISTENER}"
    )
    # It listens when it can be reached from the machine itself.
    assert settles_on(OPEN, host, "127.0.0.1", LISTENER) == OPEN
    yield LISTENER
    host.check_output("systemctl stop listener")


def publish(host: Host) -> int:
    """Let a container publish a port that nobody declared."""
    load(host, BASE)
    host.check_output(
        "docker run --detach --restart always --name published --publish %s:8000 %s perl -e %s",
        str(PUBLISHED),
        BASE,
        SERVER,
    )
    assert settles_on(OPEN, host, "127.0.0.1", PUBLISHED) == OPEN
    return PUBLISHED


@pytest.fixture
def published(host: Host) -> Iterator[int]:
    """Have a port that a container of the machine under test publishes."""
    yield publish(host)
    host.check_output("docker rm --force published")


# ------------------------------------------------------------------ declared
def test_ssh_is_open_to_everybody(host: Host, other: Host) -> None:
    assert asked(other, address_of(host), 22) == OPEN
    assert asked_from_here(address_of(host), 22) == OPEN


def test_what_is_for_the_fleet_is_open_to_the_fleet_alone(host: Host, other: Host) -> None:
    # Nobody listens: the machine says so to those that may ask.
    assert asked(other, address_of(host), FLEET) == REFUSED
    assert asked_from_here(address_of(host), FLEET) == SILENT


def test_a_listener_that_nobody_declared_is_closed(host: Host, other: Host, listener: int) -> None:
    assert asked(other, address_of(host), listener) == SILENT
    assert asked_from_here(address_of(host), listener) == SILENT
    assert asked(host, address_of(host), listener) == OPEN, "from the machine itself"


@pytest.fixture
def ipv6(host: Host, other: Host) -> Iterator[str]:
    """Turn IPv6 on, on both machines; return the address of the one under test."""
    files = [f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6" for name in ("lo", "eth0")]
    before = [(it, file, it.check_output(f"cat {file}")) for it in (host, other) for file in files]
    for it, file, _ in before:
        it.check_output("sh -c %s", f"echo 0 > {file}")
    show = "ip -6 -oneline address show dev eth0 scope link -tentative"
    deadline = time.monotonic() + 20
    while not (line := host.check_output(show)) and time.monotonic() < deadline:
        time.sleep(0.5)
    yield f"{line.split()[3].split('/')[0]}%eth0"
    for it, file, value in before:
        it.check_output("sh -c %s", f"echo {value} > {file}")


def test_the_same_by_ipv6(host: Host, other: Host, ipv6: str) -> None:
    server = f"systemd-run --quiet --collect --unit listener6 python3 -m http.server --bind :: {LISTENER}"
    host.check_output(server)
    try:
        assert settles_on(OPEN, host, "::1", LISTENER) == OPEN
        assert settles_on(OPEN, other, ipv6, 22) == OPEN
        assert asked(other, ipv6, LISTENER) == SILENT
    finally:
        host.check_output("systemctl stop listener6")


# -------------------------------------------------------------------- Docker
def test_a_published_port_is_closed_until_it_is_declared(other: Host) -> None:
    hosts = [machine(name) for name in testinfra_hosts]
    addresses = [address_of(host) for host in hosts]

    def outside() -> set[tuple[str, str]]:
        """Ask from another machine, and from where none of the fleet is."""
        return {
            (asked(other, address, PUBLISHED), asked_from_here(address, PUBLISHED))
            for address in addresses
        }

    try:
        for host in hosts:
            publish(host)
        assert outside() == {(SILENT, SILENT)}

        # One network contains the other, which nftables itself would refuse.
        some = [address_of(other), f"{address_of(other)}/31", "2001:db8::/32"]
        rule = {"name": "A test's, published", "port": PUBLISHED, "from": some}
        run = apply("firewall", variables={"firewall_rules": [SSH, rule]})
        assert run.messages == []
        changes = ["firewall : Rules", "firewall : Rules are in force"]
        assert run.changed == dict.fromkeys(("m1", "m2", "m3"), changes)
        assert outside() == {(OPEN, SILENT)}

        rule = {"name": "A test's, published", "port": PUBLISHED}
        assert apply("firewall", variables={"firewall_rules": [SSH, rule]}).messages == []
        assert outside() == {(OPEN, OPEN)}
    finally:
        for host in hosts:
            host.run("docker rm --force published")
        assert converge().messages == []


def test_a_containers_own_address_is_no_way_in(host: Host, other: Host, base_image: str) -> None:
    host.check_output("docker network create --subnet 172.31.77.0/24 lan")
    host.check_output(
        "docker run --detach --name inner --network lan --ip 172.31.77.10 --publish 8103:8000 %s perl -e %s",
        base_image,
        SERVER,
    )
    try:
        assert settles_on(OPEN, host, "172.31.77.10", 8000) == OPEN
        other.check_output(f"ip route add 172.31.77.0/24 via {address_of(host)}")
        try:
            assert asked(other, "172.31.77.10", 8000) == SILENT
        finally:
            other.check_output("ip route del 172.31.77.0/24")
    finally:
        host.check_output("docker rm --force inner")
        host.check_output("docker network rm lan")


def test_containers_reach_the_outside_and_of_their_machine_what_the_fleet_may(
    host: Host, other: Host, listener: int, base_image: str
) -> None:
    run = ["docker", "run", "--rm", base_image]
    assert asked(host, address_of(other), 22, *run) == OPEN
    # Nobody listens, and the container is told so.
    assert asked(host, address_of(host), FLEET, *run) == REFUSED
    assert asked(host, address_of(host), listener, *run) == SILENT


def test_containers_do_not_reach_the_machines_identity_at_its_cloud(
    host: Host, other: Host, base_image: str
) -> None:
    """A cloud answers there; here another machine does."""
    cloud = "169.254.169.254"
    run = ["docker", "run", "--rm", base_image]
    other.check_output(f"ip address add {cloud}/32 dev eth0")
    for chain in ("prerouting", "input"):
        other.check_output(f"nft insert rule inet beanft {chain} tcp dport '{{ 53, 80 }}' accept")
    for port in (53, 80):
        command = f"python3 -m http.server --bind {cloud} {port}"
        other.check_output(f"systemd-run --quiet --collect --unit cloud-{port} {command}")
    host.check_output(f"ip route add {cloud}/32 via {address_of(other)}")
    try:
        assert settles_on(OPEN, host, cloud, 80) == OPEN
        assert settles_on(OPEN, host, cloud, 53) == OPEN
        assert asked(host, cloud, 80, *run) == SILENT
        # Names are asked for at the same address.
        assert asked(host, cloud, 53, *run) == OPEN
    finally:
        host.check_output(f"ip route del {cloud}/32")
        other.check_output("systemctl stop cloud-53 cloud-80")
        other.check_output("systemctl restart nftables")
        other.check_output(f"ip address del {cloud}/32 dev eth0")


# ------------------------------------------------------------------ survives
def docker_rules(host: Host) -> list[str]:
    """Return the rules that Docker made."""
    rules = host.check_output("iptables -t nat -S; iptables -S")
    return sorted(line for line in str(rules).splitlines() if "DOCKER" in line)


def test_it_survives_docker_and_its_own_service(host: Host, other: Host, published: int) -> None:
    before = docker_rules(host)
    assert before
    for what in ("restart docker", "restart nftables", "reload nftables", "stop nftables"):
        host.check_output(f"systemctl {what}")
        assert settles_on(OPEN, host, "127.0.0.1", published) == OPEN, what
        assert docker_rules(host) == before, what
        assert asked(other, address_of(host), published) == SILENT, what
        assert asked(other, address_of(host), 22) == OPEN, what
    host.check_output("systemctl start nftables")


def wait_for_docker(host: Host) -> None:
    """Wait until a machine that boots has its engine."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        # SSH itself may fail, and testinfra then raises.
        with contextlib.suppress(RuntimeError):
            if host.run("docker info").rc == 0:
                return
        time.sleep(1)
    raise AssertionError("the engine is not up a minute after the boot")


def test_it_survives_a_boot(host: Host, other: Host, published: int) -> None:
    address = address_of(host)
    container = (
        f"{os.environ['BEANFT_CHECKOUT']}-{os.environ['BEANFT_ENVIRONMENT']}-{name_of(host)}"
    )
    subprocess.run(["docker", "restart", container], check=True, capture_output=True)
    assert settles_on(OPEN, other, address, 22) == OPEN
    wait_for_docker(host)
    assert settles_on(OPEN, host, "127.0.0.1", published) == OPEN
    assert asked(other, address, published) == SILENT
    assert host.service("nftables").is_enabled


# -------------------------------------------------------------- by hand, bad
def test_rules_changed_by_hand_are_a_change_to_be_mended(other: Host) -> None:
    deleted, opened = machine("m1"), machine("m2")
    for host in (deleted, opened):
        host.check_output(
            f"systemd-run --quiet --collect --unit listener python3 -m http.server {LISTENER}"
        )
    try:
        deleted.check_output("nft delete table inet beanft")
        opened.check_output(f"nft insert rule inet beanft prerouting tcp dport {LISTENER} accept")
        opened.check_output(f"nft insert rule inet beanft input tcp dport {LISTENER} accept")
        for host in (deleted, opened):
            assert settles_on(OPEN, other, address_of(host), LISTENER) == OPEN
        run = converge()
        mended = ["firewall : Rules are in force"]
        assert run.changed == {"m1": mended, "m2": mended}
        for host in (deleted, opened):
            assert asked(other, address_of(host), LISTENER) == SILENT
    finally:
        for host in (deleted, opened):
            host.run("systemctl stop listener")
        converge()


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([{"name": "web", "port": 80}], ["would cut the SSH connection of this run: let "]),
        (
            [{**SSH, "name": 'S"H'}, {"name": "web", "port": 70000, "from": ["home"]}],
            ["use letters, digits", "'web': port 70000 is none", "'home' in from is no address"],
        ),
        (
            [SSH, {"name": "web", "protocol": "sctp"}, {"name": "web", "port": 80, "form": []}],
            ["port", "tcp, udp", "form"],
        ),
    ],
)
def test_rules_that_make_no_sense_or_cut_ssh_are_refused(
    rules: list[dict[str, Any]], words: list[str]
) -> None:
    run = apply("firewall", variables={"firewall_rules": rules})
    assert run.code != 0
    assert run.changed == {}
    assert run.messages
    assert all(word in said for said in run.messages for word in words), run.messages

"""What a user of role swarm gets: one Swarm of all machines, labels, networks across machines."""

from __future__ import annotations

import json
import time

import pytest
from helpers import BASE, apply, load, machine
from testinfra.host import Host

testinfra_hosts = ["m1", "m2", "m3"]  # Debian 12, 13 and 13: engines of different age in one Swarm
EVIDENCE = [
    "journalctl --unit docker --lines 30 --no-pager",
    "docker node ls",
]

# Tells every caller on which machine it runs.
SERVER = """
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalPort => 8000, Listen => 20, ReuseAddr => 1) or die $!;
while (my $caller = $server->accept) { print $caller "$ENV{MACHINE}\n"; close $caller }
"""
# Asks every task that DNS knows.
CLIENT = """
for address in $(getent ahostsv4 tasks.rolltest | awk '/STREAM/ {print $1}' | sort -u); do
  exec 3<>/dev/tcp/$address/8000 && cat <&3
done
"""


@pytest.fixture
def m1() -> Host:
    """Return the first machine, for what is asked once and not of every machine."""
    return machine("m1")


def nodes_seen(host: Host) -> dict[str, dict[str, str]]:
    """Return what a manager knows of every node, by name."""
    lines = host.check_output("docker node ls --format '{{json .}}'").splitlines()
    return {node["Hostname"]: node for node in map(json.loads, lines)}


def test_every_machine_sees_three_reachable_managers(host: Host) -> None:
    nodes = nodes_seen(host)
    assert sorted(nodes) == ["m1", "m2", "m3"]
    assert {node["Status"] for node in nodes.values()} == {"Ready"}
    assert sorted(node["ManagerStatus"] for node in nodes.values()) == [
        "Leader",
        "Reachable",
        "Reachable",
    ]


def test_nodes_have_their_labels(host: Host) -> None:
    for name in testinfra_hosts:
        labels = host.check_output("docker node inspect --format '{{json .Spec.Labels}}' %s", name)
        assert json.loads(labels) == {"beanft.edge": "true", "beanft.test": "first"}


def test_network_is_there(host: Host) -> None:
    network = json.loads(host.check_output("docker network inspect beanft"))[0]
    assert (network["Driver"], network["Scope"]) == ("overlay", "swarm")
    assert network["IPAM"]["Config"][0]["Subnet"].startswith("10.")


def test_managers_listen_on_their_own_address_only(host: Host) -> None:
    sockets = host.check_output("ss --listening --tcp --numeric --no-header 'sport = :2377'")
    addresses = {line.split()[3] for line in sockets.splitlines()}
    own = host.check_output("ip -4 -oneline address show dev eth0").split()[3].split("/")[0]
    assert addresses == {f"{own}:2377"}


def test_a_container_that_is_gone_is_given_up_soon_after_a_boot_too(host: Host) -> None:
    """A caller of a published port learns within a second that nobody is there, and asks another machine."""
    setting = "/proc/sys/net/ipv4/neigh/docker_gwbridge/retrans_time_ms"
    assert host.file(setting).content_string.strip() == "200"
    # As after a boot: the kernel's own value, and the engine starts.
    host.check_output("echo 1000 >%s", setting)
    host.check_output("systemctl restart docker.service")
    assert host.file(setting).content_string.strip() == "200"
    # What is tested next wants all three; each manager learns of the others by itself.
    deadline = time.monotonic() + 60
    while True:
        seen = [
            node["Status"]
            for name in testinfra_hosts
            for node in nodes_seen(machine(name)).values()
        ]
        if seen == ["Ready"] * 9:
            return
        assert time.monotonic() < deadline, seen
        time.sleep(1)


def test_tasks_find_each_other_by_name_across_machines(m1: Host) -> None:
    for name in testinfra_hosts:
        load(machine(name), BASE)
    m1.check_output(
        "docker service create --detach --no-resolve-image --name rolltest --mode global "
        "--endpoint-mode dnsrr --network beanft --env MACHINE='{{.Node.Hostname}}' %s perl -e %s",
        BASE,
        SERVER,
    )
    try:
        container, answers = "", ""
        deadline = time.monotonic() + 60
        while answers.split() != testinfra_hosts and time.monotonic() < deadline:
            time.sleep(0.5)
            container = m1.check_output("docker ps --quiet --filter name=rolltest").strip()
            if container:
                asked = m1.run("docker exec %s timeout 10 bash -c %s", container, CLIENT)
                answers = "\n".join(sorted(asked.stdout.split()))
        tasks = m1.check_output("docker service ps --no-trunc rolltest")
        assert answers.split() == testinfra_hosts, f"{asked}\n{tasks}"
    finally:
        m1.check_output("docker service rm rolltest")


def test_another_label_changes_that_and_nothing_else(m1: Host) -> None:
    other = {"beanft.edge": "true", "beanft.test": "second"}
    try:
        run = apply("swarm", variables={"swarm_labels": other})
        assert run.messages == []
        # One task for all machines, which counts for one of them.
        assert list(run.changed.values()) == [["swarm : Labels of the nodes"]]
        for name in testinfra_hosts:
            labels = m1.check_output(
                "docker node inspect --format '{{json .Spec.Labels}}' %s", name
            )
            assert json.loads(labels) == other
    finally:
        first = {"beanft.edge": "true", "beanft.test": "first"}
        assert apply("swarm", variables={"swarm_labels": first}).code == 0


def test_an_even_number_of_managers_is_refused() -> None:
    run = apply("swarm", variables={"swarm_managers": ["one", "two"]})
    assert run.code != 0
    assert "2 managers: a Swarm wants 1, 3 or 5 of them in the group 'managers'" in run.messages[0]
    assert run.changed == {}

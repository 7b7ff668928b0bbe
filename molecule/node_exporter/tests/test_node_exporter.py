"""What a user of role node_exporter gets: figures of a machine, at one address, for who may ask."""

from __future__ import annotations

import re

import pytest
from helpers import apply, machine
from testinfra.host import Host

testinfra_hosts = ["m1", "m2"]  # Debian 12 and 13
EVIDENCE = ["journalctl --unit prometheus-node-exporter --lines 20 --no-pager"]
UNIT = "prometheus-node-exporter"
ADDRESS = {"node_exporter_address": "{{ beanft_address }}"}
TEXTS = "/var/lib/prometheus/node-exporter"


def own_address(host: Host) -> str:
    """Return a machine's address."""
    return str(host.check_output("ip -4 -oneline address show dev eth0").split()[3].split("/")[0])


def figures(host: Host, port: int = 9100) -> str:
    """Return what a machine says of itself to the other one."""
    fetch = (
        "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=10).read().decode())"
    )
    address = f"http://{own_address(host)}:{port}/metrics"
    other = "m2" if host.backend.get_pytest_id() == "ssh://m1" else "m1"
    return str(machine(other).check_output("python3 -c %s %s", fetch, address))


def listeners(host: Host) -> list[str]:
    """Return the addresses at which it listens."""
    found = host.check_output("ss --listening --tcp --numeric --processes --no-header")
    return [line.split()[3] for line in found.splitlines() if "prometheus-node" in line]


def test_another_machine_gets_its_figures(host: Host) -> None:
    said = figures(host)
    for name in (
        "node_time_seconds",
        "node_cpu_seconds_total",
        "node_memory_MemAvailable_bytes",
        "node_filesystem_avail_bytes",
        "node_vmstat_oom_kill",
        "node_network_receive_bytes_total",
    ):
        assert re.search(rf"^{name}[ {{]", said, re.M), name
    # Files that are mounted over others are no disks.
    assert not re.search(r'mountpoint="/(etc|proc|sys)', said)


def test_it_listens_at_one_address(host: Host) -> None:
    assert listeners(host) == [f"{own_address(host)}:9100"]


def test_it_may_do_nothing(host: Host) -> None:
    pid = host.check_output("systemctl show --property MainPID --value %s", UNIT)
    status = host.check_output("cat /proc/%s/status", pid.strip()).splitlines()
    fields = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    assert "0" not in fields["Uid"].split()
    assert int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"] == "1"


def test_it_hands_on_what_programs_wrote_for_it(host: Host) -> None:
    try:
        # Readable by the exporter, whatever umask role hardening left.
        written = "umask 022; echo 'beanft_test_value 42' > %s"
        host.check_output(written, f"{TEXTS}/test.prom")
        assert "\nbeanft_test_value 42\n" in figures(host)
    finally:
        host.check_output("rm -f %s", f"{TEXTS}/test.prom")


def test_it_is_there_after_a_boot_and_after_it_was_killed(host: Host) -> None:
    assert host.service(UNIT).is_enabled
    pid = "systemctl show --property MainPID --value %s"
    before = host.check_output(pid, UNIT)
    host.check_output("systemctl kill --signal KILL %s", UNIT)
    # The unit counts as active until systemd has noticed, and again before the port is open.
    address = f"{own_address(host)}/9100"
    another = f"[ $({pid % UNIT}) != {before} ] && exec 3<>/dev/tcp/{address}"
    waited = host.run("timeout 30 bash -c %s", f"until {another}; do sleep 0.5; done")
    assert waited.rc == 0, waited.stderr
    assert "node_time_seconds" in figures(host)


def test_another_port_changes_that_and_nothing_else() -> None:
    target = machine("m2")
    try:
        run = apply(
            "node_exporter", target="*-m2", variables={**ADDRESS, "node_exporter_port": 9101}
        )
        assert run.messages == []
        assert run.changed == {
            "m2": ["node_exporter : How it is run", "node_exporter : Restart node exporter"]
        }
        assert listeners(target) == [f"{own_address(target)}:9101"]
        assert "node_time_seconds" in figures(target, 9101)
    finally:
        assert apply("node_exporter", target="*-m2", variables=ADDRESS).code == 0


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"node_exporter_address": "0.0.0.0"},  # noqa: S104 - refused
        {"node_exporter_address": "m1"},
        {**ADDRESS, "node_exporter_port": 70000},
    ],
    ids=["none", "all", "name", "port"],
)
def test_what_would_not_work_is_refused(variables: dict[str, object]) -> None:
    run = apply("node_exporter", target="*-m1", variables=variables)
    assert run.code != 0
    assert run.changed == {}
    assert "name one IPv4 address of" in run.messages[0]

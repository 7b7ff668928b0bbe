"""What a user of role common gets: packages, the time zone, bounds on the journal."""

from __future__ import annotations

import re

from helpers import apply
from testinfra.host import Host

testinfra_hosts = ["m1", "m2"]  # Debian 12 and 13
EVIDENCE = ["journalctl --unit systemd-journald --lines 20 --no-pager"]


def test_packages_are_there(host: Host) -> None:
    for name in ("ca-certificates", "iproute2", "procps", "python3"):
        assert host.package(name).is_installed, name


def test_time_zone(host: Host) -> None:
    assert host.check_output("date +%Z") == "UTC"
    assert host.file("/etc/localtime").linked_to == "/usr/share/zoneinfo/Etc/UTC"


def test_journal_limit_is_in_force(host: Host) -> None:
    settings = host.check_output("systemd-analyze cat-config systemd/journald.conf").splitlines()
    # The last one counts.
    assert [line for line in settings if line.startswith("SystemMaxUse=")][
        -1
    ] == "SystemMaxUse=200M"
    assert [line for line in settings if line.startswith("Storage=")][-1] == "Storage=persistent"
    # What journald itself says, after it read that.
    said = host.check_output("journalctl --unit systemd-journald --output cat --no-pager")
    last = [line for line in said.splitlines() if line.startswith("System Journal (/var/log/")][-1]
    assert re.search(r", max 200(\.0)?M,", last), said


def test_journal_survives_a_restart_of_journald(host: Host) -> None:
    host.check_output("logger --tag role-test kept")
    host.check_output("systemctl restart systemd-journald")
    assert "kept" in host.check_output("journalctl --identifier role-test --no-pager")


def test_another_limit_changes_that_and_nothing_else() -> None:
    try:
        run = apply("common", variables={"common_journal_max_use": "100M"})
        assert run.messages == []
        changes = ["common : Journal limits", "common : Restart journald"]
        assert run.changed == dict.fromkeys(("m1", "m2", "m3"), changes)
    finally:
        assert apply("common").code == 0


def test_another_distribution_is_refused() -> None:
    ubuntu = {
        "distribution": "Ubuntu",
        "distribution_version": "24.04",
        "distribution_major_version": "24",
    }
    run = apply("common", made_up=ubuntu)
    assert run.code != 0
    assert run.changed == {}
    assert all(
        "runs Ubuntu 24.04: the roles support Debian 12 and 13" in said for said in run.messages
    )
    assert run.messages


def test_an_old_debian_is_refused() -> None:
    run = apply(
        "common", made_up={"distribution_version": "11", "distribution_major_version": "11"}
    )
    assert run.code != 0
    assert run.changed == {}
    assert "runs Debian 11: the roles support Debian 12 and 13" in run.messages[0]

"""What a user of role common gets: packages, users, time, updates, bounds on the journal."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from helpers import STATE, Run, apply, machine
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
        changes = ["common : Settings", "common : Restart journald"]
        assert run.changed == dict.fromkeys(("m1", "m2"), changes)
    finally:
        assert apply("common", tags="journal").code == 0


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


def test_time_is_kept_where_there_is_a_clock_to_keep(host: Host) -> None:
    assert host.package("systemd-timesyncd").is_installed
    assert host.service("systemd-timesyncd").is_enabled
    # A container's clock is its host's: the unit's own condition holds it back, and it does not fail.
    shown = host.check_output("systemctl show --property ActiveState --value systemd-timesyncd")
    assert shown == "inactive"


def test_security_updates_and_no_others(host: Host) -> None:
    codename = host.check_output(". /etc/os-release; echo $VERSION_CODENAME")
    run = host.run("unattended-upgrade --dry-run --debug")
    said = run.stdout + run.stderr
    allowed = re.search(r"^Allowed origins are: (.*)$", said, re.MULTILINE)
    assert allowed, said
    assert allowed[1] == f"origin=Debian,codename={codename}-security,label=Debian-Security"
    # A night's update does not restart the engine.
    held = re.search(r"^Initial blacklist: ?(.*)$", said, re.MULTILINE)
    assert held, said
    assert "docker" in held[1]
    assert "containerd" in held[1]
    settings = host.check_output("apt-config dump")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in settings
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in settings
    assert host.service("apt-daily-upgrade.timer").is_enabled


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key that no machine knows."""
    path = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ann", "-f", str(path)], check=True
    )
    return path


def login(key: Path, user: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Log in to m2 as somebody, with this key and no other."""
    options = ["-o", "ControlPath=none", "-o", "IdentityAgent=none", "-o", "BatchMode=yes"]
    config = key.with_name("config")
    # The scenario's own, without its key and user.
    config.write_text(
        "".join(
            line
            for line in (STATE / "ssh_config").read_text(encoding="utf-8").splitlines(True)
            if line.split()[:1] not in (["User"], ["IdentityFile"])
        ),
        encoding="utf-8",
    )
    return subprocess.run(
        ["ssh", "-F", str(config), "-i", str(key), *options, f"{user}@m2", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def apply_users(user: dict[str, Any]) -> Run:
    """Apply what the role does about users on m2."""
    variables = {"common_users": [user]}
    return apply("common", target="*-m2", tags="preflight,users", variables=variables)


def test_users_come_change_and_go(key: Path) -> None:
    ann = {
        "name": "ann",
        "keys": [key.with_suffix(".pub").read_text(encoding="utf-8").strip()],
        "groups": ["adm"],
        "sudo": True,
    }
    target = machine("m2")
    try:
        run = apply_users(ann)
        assert run.messages == []
        assert set(run.changed["m2"]) == {
            "common : Users",
            "common : Keys of users",
            "common : Users with sudo",
        }
        assert login(key, "ann", "sudo", "id", "-un").stdout.strip() == "root"
        assert "adm" in target.check_output("id -nG ann").split()
        # Nothing bars the way of somebody whose only way is a key.
        assert target.check_output("getent shadow ann").split(":")[4] in ("", "99999")
        again = apply_users(ann)
        assert (again.code, again.changed) == (0, {})

        run = apply_users({**ann, "sudo": False})
        assert run.messages == []
        assert run.changed == {"m2": ["common : Users without sudo"]}
        assert login(key, "ann", "sudo", "-n", "true").returncode != 0

        gone = {"name": "ann", "state": "absent"}
        run = apply_users(gone)
        assert run.messages == []
        assert run.changed == {"m2": ["common : Users"]}
        assert login(key, "ann", "true").returncode != 0
    finally:
        target.run("userdel --remove ann; rm -rf /home/ann /etc/sudoers.d/beanft-ann")


def test_another_choice_of_updates_changes_that_and_nothing_else() -> None:
    try:
        run = apply("common", variables={"common_updates_reboot_time": "03:30"})
        assert run.messages == []
        changes = ["common : Settings"]
        assert run.changed == dict.fromkeys(("m1", "m2"), changes)
        settings = machine("m1").check_output("apt-config dump Unattended-Upgrade")
        assert 'Automatic-Reboot "true";' in settings
        assert 'Automatic-Reboot-Time "03:30";' in settings
    finally:
        assert apply("common", tags="updates").code == 0


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"common_swap_mib": 512}, "is a container, whose swap is its host's: set it to 0"),
        ({"common_updates_reboot_time": "25:00"}, "give a time of the day as 03:30"),
        ({"common_users": [{"name": "root"}]}, "root can't be in this list"),
        ({"common_users": [{"name": "deploy", "state": "absent"}]}, "the one Ansible logs in as"),
        ({"common_users": [{"name": "ann", "keys": ["AAAA"]}]}, "a whole public key"),
        ({"common_updates": "all"}, "common_updates must be one of"),
        ({"common_time_servers": 5, "common_swap_mib": "much"}, "common_swap_mib"),
    ],
    ids=["swap", "time", "root", "own", "key", "choice", "type"],
)
def test_what_would_not_work_is_refused(variables: dict[str, object], words: str) -> None:
    run = apply("common", target="*-m1", variables=variables)
    assert run.code != 0
    assert run.changed == {}
    assert any(words in said for said in run.messages), run.messages

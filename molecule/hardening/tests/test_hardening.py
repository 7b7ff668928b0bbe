"""What a user of role hardening gets: less that can be misused, and a Docker engine that goes on working."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from helpers import apply, machine
from testinfra.host import Host

testinfra_hosts = ["m1", "m2"]  # Debian 12 and 13
EVIDENCE = [
    "journalctl --unit fail2ban --lines 30 --no-pager",
    "journalctl --unit ssh --lines 30 --no-pager",
    "systemctl --failed --no-pager",
]
GOOD_PASSWORD = "Correct-horse-7-battery"  # noqa: S105 - of an account that lives for a test


@pytest.fixture
def user(host: Host) -> Iterator[str]:
    """An account that was made after the role was applied, with a password."""
    name = "hardened"
    # Of an account of the same name, passwords of before are remembered.
    forget = f"sed --in-place /^{name}:/d /etc/security/opasswd"
    host.run(forget)
    host.check_output("useradd --create-home --shell /bin/bash %s", name)
    try:
        host.check_output("echo %s | chpasswd", f"{name}:{GOOD_PASSWORD}")
        yield name
    finally:
        host.run("faillock --user %s --reset", name)
        host.check_output("userdel --remove %s", name)
        host.run(forget)


def test_containers_start_and_reach_each_other(host: Host, base_image: str) -> None:
    host.check_output("docker network create hardened")
    try:
        host.check_output(
            "docker run --detach --name listener --network hardened %s perl -MIO::Socket::INET -e %s",
            base_image,
            "IO::Socket::INET->new(LocalPort => 8000, Listen => 5)->accept->print('here')",
        )
        answer = host.check_output(
            "docker run --rm --network hardened %s timeout 10 bash -c %s",
            base_image,
            "until exec 3<>/dev/tcp/listener/8000; do sleep 0.2; done 2>/dev/null; cat <&3",
        )
        assert answer == "here"
    finally:
        host.run("docker rm --force listener; docker network rm hardened")


def test_nothing_failed(host: Host) -> None:
    assert host.check_output("systemctl list-units --failed --plain --no-legend") == ""


def test_the_running_kernel(host: Host) -> None:
    wanted = {
        "net.ipv4.conf.all.send_redirects": "0",
        "net.ipv4.conf.all.accept_source_route": "0",
        "net.ipv4.conf.default.accept_redirects": "0",
        "net.ipv4.tcp_syncookies": "1",
        "net.ipv4.conf.all.rp_filter": "2",
        # What containers need.
        "net.ipv4.ip_forward": "1",
    }
    found = {name: host.check_output("sysctl --values %s", name) for name in wanted}
    assert found == wanted


def test_a_container_leaves_its_hosts_kernel_alone(host: Host) -> None:
    """Whatever is read at its next boot."""
    names = {
        line.lstrip("-").partition(" = ")[0]
        for line in host.file("/etc/sysctl.d/60-beanft-hardening.conf").content_string.splitlines()
        if not line.startswith("#")
    }
    assert names
    assert {name.partition(".")[0] for name in names} == {"net"}


def test_audit_is_there_for_the_next_kernel_of_its_own(host: Host) -> None:
    assert host.service("auditd").is_enabled
    # In a container its condition is not met: it neither runs nor fails.
    state = host.check_output("systemctl show --property ActiveState --value auditd")
    assert state == "inactive"


def test_an_address_whose_logins_fail_is_banned() -> None:
    target, other = machine("m2"), machine("m1")
    address = target.check_output("hostname --ip-address").split()[0]
    source = other.check_output("hostname --ip-address").split()[0]
    # ConnectTimeout is not for a ban that begins between the connection and its end.
    ask = (
        "timeout 10 ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
        "-o ConnectTimeout=3 nobody-here@%s true; exit 0"
    )
    target.check_output("fail2ban-client ping")
    try:
        deadline = time.monotonic() + 60
        while source not in target.check_output("fail2ban-client get sshd banip").split():
            assert time.monotonic() < deadline, target.check_output("fail2ban-client status sshd")
            other.run(ask, address)
            time.sleep(0.5)
        # The kernel does it, not a list.
        assert source in target.check_output("nft list ruleset")
        assert "Permission denied" not in other.run(ask, address).stderr
    finally:
        target.run("fail2ban-client set sshd unbanip %s", source)
    assert "Permission denied" in other.run(ask, address).stderr


def test_file_systems_for_all_give_nobody_others_rights(host: Host) -> None:
    for path in ("/tmp", "/dev/shm"):  # noqa: S108 - they are what this is about
        options = host.check_output("findmnt --noheadings --output OPTIONS %s", path).split(",")
        assert {"nosuid", "nodev"} <= set(options), path


def test_a_loose_file_system_is_made_strict() -> None:
    host = machine("m2")
    try:
        host.check_output("mount -o remount,suid,dev /dev/shm")
        run = apply("hardening", target="*-m2")
        assert run.changed == {"m2": ["hardening : They are so now"]}
    finally:
        host.check_output("mount -o remount,nosuid,nodev /dev/shm")


def test_bad_passwords_are_refused(host: Host, user: str) -> None:
    for password in ("short-1A", "alllowercaseletters", GOOD_PASSWORD):
        refused = host.run("echo %s | chpasswd", f"{user}:{password}")
        assert refused.rc != 0, password
    host.check_output("echo %s | chpasswd", f"{user}:Another-horse-8-battery")


def test_an_account_is_locked_for_a_while(host: Host, user: str) -> None:
    attempt = "runuser --user %s -- sh -c %s"
    wrong = "printf 'wrong\\nwrong\\nwrong\\n' | sudo --stdin --reset-timestamp true"
    host.run(attempt, user, wrong)
    failed = host.check_output("faillock --user %s", user).splitlines()
    assert len([line for line in failed if line.endswith(" V")]) >= 3, failed
    right = f"echo {GOOD_PASSWORD} | sudo --stdin --reset-timestamp true"
    # It may not become root in any case; what counts is whether the password is taken.
    assert "try again" in host.run(attempt, user, right).stderr
    host.check_output("faillock --user %s --reset", user)
    assert "try again" not in host.run(attempt, user, right).stderr


def test_new_accounts(host: Host, user: str) -> None:
    shadow = host.check_output("getent shadow %s", user).split(":")
    assert shadow[1].startswith("$y$")
    assert shadow[3:5] == ["1", "365"]
    assert host.check_output("su - %s -c umask", user) == "0027"
    assert host.check_output("su - %s -c 'ulimit -Hc'", user) == "0"
    assert host.check_output("su - %s -c 'echo $TMOUT'", user) == "600"


def test_modules_that_nobody_needs_are_blocked(host: Host) -> None:
    config = host.check_output("modprobe --showconfig").splitlines()
    assert {"install dccp /bin/false", "install usb_storage /bin/false"} <= set(config)
    assert not any(line.startswith("install overlay") for line in config)


def test_units_that_nobody_starts(host: Host) -> None:
    assert host.run("systemctl is-enabled ctrl-alt-del.target").stdout.strip() == "masked"


def test_rights_of_files(host: Host) -> None:
    modes = {path: oct(host.file(path).mode) for path in ("/etc/shadow", "/etc/sudoers.d")}
    assert modes == {"/etc/shadow": "0o640", "/etc/sudoers.d": "0o750"}
    assert host.file("/etc/cron.daily").mode == 0o700
    assert host.file("/home/deploy/.profile").mode == 0o640


def test_files_of_containers_belong_to_a_group(host: Host) -> None:
    assert host.check_output("getent group 10001") == "beanft:x:10001:"


def test_banner(host: Host) -> None:
    for path in ("/etc/issue", "/etc/issue.net"):
        assert "Authorized access only" in host.file(path).content_string


def test_another_value_changes_that_and_nothing_else() -> None:
    try:
        run = apply("hardening", variables={"hardening_lock_attempts": 5})
        assert run.messages == []
        changes = ["hardening : Settings"]
        assert run.changed == dict.fromkeys(("m1", "m2"), changes)
        run = apply(
            "hardening",
            variables={"hardening_lock_attempts": 5, "hardening_fail2ban_attempts": 4},
        )
        assert run.messages == []
        changes = ["hardening : Settings", "hardening : Bans"]
        assert run.changed == dict.fromkeys(("m1", "m2"), changes)
        assert machine("m1").check_output("fail2ban-client get sshd maxretry") == "4"
    finally:
        assert apply("hardening", tags="settings,fail2ban").code == 0


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"hardening_sysctl_extra": {"net.ipv4.ip_forward": 0}}, "would lose their network"),
        ({"hardening_modules_blocked": ["overlay"]}, "overlay, which Docker needs"),
        ({"hardening_umask": "000"}, "hardening_umask must be one of"),
    ],
    ids=["forwarding", "module", "umask"],
)
def test_what_docker_would_not_survive_is_refused(variables: dict[str, object], words: str) -> None:
    run = apply("hardening", variables=variables)
    assert run.code != 0
    assert run.changed == {}
    assert run.messages
    assert all(words in said for said in run.messages)

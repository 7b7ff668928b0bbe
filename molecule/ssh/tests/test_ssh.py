"""What a user of role ssh gets: keys only, modern algorithms, many log-ins at once, and what a deploy forwards."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import STATE, apply
from testinfra.host import Host

testinfra_hosts = ["m1", "m2"]  # Debian 12 and 13
EVIDENCE = ["journalctl --unit ssh --lines 30 --no-pager", "sshd -T"]
AT_ONCE = 30


def ssh(host: Host, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Log in by a connection of its own, as anybody from outside."""
    name = host.backend.get_pytest_id().removeprefix("ssh://")
    own = ["-F", str(STATE / "ssh_config"), "-o", "ControlPath=none", "-o", "BatchMode=yes"]
    # Every reason why it fails is to be seen.
    own += ["-o", "LogLevel=INFO", "-o", "ConnectTimeout=20"]
    options = [part for part in arguments if part.startswith("-")]
    command = arguments[len(options) :]
    return subprocess.run(
        ["ssh", *own, *options, name, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def effective(host: Host) -> set[str]:
    """Return what sshd makes of all its files."""
    return set(host.check_output("sshd -T").splitlines())


def test_settings_are_those_that_win(effective: set[str]) -> None:
    assert {
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "permitrootlogin no",
        "permitemptypasswords no",
        "maxstartups 60:30:120",
        "maxsessions 30",
        "logingracetime 30",
        "allowtcpforwarding yes",
        "allowagentforwarding no",
        "x11forwarding no",
        "clientaliveinterval 5",
        "clientalivecountmax 3",
    } <= effective


def test_the_server_runs_now_and_after_a_boot(host: Host) -> None:
    assert host.service("ssh").is_running
    assert host.service("ssh").is_enabled


def test_a_key_lets_in(host: Host) -> None:
    done = ssh(host, "id --user --name")
    assert (done.returncode, done.stdout.strip()) == (0, "deploy"), done.stderr


@pytest.mark.parametrize("way", ["password", "keyboard-interactive"])
def test_nothing_else_does(host: Host, way: str) -> None:
    done = ssh(host, f"-oPreferredAuthentications={way}", "true")
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr


def test_root_does_not_get_in_with_the_key_that_deploys(host: Host) -> None:
    host.check_output("install -d -m 0700 /root/.ssh")
    host.check_output("install -m 0600 /home/deploy/.ssh/authorized_keys /root/.ssh/")
    try:
        done = ssh(host, "-oUser=root", "true")
        assert done.returncode == 255
        assert "Permission denied (publickey)" in done.stderr
    finally:
        host.check_output("rm /root/.ssh/authorized_keys")


@pytest.mark.parametrize(
    ("option", "refusal"),
    [
        ("-oKexAlgorithms=diffie-hellman-group14-sha256", "no matching key exchange method"),
        # Whoever fails too often is shut out for a while: a few of each kind.
        ("-oHostKeyAlgorithms=rsa-sha2-512", "no matching host key type"),
        ("-oCiphers=aes128-cbc", "no matching cipher"),
        ("-oMACs=hmac-sha2-256", "no matching MAC"),
    ],
)
def test_old_algorithms_are_refused(host: Host, option: str, refusal: str) -> None:
    # A cipher with a MAC of its own would not ask for one.
    done = ssh(host, *(["-oCiphers=aes256-ctr"] if "MACs" in option else []), option, "true")
    assert done.returncode == 255
    assert refusal in done.stderr


def test_thirty_log_in_at_once(host: Host) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(lambda _: ssh(host, "true"), range(AT_ONCE)))
    assert [it.stderr for it in done if it.returncode] == []


def test_one_connection_has_many_sessions(host: Host) -> None:
    name = host.backend.get_pytest_id().removeprefix("ssh://")
    path = STATE / "sessions"
    shared = ["ssh", "-F", str(STATE / "ssh_config"), "-o", f"ControlPath={path}"]
    subprocess.run([*shared, "-fN", "-o", "ControlMaster=yes", name], check=True, timeout=30)
    try:
        # All of them open before the first ends.
        sessions = [
            subprocess.Popen(
                [*shared, name, "sleep 3; echo done"], stdout=subprocess.PIPE, text=True
            )
            for _ in range(20)
        ]
        assert {session.communicate(timeout=60)[0].strip() for session in sessions} == {"done"}
    finally:
        subprocess.run([*shared, "-O", "exit", name], check=True, capture_output=True)


def test_ports_are_forwarded_in_both_directions(host: Host) -> None:
    # From the machine back to where we are: what the machine reads there is its own SSH server's greeting, which came
    # the way out.
    name = host.backend.get_pytest_id().removeprefix("ssh://")
    forwards = ["-L", "127.0.0.1:24622:127.0.0.1:22", "-R", "127.0.0.1:24623:127.0.0.1:24622"]
    tunnel = ["ssh", "-F", str(STATE / "ssh_config"), "-o", "ControlPath=none"]
    tunnel += ["-o", "ExitOnForwardFailure=yes", "-N", *forwards, name]
    with subprocess.Popen(tunnel) as process:
        try:
            read = "exec 3<>/dev/tcp/127.0.0.1/24623 && head -c 4 <&3"
            deadline = time.monotonic() + 20
            while host.run("bash -c %s", read).stdout != "SSH-" and time.monotonic() < deadline:
                time.sleep(0.3)
            assert host.run("timeout 5 bash -c %s", read).stdout == "SSH-"
        finally:
            process.terminate()


def test_an_agent_is_not_forwarded(host: Host) -> None:
    started = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True)
    variables = dict(
        part.split("=", 1) for part in started.stdout.replace("\n", "").split(";") if "=" in part
    )
    try:
        name = host.backend.get_pytest_id().removeprefix("ssh://")
        done = subprocess.run(
            ["ssh", "-F", str(STATE / "ssh_config"), "-o", "ControlPath=none", "-A", name,
             'echo "agent:$SSH_AUTH_SOCK"'],
            env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", **variables},
            capture_output=True, text=True, check=True, timeout=30,
        )  # fmt: skip
        assert done.stdout.strip() == "agent:"
    finally:
        subprocess.run(["kill", variables["SSH_AGENT_PID"]], check=True)


def test_another_value_changes_that_and_nothing_else(host: Host) -> None:
    try:
        run = apply("ssh", variables={"ssh_login_grace_seconds": 45, "ssh_allow_users": ["deploy"]})
        assert run.messages == []
        changes = ["ssh : SSH server takes keys only, with modern algorithms", "ssh : Reload sshd"]
        assert run.changed == dict.fromkeys(("m1", "m2"), changes)
        running = host.check_output("sshd -T").splitlines()
        assert {"logingracetime 45", "allowusers deploy"} <= set(running)
        assert ssh(host, "true").returncode == 0
    finally:
        assert apply("ssh").messages == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"ssh_allow_users": ["somebody"]}, "ssh_allow_users is without 'deploy'"),
        ({"ssh_allow_groups": ["wheel"]}, "ssh_allow_groups is without a group of 'deploy'"),
        ({"ssh_max_startups": "many"}, "ssh_max_startups is 'many': three numbers are wanted"),
        ({"ssh_permit_root": "perhaps"}, "ssh_permit_root"),
    ],
)
def test_what_would_lock_out_or_makes_no_sense_is_refused(
    variables: dict[str, object], words: str
) -> None:
    run = apply("ssh", variables=variables)
    assert run.code != 0
    assert run.changed == {}
    assert all(words in said for said in run.messages)
    assert run.messages


def test_settings_that_sshd_refuses_do_not_get_there(host: Host) -> None:
    run = apply("ssh", variables={"ssh_extra_kex_algorithms": ["rot13"]})
    assert run.code != 0
    assert run.changed == {}
    assert "rot13" not in host.check_output("sshd -T")
    assert ssh(host, "true").returncode == 0

"""What a user of role valkey gets: a server for who has a password, by TLS, that keeps what it took."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import yaml
from helpers import ROOT, Run, apply, machine
from testinfra.backend.base import CommandResult
from testinfra.host import Host

testinfra_hosts = ["m1", "m2"]  # Debian 12 and 13: Redis and Valkey
EVIDENCE = ["journalctl --unit 'redis-server' --unit 'valkey-server' --lines 30 --no-pager"]
VARIABLES = yaml.safe_load((ROOT / "molecule/valkey/vars/main.yml").read_text(encoding="utf-8"))
PASSWORD = "the-password-of-the-tests"  # noqa: S105 - as vars/main.yml says
OPERATOR = "another-password-of-the-tests"
TLS = "--tls --cacert /etc/beanft/inside/ca.pem"


def again(**variables: Any) -> Run:
    """Apply the role to the servers with other variables."""
    return apply("valkey", target="*-m1:*-m2", variables={**VARIABLES, **variables})


def own_address(host: Host) -> str:
    """Return a machine's address."""
    return str(host.check_output("ip -4 -oneline address show dev eth0").split()[3].split("/")[0])


def name(host: Host) -> str:
    """Return what the release calls it."""
    return "redis" if host.system_info.release.startswith("12") else "valkey"


def ask(
    host: Host,
    *words: str,
    user: str = "beanft",
    password: str = PASSWORD,
    options: str = TLS,
) -> CommandResult:
    """Ask the server on a host, from m3."""
    login = f"--user {user} --pass {password} --no-auth-warning" if user else ""
    command = f"timeout 10 valkey-cli -e -h {own_address(host)} {options} {login}"
    return machine("m3").run(command + " %s" * len(words), *words)


def value(host: Host, setting: str) -> str:
    """Return a setting that is in force."""
    asked = ask(host, "CONFIG", "GET", setting, user="operator", password=OPERATOR)
    assert asked.rc == 0, asked
    return str(asked.stdout.splitlines()[1])


def settles(host: Host) -> None:
    """Wait until the server answers."""
    deadline = time.monotonic() + 60
    while (asked := ask(host, "PING")).rc and time.monotonic() < deadline:
        time.sleep(0.5)
    assert asked.stdout.strip() == "PONG", asked


def test_the_releases_own_server_runs(host: Host) -> None:
    wanted = "redis_version:7.0." if name(host) == "redis" else "valkey_version:8.1."
    assert wanted in ask(host, "INFO", "server").stdout
    assert host.service(f"{name(host)}-server").is_running
    assert host.service(f"{name(host)}-server").is_enabled


def test_right_password_over_tls(host: Host) -> None:
    assert ask(host, "SET", "kept", "7").stdout.strip() == "OK"
    assert ask(host, "GETDEL", "kept").stdout.strip() == "7"


def test_wrong_password_is_refused(host: Host) -> None:
    asked = ask(host, "PING", password="wrong-password-of-the-tests")  # noqa: S106
    assert "WRONGPASS" in asked.stdout + asked.stderr
    assert "PONG" not in asked.stdout


def test_nobody_is_let_in_without_a_name(host: Host) -> None:
    asked = ask(host, "PING", user="")
    assert "NOAUTH" in asked.stdout + asked.stderr
    asked = ask(host, "PING", user="default")
    assert "WRONGPASS" in asked.stdout + asked.stderr


def test_plain_connection_is_refused(host: Host) -> None:
    asked = ask(host, "PING", options="")
    assert asked.rc != 0
    assert "PONG" not in asked.stdout


def test_another_authority_is_not_believed(host: Host) -> None:
    asked = ask(host, "PING", options="--tls --cacert /etc/beanft/inside/certificate.pem")
    assert asked.rc != 0
    assert "certificate verify failed" in asked.stdout + asked.stderr
    assert "PONG" not in asked.stdout


def test_listens_on_declared_addresses_only(host: Host) -> None:
    server = host.check_output("systemctl show --property MainPID --value %s-server", name(host))
    sockets = host.check_output(
        "ss --listening --tcp --numeric --processes --no-header"
    ).splitlines()
    addresses = {line.split()[3] for line in sockets if f"pid={server.strip()}," in line}
    assert addresses == {"127.0.0.1:6379", f"{own_address(host)}:6379"}


@pytest.mark.parametrize(
    "words",
    [
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("CONFIG", "GET", "dir"),
        ("CONFIG", "SET", "dir", "/tmp"),  # noqa: S108 - it is refused
        ("SHUTDOWN",),
        ("REPLICAOF", "192.0.2.1", "6379"),
        ("ACL", "LIST"),
        ("MONITOR",),
        ("SAVE",),
    ],
    ids=" ".join,
)
def test_dangerous_commands_are_not_the_applications(host: Host, words: tuple[str, ...]) -> None:
    asked = ask(host, *words)
    assert "NOPERM" in asked.stdout + asked.stderr


def test_what_a_queue_needs_is_allowed(host: Host) -> None:
    script = "return redis.call('RPUSH', KEYS[1], ARGV[1])"
    assert ask(host, "EVAL", script, "1", "queue", "job").stdout.strip() == "1"
    assert ask(host, "BLPOP", "queue", "1").stdout.split() == ["queue", "job"]
    assert ask(host, "ZADD", "schedule", "1", "job").stdout.strip() == "1"
    assert ask(host, "DEL", "schedule").stdout.strip() == "1"
    assert ask(host, "PUBLISH", "channel", "word").rc == 0


def test_settings_are_in_force(host: Host) -> None:
    wanted = {
        "port": "0",
        "maxmemory": str(409 * 1024 * 1024),  # a tenth of 4096 MB
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "always",
        "protected-mode": "yes",
        "tls-protocols": "TLSv1.2 TLSv1.3",
    }
    assert {setting: value(host, setting) for setting in wanted} == wanted


def test_no_file_has_the_password(host: Host) -> None:
    found = host.run("grep -rl %s /etc /var/lib/%s", PASSWORD, name(host))
    assert found.stdout == ""
    said = host.check_output("journalctl --unit %s-server --no-pager", name(host))
    assert PASSWORD not in said


def test_secrets_are_the_servers_alone(host: Host) -> None:
    for file in ("beanft.acl", "beanft.conf", "tls/key.pem"):
        found = host.file(f"/etc/{name(host)}/{file}")
        assert (found.user, found.group, found.mode) == ("root", name(host), 0o640)


def test_full_memory_refuses_and_drops_nothing(host: Host) -> None:
    admin = {"user": "operator", "password": OPERATOR}
    assert ask(host, "SET", "old", "kept").rc == 0
    before = value(host, "maxmemory")
    try:
        assert ask(host, "CONFIG", "SET", "maxmemory", "100kb", **admin).rc == 0
        asked = ask(host, "SETRANGE", "large", "10", "x")
        assert "OOM" in asked.stdout + asked.stderr
        assert ask(host, "GET", "old").stdout.strip() == "kept"
    finally:
        assert ask(host, "CONFIG", "SET", "maxmemory", before, **admin).rc == 0
        assert ask(host, "DEL", "old", "large").rc == 0


def test_a_restart_keeps_what_is_written(host: Host) -> None:
    assert ask(host, "SET", "restarted", "7").rc == 0
    host.check_output("systemctl restart %s-server", name(host))
    settles(host)
    assert ask(host, "GETDEL", "restarted").stdout.strip() == "7"


def test_a_kill_keeps_what_was_acknowledged(host: Host) -> None:
    acknowledged: list[int] = []

    def write() -> None:
        """Append until something else is said than a length: each of those was acknowledged."""
        where = f"-h {own_address(host)} {TLS} --user beanft --pass {PASSWORD} --no-auth-warning"
        done = machine("m3").run(
            f"seq 1 500000 | sed 's/.*/RPUSH killed &/' | timeout 8 valkey-cli {where} 2>&1 "
            "| awk '/^[0-9]+$/ {last = $1} /^[^0-9]/ {exit} END {print last}'"
        )
        acknowledged.append(int(done.stdout))

    try:
        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(2)
        host.check_output("systemctl kill --signal=SIGKILL %s-server", name(host))
        writer.join(timeout=60)
        # systemd starts it again; nobody else does.
        settles(host)
        assert acknowledged[0] > 10
        kept = int(ask(host, "LLEN", "killed").stdout)
        assert kept >= acknowledged[0]
        assert ask(host, "LINDEX", "killed", str(acknowledged[0] - 1)).stdout.strip() == str(
            acknowledged[0]
        )
    finally:
        settles(host)
        assert ask(host, "DEL", "killed").rc == 0


def test_other_values_change_that_and_nothing_else() -> None:
    servers = [machine(it) for it in testinfra_hosts]
    first, *others = VARIABLES["valkey_users"]
    users = [{**first, "password": "a-new-password-of-the-tests"}, *others]
    try:
        run = again(valkey_appendfsync="everysec", valkey_users=users)
        assert run.messages == []
        changes = ["valkey : Users", "valkey : Settings", "valkey : Restart Valkey"]
        assert run.changed == dict.fromkeys(testinfra_hosts, changes)
        assert {value(host, "appendfsync") for host in servers} == {"everysec"}
        for host in servers:
            asked = ask(host, "PING")
            assert "WRONGPASS" in asked.stdout + asked.stderr
            asked = ask(host, "PING", password="a-new-password-of-the-tests")  # noqa: S106
            assert asked.stdout.strip() == "PONG"
    finally:
        assert again().code == 0


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"valkey_memory_percent": 90}, "valkey_memory_percent is 90: give Valkey 1 to 75 percent"),
        ({"valkey_users": []}, "valkey_users is empty: nobody could log in"),
        (
            {"valkey_users": [{"name": "beanft", "password": "short"}]},
            "valkey_users: the password of beanft is shorter than 16 characters",
        ),
        (
            {"valkey_users": [{"name": "default", "password": PASSWORD}]},
            "'default' in valkey_users: a name is",
        ),
        (
            {"valkey_tls_certificate": "/nowhere"},
            "valkey_tls_certificate: /nowhere not on the machine",
        ),
        (
            {"valkey_appendfsync": "never"},
            "value of valkey_appendfsync must be one of: everysec, always",
        ),
    ],
)
def test_bad_values_are_refused(variables: dict[str, Any], sentence: str) -> None:
    run = again(**variables)
    assert run.code != 0
    assert run.changed == {}
    said = " ".join(run.messages)
    assert sentence in said
    assert PASSWORD not in said

"""What a user of role postgresql gets: a server that lets in who is declared, by TLS, and loses nothing."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from helpers import machine
from postgresql_helpers import (
    OTHER,
    PASSWORD,
    VARIABLES,
    VERSIONS,
    again,
    ask,
    own_address,
    settles,
    started,
    tell,
    unit,
)
from testinfra.host import Host

testinfra_hosts = ["m1", "m2"]  # Debian 12 and 13
EVIDENCE = ["journalctl --identifier postgresql --lines 30 --no-pager", "pg_lsclusters"]


def test_version_of_the_release(host: Host) -> None:
    wanted = VERSIONS[host.system_info.release.split(".")[0]]
    assert tell(host, "SHOW server_version").startswith(f"{wanted}.")
    assert host.service(unit(host)).is_running
    assert host.service(unit(host)).is_enabled


def test_right_password_over_tls(host: Host) -> None:
    asked = ask(
        host, "SELECT current_user, ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    )
    assert asked.stdout.strip() == "beanft|t|TLSv1.3", asked


def test_wrong_password_is_refused(host: Host) -> None:
    asked = ask(host, "SELECT 1", password="wrong-password-of-the-tests")  # noqa: S106
    assert asked.rc == 2
    assert 'password authentication failed for user "beanft"' in asked.stderr


def test_plain_connection_is_refused(host: Host) -> None:
    asked = ask(host, "SELECT 1", ssl="disable")
    assert asked.rc == 2
    assert "pg_hba.conf rejects connection" in asked.stderr
    assert "no encryption" in asked.stderr


def test_undeclared_address_is_refused(host: Host) -> None:
    neighbour = "m2" if host.check_output("uname -n") == "m1" else "m1"
    asked = ask(host, "SELECT 1", client=neighbour)
    assert asked.rc == 2
    assert "pg_hba.conf rejects connection" in asked.stderr


def test_undeclared_user_is_refused(host: Host) -> None:
    for user, database in (("other", "beanft"), ("postgres", "postgres"), ("beanft", "other")):
        asked = ask(host, "SELECT 1", user=user, database=database, password=OTHER)
        assert asked.rc == 2
        assert "pg_hba.conf rejects connection" in asked.stderr


def test_a_user_has_no_way_into_the_other_database(host: Host) -> None:
    where = "host=127.0.0.1 dbname=other user=beanft sslmode=require"
    asked = host.run("PGPASSWORD=%s psql -c %s %s", PASSWORD, "SELECT 1", where)
    assert asked.rc == 2
    assert 'permission denied for database "other"' in asked.stderr


def test_an_owner_makes_tables_and_no_roles(host: Host) -> None:
    made = "CREATE TABLE mine (a int); DROP TABLE mine"
    assert ask(host, made).rc == 0
    for statement in ("CREATE ROLE mine", "CREATE DATABASE mine", "ALTER SYSTEM SET fsync = off"):
        asked = ask(host, statement)
        assert asked.rc == 1
        assert "permission denied" in asked.stderr


def test_settings_are_in_force(host: Host) -> None:
    # A quarter of 4096 MB: see vars/main.yml of the role.
    wanted = {
        "password_encryption": "scram-sha-256",
        "data_checksums": "on",
        "fsync": "on",
        "synchronous_commit": "on",
        "shared_buffers": "256MB",
        "effective_cache_size": "768MB",
        "max_connections": "102",
        "work_mem": "3855kB",
        "maintenance_work_mem": "64MB",
        "wal_level": "replica",
        "wal_compression": "lz4",
        "statement_timeout": "1min",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "1min",
        "server_encoding": "UTF8",
    }
    assert {name: tell(host, f"SHOW {name}") for name in wanted} == wanted


def test_passwords_are_stored_as_scram_alone(host: Host) -> None:
    stored = tell(host, "SELECT rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL")
    assert [line.split("$")[0] for line in stored.splitlines()] == ["SCRAM-SHA-256"] * 2


def test_listens_on_declared_addresses_only(host: Host) -> None:
    sockets = host.check_output("ss --listening --tcp --numeric --no-header 'sport = :5432'")
    addresses = {line.split()[3] for line in sockets.splitlines()}
    assert addresses == {"127.0.0.1:5432", f"{own_address(host)}:5432"}


def test_key_is_the_servers_alone(host: Host) -> None:
    key = host.file(f"{tell(host, 'SHOW ssl_key_file')}")
    assert (key.user, key.mode) == ("postgres", 0o600)


def test_logs_are_in_the_journal_without_passwords(host: Host) -> None:
    assert ask(host, "SELECT no_such_column_here").rc == 1
    said = host.check_output("journalctl --identifier postgresql --no-pager")
    assert "no_such_column_here" in said
    assert f"beanft@beanft {own_address(machine('m3'))}" in said
    for where in ("journalctl --identifier postgresql --no-pager", "cat /var/log/postgresql/*.log"):
        text = host.check_output(where)
        assert PASSWORD not in text
        assert OTHER not in text


def test_a_base_copy_can_be_taken(host: Host) -> None:
    try:
        host.check_output(
            "cd / && sudo -u postgres pg_basebackup --pgdata=/var/lib/postgresql/copy --checkpoint=fast"
        )
        assert host.file("/var/lib/postgresql/copy/PG_VERSION").exists
    finally:
        host.run("rm -rf /var/lib/postgresql/copy")


def test_a_restart_keeps_what_is_written(host: Host) -> None:
    assert ask(host, "CREATE TABLE restarted AS SELECT 7 AS a").rc == 0
    try:
        host.check_output("systemctl restart postgresql")
        settles(host)
        assert ask(host, "SELECT a FROM restarted").stdout.strip() == "7"
    finally:
        assert ask(host, "DROP TABLE restarted").rc == 0


def test_a_kill_keeps_what_was_acknowledged(host: Host) -> None:
    assert ask(host, "CREATE TABLE killed (a int)").rc == 0
    where = f"host={own_address(host)} dbname=beanft user=beanft sslmode=require"
    acknowledged: list[str] = []

    def write() -> None:
        """Insert a row after the other until the server is gone; what it prints was acknowledged."""
        done = machine("m3").run(
            "seq 1 100000 | sed 's/.*/INSERT INTO killed VALUES (&) RETURNING a;/' | "
            "PGPASSWORD=%s psql --no-psqlrc -v ON_ERROR_STOP=1 -qtA %s",
            PASSWORD,
            where,
        )
        acknowledged.extend(line for line in done.stdout.splitlines() if line.isdigit())

    try:
        writer = threading.Thread(target=write)
        writer.start()
        time.sleep(3)
        host.check_output("systemctl kill --signal=SIGKILL %s", unit(host))
        writer.join(timeout=60)
        assert len(acknowledged) > 10
        # systemd starts it again; nobody else does.
        settles(host)
        kept = set(ask(host, "SELECT a FROM killed").stdout.split())
        assert set(acknowledged) <= kept
        assert len(kept) <= len(acknowledged) + 1
    finally:
        settles(host)
        assert ask(host, "DROP TABLE killed").rc == 0


def test_other_values_change_that_and_restart_only_if_they_must() -> None:
    servers = {name: machine(name) for name in testinfra_hosts}
    before = {name: started(host) for name, host in servers.items()}
    first, *others = VARIABLES["postgresql_users"]
    users = [{**first, "password": "a-new-password-of-the-tests"}, *others]
    try:
        run = again(postgresql_statement_timeout_seconds=30, postgresql_users=users)
        assert run.messages == []
        reloads = ["postgresql : Settings", "postgresql : Reload PostgreSQL"]
        assert run.changed == {name: [*reloads, "postgresql : Users"] for name in testinfra_hosts}
        assert {tell(host, "SHOW statement_timeout") for host in servers.values()} == {"30s"}
        assert {name: started(host) for name, host in servers.items()} == before
        for host in servers.values():
            assert ask(host, "SELECT 1").rc == 2
            assert ask(host, "SELECT 1", password="a-new-password-of-the-tests").rc == 0  # noqa: S106

        run = again(
            postgresql_statement_timeout_seconds=30,
            postgresql_users=users,
            postgresql_memory_percent=50,
        )
        assert run.messages == []
        restarts = [*reloads, "postgresql : Restart, for settings that need one"]
        assert run.changed == dict.fromkeys(testinfra_hosts, restarts)
        assert {tell(host, "SHOW shared_buffers") for host in servers.values()} == {"512MB"}
    finally:
        assert again().code == 0


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (
            {"postgresql_memory_percent": 90},
            "postgresql_memory_percent is 90: give PostgreSQL 5 to 75",
        ),
        (
            {"postgresql_users": [{"name": "beanft", "password": "short"}]},
            "postgresql_users: the password of beanft is shorter than 16 characters",
        ),
        (
            {"postgresql_databases": [{"name": "beanft", "owner": "nobody"}]},
            "the owners of beanft are not in postgresql_users (beanft, other)",
        ),
        (
            {
                "postgresql_hba": [
                    {"databases": ["beanft"], "users": ["all"], "addresses": ["192.0.2.7"]}
                ]
            },
            "postgresql_hba: all, 192.0.2.7: users and databases have to be in",
        ),
        ({"postgresql_tls_key": "/nowhere"}, "postgresql_tls_key: /nowhere not on the machine"),
        ({"postgresql_version": "9"}, "postgresql_version"),
    ],
)
def test_bad_values_are_refused(variables: dict[str, Any], sentence: str) -> None:
    run = again(**variables)
    assert run.code != 0
    assert run.changed == {}
    said = " ".join(run.messages)
    assert sentence in said
    assert "short" not in said.replace("shorter", "")

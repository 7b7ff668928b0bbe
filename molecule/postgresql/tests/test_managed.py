"""A managed server in place of the machine's own: m2's PostgreSQL plays it, for m3, by a master who is no superuser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import Run, apply, machine
from postgresql_helpers import again, ask, own_address, tell, unit
from testinfra.backend.base import CommandResult

# Made by the functions below on the machines that they name.
testinfra_hosts = ["m3"]
# With what is written in another way in a file of passwords.
MASTER = "the:password\\of-the-master"
APP = "the-password-of-the-application"
NEW = "another-password-of-the-application"
REPOSITORY = "/srv/managed-backup"
DUMPS = "/var/backups/managed"


def server(**other: Any) -> dict[str, Any]:
    """Return the variable that names the server."""
    authorities = machine("m3").file("/etc/beanft/inside/ca.pem").content_string
    address = own_address(machine("m2"))
    said = {"host": address, "user": "master", "password": MASTER, "authorities": authorities}
    return {**said, **other}


def managed(target: str = "*-m3", password: str = APP, **other: Any) -> Run:
    """Apply the role to a machine that has no server of its own."""
    variables = {
        "postgresql_server": server(**other),
        "postgresql_users": [{"name": "app", "password": password}],
        "postgresql_databases": [{"name": "app", "owner": "app"}],
        "postgresql_hba": [],
    }
    return apply("postgresql", target=target, variables=variables)


def asked(statement: str, password: str = APP, database: str = "app") -> CommandResult:
    """Ask as the application does."""
    return ask(machine("m2"), statement, user="app", password=password, database=database)


@pytest.fixture(scope="module", autouse=True)
def played() -> Iterator[None]:
    """Let m2 be asked by anybody who has a password, and have a master as RDS has."""
    host = machine("m2")
    tell(host, f"CREATE ROLE master LOGIN CREATEDB CREATEROLE PASSWORD '{MASTER}'")
    rule = "hostssl all all 0.0.0.0/0 scram-sha-256"
    before = f"/^# Nobody else/i {rule}"
    host.check_output("sed -i %s /etc/postgresql/17/main/pg_hba.conf", before)
    host.check_output("systemctl reload %s", unit(host))
    yield
    for name in tell(host, "SELECT datname FROM pg_database WHERE datname ~ '^app'").split():
        tell(host, f'DROP DATABASE "{name}" WITH (FORCE)')
    for name in ("app", "master"):
        tell(host, f"DROP ROLE IF EXISTS {name}")
    client = machine("m3")
    client.run("systemctl disable --now beanft-backup.timer beanft-backup-age.timer")
    client.run("rm -rf %s %s /etc/beanft/backup", REPOSITORY, DUMPS)
    for name in ("m1", "m3"):
        machine(name).run("rm -f /etc/beanft/database-ca.pem")
    assert again().code == 0


def test_users_and_databases_are_made_there_and_again_nothing() -> None:
    run = managed()
    assert (run.code, run.messages) == (0, []), run
    assert run.changed["m3"][-3:] == [
        "postgresql : Users",
        "postgresql : Databases",
        "postgresql : Databases are their owners' alone",
    ]
    run = managed()
    assert (run.code, run.messages, run.changed) == (0, [], {})
    # Nothing serves on the machine itself.
    assert not machine("m3").package("postgresql-17").is_installed
    assert machine("m3").run("ss -ltnH 'sport = :5432'").stdout == ""


def test_the_application_has_the_rights_of_an_owner_and_no_more() -> None:
    assert asked("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").stdout.strip() == "t"
    assert asked("CREATE TABLE mine (a int); DROP TABLE mine").rc == 0
    for statement in ("CREATE ROLE mine", "CREATE DATABASE mine", "SET ROLE master"):
        refused = asked(statement)
        assert refused.rc == 1
        assert "permission denied" in refused.stderr
    assert tell(machine("m2"), "SELECT rolsuper FROM pg_roles WHERE rolname = 'master'") == "f"
    owner = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'app'"
    assert tell(machine("m2"), owner) == "app"
    stored = tell(machine("m2"), "SELECT rolpassword FROM pg_authid WHERE rolname = 'app'")
    assert stored.startswith("SCRAM-SHA-256$")
    # Another user, who may connect to what is open to everybody, gets in nowhere.
    tell(machine("m2"), f"CREATE ROLE app_neighbour LOGIN PASSWORD '{NEW}'")
    try:
        refused = ask(machine("m2"), "SELECT 1", user="app_neighbour", password=NEW, database="app")
        assert 'permission denied for database "app"' in refused.stderr
    finally:
        tell(machine("m2"), "DROP ROLE app_neighbour")


def test_another_password_is_the_only_change() -> None:
    try:
        run = managed(password=NEW)
        assert (run.code, run.messages) == (0, [])
        assert run.changed == {"m3": ["postgresql : Passwords of those who do not"]}
        assert asked("SELECT 1", NEW).rc == 0
        assert "password authentication failed" in asked("SELECT 1", APP).stderr
    finally:
        assert managed().code == 0
    assert asked("SELECT 1").rc == 0


def test_who_can_not_be_trusted_or_used_is_refused() -> None:
    other = machine("m3").check_output(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
        " -subj /CN=other -keyout /dev/null 2>/dev/null"
    )
    try:
        run = managed(authorities=other)
        assert run.code != 0
        assert "certificate verify failed" in " ".join(run.messages)
        assert "postgresql : Users" not in run.changed["m3"]
    finally:
        assert managed().code == 0
    run = managed(host="localhost")
    assert run.code != 0
    # Its certificate has another name than the one by which it is asked, or nobody is there.
    assert "PostgreSQL at localhost" in " ".join(run.messages)
    run = managed(target="*-m1")
    assert run.code != 0
    assert "it is 17, and this machine, which makes dumps, can do with 16 to 15" in run.messages[0]
    run = managed(authorities="none")
    assert run.code != 0
    assert run.changed == {}
    assert "those are certificates as text" in run.messages[0]


def test_a_dump_before_a_migration_comes_over_the_network() -> None:
    assert asked("CREATE TABLE dumped AS SELECT 7 AS a").rc == 0
    variables = {
        "postgresql_server": server(),
        "postgresql_dump_database": "app",
        "postgresql_dump_name": "release-1",
        "postgresql_dump_directory": DUMPS,
    }
    run = apply("postgresql", target="*-m3", tasks_from="dump", variables=variables)
    assert (run.code, run.messages) == (0, [])
    client = machine("m3")
    assert "dumped" in client.check_output("pg_restore --list %s", f"{DUMPS}/release-1.pgc")
    assert client.file(DUMPS).mode == 0o700


def test_a_backup_is_made_proven_and_restored_without_a_superuser() -> None:
    assert asked("CREATE TABLE kept AS SELECT generate_series(1, 20) AS a").rc == 0
    client = machine("m3")
    client.check_output("mkdir -p %s", REPOSITORY)
    variables = {
        "backup_repository": f"{REPOSITORY}/of-the-tests",
        "backup_mounted": False,
        "backup_password": "a-repository-password-of-the-tests",
        "backup_environment": "managed",
        "backup_database": "app",
        "backup_server": {name: server()[name] for name in ("host", "user", "password")},
    }
    run = apply("backup", target="*-m3", variables=variables)
    assert (run.code, run.messages) == (0, [])
    made = json.loads(client.check_output("beanft-backup run --json --wait 60"))
    (backup,) = made["made"]
    assert (backup["kind"], backup["rows"]["kept"]) == ("postgresql", 20)
    # The password is in one file, which is root's.
    assert client.file("/etc/beanft/backup/pgpass").mode == 0o600
    assert MASTER not in client.file("/etc/beanft/backup/config.json").content_string
    assert asked("DELETE FROM kept").rc == 0
    snapshot = backup["snapshot"]
    client.check_output("beanft-backup prepare --kind postgresql --snapshot %s", snapshot)
    client.check_output("beanft-backup switch")
    assert asked("SELECT count(*) FROM kept").stdout.strip() == "20"
    assert asked("INSERT INTO kept VALUES (21)").rc == 0
    client.check_output("beanft-backup undo")
    assert asked("SELECT count(*) FROM kept").stdout.strip() == "0"

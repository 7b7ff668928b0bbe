"""What a user of role backup gets: backups that restore, refusals that overwrite nothing, an alarm that goes off."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from backup_helpers import sql, still
from helpers import ROOT, STATE, Run, apply, machine
from testinfra.host import Host

testinfra_hosts = ["m1", "m2"]  # Debian 12 and 13
EVIDENCE = [
    "journalctl --unit beanft-backup --lines 30 --no-pager",
    "cat /var/lib/beanft-backup/status.json",
]
VARIABLES = yaml.safe_load((ROOT / "molecule/backup/vars/main.yml").read_text(encoding="utf-8"))
PASSWORD = "a-repository-password-of-the-tests"  # noqa: S105 - as vars/main.yml says
ROWS = {
    "sqlite": {"alembic_version": 1, "datasets": 3, "notes": 0},
    "postgresql": {"alembic_version": 1, "notes": 100},
}
KINDS = ["sqlite", "postgresql"]


def again(**variables: Any) -> Run:
    """Apply the role with other variables."""
    return apply("backup", target="*-m1:*-m2", variables={**VARIABLES, **variables})


def asked(host: Host, *arguments: str) -> dict[str, Any]:
    """Return what the program answers."""
    words = " ".join(f"'{word}'" for word in arguments)
    return dict(json.loads(host.check_output(f"beanft-backup {words}").splitlines()[-1]))


def refused(host: Host, *arguments: str) -> str:
    """Return why the program refuses."""
    words = " ".join(f"'{word}'" for word in arguments)
    done = host.run(f"beanft-backup {words}")
    assert done.rc == 1, done
    return str(done.stderr)


def backed_up(host: Host) -> dict[str, dict[str, Any]]:
    """Back up now; return what was made, by kind."""
    return {item["kind"]: item for item in asked(host, "run", "--json")["made"]}


def status(host: Host) -> dict[str, Any]:
    """Return what is on record about backups."""
    return dict(json.loads(host.check_output("cat /var/lib/beanft-backup/status.json")))


def rows(host: Host, kind: str) -> int:
    """Return how many notes there are."""
    if kind == "postgresql":
        return int(sql(host, "SELECT count(*) FROM notes"))
    program = "import sqlite3; print(*sqlite3.connect('/srv/app/db/beanft.sqlite3').execute(%r).fetchone())"
    return int(host.check_output("python3 -c %s", program % "SELECT count(*) FROM notes"))


def add(host: Host, kind: str) -> None:
    """Write a note."""
    if kind == "postgresql":
        sql(host, "INSERT INTO notes SELECT coalesce(max(a), 0) + 1 FROM notes")
        return
    program = "import sqlite3; d = sqlite3.connect('/srv/app/db/beanft.sqlite3'); "
    program += "d.execute('INSERT INTO notes VALUES (1)'); d.commit()"
    host.check_output("python3 -c %s", program)


def repository(host: Host) -> tuple[Host, str]:
    """Return where a machine's repository is: the machine, and the path."""
    if host.check_output("uname -n") == "m1":
        return host, "/srv/backup/of-the-scenario"
    return machine("m3"), "/home/keeper/repository"


@contextmanager
def another_repository(host: Host) -> Iterator[tuple[Host, str]]:
    """Have a copy of the repository instead of it, to do harm to."""
    there, path = repository(host)
    there.check_output(f"mv {path} {path}.away && cp -a {path}.away {path}")
    try:
        yield there, path
    finally:
        there.check_output(f"rm -rf {path} && mv {path}.away {path}")


def test_the_timer_backs_up(host: Host) -> None:
    deadline = time.monotonic() + 180
    made: dict[str, dict[str, Any]] = {}
    # Those before it may have found nothing, or something else.
    while {kind: item["rows"] for kind, item in made.items()} != ROWS:
        assert time.monotonic() < deadline, made
        time.sleep(2)
        if host.file("/var/lib/beanft-backup/status.json").exists:
            made = {item["kind"]: item for item in status(host).get("made", [])}
    assert made["sqlite"]["files"] == 3
    text = host.check_output("beanft-backup status")
    assert "min ago, proven by a restore" in text
    assert "TOO OLD" not in text
    assert "PROBLEM" not in text


def test_secrets_are_roots_alone(host: Host) -> None:
    for name in ("password", "ssh_key", "s3"):
        file = host.file(f"/etc/beanft/backup/{name}")
        assert (file.user, file.mode) == ("root", 0o600)
    assert PASSWORD not in host.check_output("journalctl --unit beanft-backup --no-pager")


@pytest.mark.usefixtures("quiet")
def test_a_backup_while_others_write(host: Host) -> None:
    before = {kind: rows(host, kind) for kind in KINDS}
    writer = "import sqlite3, time; d = sqlite3.connect('/srv/app/db/beanft.sqlite3', timeout=30); "
    writer += "[(d.execute('INSERT INTO notes VALUES (2)'), d.commit(), time.sleep(0.01)) for _ in range(400)]"
    inserts = "seq 400 | sed 's/.*/INSERT INTO notes SELECT max(a) + 1 FROM notes; SELECT pg_sleep(0.02);/'"
    run = "systemd-run --quiet --unit=writes-%s --uid=%s %s -c %s"
    host.check_output(run, "sqlite", "root", "python3", writer)
    host.check_output(run, "postgresql", "postgres", "sh", f"{inserts} | psql -qtA -d beanft")
    made = backed_up(host)
    assert set(made) == set(KINDS)
    assert made["sqlite"]["rows"]["notes"] > before["sqlite"]
    host.run("systemctl stop writes-sqlite writes-postgresql; systemctl reset-failed 'writes-*'")
    assert made["sqlite"]["rows"]["notes"] <= rows(host, "sqlite")
    metrics = host.file("/var/lib/prometheus/node-exporter/beanft_backup.prom")
    assert metrics.mode == 0o644
    stamp = next(
        line.split()[1]
        for line in metrics.content_string.splitlines()
        if line.startswith("beanft_backup_last_success_timestamp_seconds ")
    )
    assert abs(int(stamp) - int(host.check_output("date +%s"))) < 60


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("kind", KINDS)
def test_a_restore_to_a_time_and_the_way_back(host: Host, kind: str) -> None:
    then = backed_up(host)[kind]
    count = rows(host, kind)
    time.sleep(1.1)  # ids aside, a moment is told to the second
    add(host, kind)
    later = backed_up(host)[kind]
    assert rows(host, kind) == count + 1

    found = asked(host, "find", "--at", then["at"], "--kind", kind)
    assert found["snapshot"].startswith(then["snapshot"][:8])
    assert asked(host, "find", "--at", "", "--kind", kind)["snapshot"].startswith(
        later["snapshot"][:8]
    )
    prepared = asked(host, "prepare", "--snapshot", found["snapshot"], "--kind", kind)
    assert prepared["rows"]["notes"] == count
    assert rows(host, kind) == count + 1, "what there is was not touched"
    switched = asked(host, "switch")
    assert rows(host, kind) == count
    add(host, kind)
    if kind == "postgresql":
        aside = sql(host, "SELECT count(*) FROM notes", f"beanft_{switched['aside']}")
        assert int(aside) == count + 1
        assert (
            sql(host, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'beanft'")
            == "beanft"
        )
    else:
        assert host.file(f"/srv/app/db.{switched['aside']}/beanft.sqlite3").exists
        assert host.file("/srv/app/files/datasets/00000000000000000000000000000002.csv").exists
    asked(host, "undo")
    assert rows(host, kind) == count + 1
    assert backed_up(host)[kind]["rows"]["notes"] == count + 1


@pytest.mark.usefixtures("quiet")
def test_a_moment_before_all_backups_is_refused(host: Host) -> None:
    said = refused(host, "find", "--at", "2001-01-31T12:00", "--kind", "sqlite")
    assert "there is no backup from 2001-01-31 12:00:00 UTC or before: the oldest is" in said
    assert "is neither the id of a backup nor a time" in refused(host, "find", "--at", "yesterday")


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_repository_is_refused(host: Host, kind: str) -> None:
    made = backed_up(host)[kind]
    count = rows(host, kind)
    harm = "import pathlib, sys\n"
    harm += "for path in pathlib.Path(sys.argv[1], 'data').rglob('*'):\n"
    harm += "    if path.is_file():\n"
    harm += "        data = bytearray(path.read_bytes()); path.chmod(0o600)\n"
    harm += "        data[:64] = bytes(64); path.write_bytes(data)\n"
    with another_repository(host) as (there, path):
        there.check_output("python3 -c %s %s", harm, path)
        said = refused(host, "prepare", "--snapshot", made["snapshot"], "--kind", kind)
        assert f"backup {made['snapshot'][:8]} can't be restored, and nothing was touched" in said
        assert "nothing is prepared" in refused(host, "switch")
    assert rows(host, kind) == count
    assert sql(host, "SELECT count(*) FROM pg_database WHERE datname = 'beanft_restoring'") == "0"


@pytest.mark.usefixtures("quiet")
def test_a_foreign_repository_is_refused(host: Host) -> None:
    there, path = repository(host)
    ours = host.check_output("cat /var/lib/beanft-backup/repository-id")[:12]
    with another_repository(host):
        there.check_output(f"rm -rf {path}")
        # One with the same password, which opens it all the same.
        record = "/var/lib/beanft-backup/repository-id"
        host.check_output(f"mv {record} {record}.away")
        assert asked(host, "init")["made"]
        host.check_output(f"mv {record}.away {record}")
        for command in (["run"], ["find"], ["init"]):
            said = refused(host, *command)
            assert "is not this environment's repository" in said
            assert f"{ours} is on record" in said
        assert there.check_output(f"ls {path}/snapshots") == ""
        there.check_output(f"rm -rf {path}")
        assert "there is no repository at" in refused(host, "run")
    assert set(backed_up(host)) == set(KINDS)


@pytest.mark.usefixtures("quiet")
def test_a_second_one_at_once_is_refused(host: Host) -> None:
    host.check_output("systemd-run --quiet --unit=holds flock /run/beanft-backup.lock sleep 60")
    time.sleep(1)
    try:
        assert "another backup or restore is under way" in refused(host, "run")
    finally:
        host.check_output("systemctl stop holds")
    assert set(backed_up(host)) == set(KINDS)


@pytest.mark.usefixtures("quiet")
def test_the_alarm_goes_off_when_the_last_good_one_is_too_old(host: Host) -> None:
    backed_up(host)
    host.check_output("systemctl start beanft-backup-age.service")
    old = "import json, pathlib; p = pathlib.Path('/var/lib/beanft-backup/status.json'); s = json.loads(p.read_text())"
    old += "; s['last_good'] = '2026-01-01T00:00:00+00:00'; p.write_text(json.dumps(s))"
    host.check_output("python3 -c %s", old)
    assert host.run("systemctl start beanft-backup-age.service").rc != 0
    assert (
        host.check_output("systemctl show --property=ActiveState beanft-backup-age.service")
        == "ActiveState=failed"
    )
    sentence = "min old, and 15 are allowed"
    said = host.check_output(
        "journalctl --unit beanft-backup-age --priority err --lines 5 --no-pager"
    )
    assert sentence in said
    time.sleep(1)
    assert sentence in host.check_output("journalctl --identifier alarmed --lines 5 --no-pager")
    assert "TOO OLD: 15 min are allowed" in host.check_output("beanft-backup status")
    backed_up(host)
    host.check_output("systemctl start beanft-backup-age.service")


@pytest.mark.usefixtures("quiet")
def test_a_failure_is_on_record_and_ends_with_the_next_good_one(host: Host) -> None:
    with another_repository(host) as (there, path):
        there.check_output(f"rm -rf {path}")
        good = status(host)["last_good"]
        refused(host, "run")
        assert status(host)["last_good"] == good
        assert "PROBLEM" in host.check_output("beanft-backup status")
        metrics = host.check_output("cat /var/lib/prometheus/node-exporter/beanft_backup.prom")
        assert "beanft_backup_last_run_ok 0" in metrics
    backed_up(host)
    assert "PROBLEM" not in host.check_output("beanft-backup status")


@pytest.mark.usefixtures("quiet")
def test_a_file_that_is_gone_already_is_told(host: Host) -> None:
    name = "/srv/app/files/datasets/00000000000000000000000000000001.csv"
    host.check_output(f"mv {name} /srv/app/kept")
    try:
        assert backed_up(host)["sqlite"]["missing"] == 1
        assert "1 files that rows refer to are gone" in host.check_output("beanft-backup status")
    finally:
        host.check_output(f"mv /srv/app/kept {name}")
    # One that differs from what its row says is no backup.
    host.check_output(
        f"cp {name} /srv/app/kept && echo x >>{name} && rm /var/lib/beanft-backup/proven.json"
    )
    try:
        assert "is not what the database says of it" in refused(host, "run")
    finally:
        host.check_output(f"mv /srv/app/kept {name}")
    assert backed_up(host)["sqlite"]["missing"] == 0


def test_other_values_change_that_and_old_backups_go() -> None:
    hosts = [machine(name) for name in testinfra_hosts]
    never = {f"backup_keep_{name}": 0 for name in ("hourly", "daily", "weekly", "monthly")}
    try:
        run = again(backup_keep_last=2, **never)
        assert run.messages == []
        assert run.changed == {name: ["backup : Program and settings"] for name in testinfra_hosts}
        with still(*hosts):
            for host in hosts:
                made = [backed_up(host) for _ in range(3)][-1]
                asked(host, "maintain")
                there, path = repository(host)
                assert len(there.check_output(f"ls {path}/snapshots").split()) == 2 * len(KINDS)
                # What is left restores.
                asked(host, "prepare", "--snapshot", made["sqlite"]["snapshot"], "--kind", "sqlite")
    finally:
        assert again().code == 0


@pytest.fixture
def store() -> Iterator[str]:
    """An S3-like store on the control machine's loopback, and on that of m2."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
    forward = ["-R", f"127.0.0.1:9321:127.0.0.1:{port}", "-o", "ControlPath=none"]
    with (
        subprocess.Popen(
            ["moto_server", "-H", "127.0.0.1", "-p", str(port)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as server,
        subprocess.Popen(["ssh", "-F", STATE / "ssh_config", "-N", *forward, "m2"]) as tunnel,
    ):
        try:
            deadline = time.monotonic() + 60
            program = (
                "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9321/', timeout=5)"
            )
            while machine("m2").run("python3 -c %s", program).rc and time.monotonic() < deadline:
                time.sleep(1)
            yield "s3:http://127.0.0.1:9321/backups/beanft"
        finally:
            tunnel.terminate()
            server.terminate()


def test_an_s3_store(store: str) -> None:
    host = machine("m2")
    known = "/var/lib/beanft-backup/repository-id"
    variables = {
        "backup_repository": store,
        "backup_s3_key_id": "the-key-of-the-tests",
        "backup_s3_secret": "the-secret-of-the-tests",
    }
    # Another repository than the one on record would be refused.
    host.check_output(f"mv {known} {known}.away")
    try:
        assert apply("backup", target="*-m2", variables={**VARIABLES, **variables}).messages == []
        assert host.file("/etc/beanft/backup/s3").mode == 0o600
        with still(host):
            made = backed_up(host)
            assert {kind: made[kind]["rows"].keys() for kind in KINDS} == {
                kind: ROWS[kind].keys() for kind in KINDS
            }
            found = asked(host, "find", "--kind", "sqlite")
            asked(host, "prepare", "--snapshot", found["snapshot"], "--kind", "sqlite")
    finally:
        host.check_output(f"mv {known}.away {known}")
        assert again().code == 0


def test_a_wrong_password_is_refused() -> None:
    try:
        run = again(backup_password="another-password-of-the-tests")  # noqa: S106
        assert run.code != 0
        assert "the password does not open the repository" in " ".join(run.messages)
        for host in (machine(name) for name in testinfra_hosts):
            assert "the password does not open" in refused(host, "find")
    finally:
        assert again().code == 0


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"backup_repository": "ftp://x/y"}, "backup_repository is 'ftp://x/y': name a path"),
        ({"backup_repository": "/var/lib/x"}, "/var/lib is on the disk of the machine itself"),
        ({"backup_interval": 30}, "backup_interval is 30: say 1 to 10 minutes"),
        ({"backup_password": "short"}, "backup_password is shorter than 16 characters"),
        ({"backup_keep_last": "many"}, "backup_keep_last"),
    ],
)
def test_bad_values_are_refused(variables: dict[str, Any], sentence: str) -> None:
    run = again(**variables)
    assert run.code != 0
    assert run.changed == {}
    assert sentence in " ".join(run.messages)

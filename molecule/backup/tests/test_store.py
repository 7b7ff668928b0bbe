"""What a user of role backup gets who names an object store: copies, a way back from them, and sentences.

The store asks for rights, and the machines have those alone that role cloud_aws gives machines with data, by the
temporary keys of their identity: no key is on them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from backup_helpers import still, stop
from helpers import ROOT, STATE, Run, apply, machine
from store_helpers import BUCKET, ENDPOINT, GONE, PORT, Store, identified, reachable, serving
from testinfra.host import Host

testinfra_hosts = ["m1", "m2"]  # Debian 12 and 13
EVIDENCE = ["cat /var/lib/beanft-backup/store.json", "beanft-backup status"]
HERE = "/var/lib/beanft-backup"
REPOSITORY = f"{HERE}/repository"
# All that the role puts on a machine and this one would change.
INSTALLED = "/etc/beanft/backup /usr/local/sbin/beanft-backup* /etc/systemd/system/beanft-backup*"
KEPT = "/root/installed.tar"
VARIABLES = yaml.safe_load((ROOT / "molecule/backup/vars/main.yml").read_text(encoding="utf-8"))
NEVER = {f"backup_keep_{name}": 0 for name in ("hourly", "daily", "weekly", "monthly")}
CHANGED = {
    **VARIABLES,
    **NEVER,
    "backup_keep_last": 1,
    "backup_repository": REPOSITORY,
    "backup_store": BUCKET + "/backups/{{ inventory_hostname | split('-') | last }}",
    "backup_store_options": {
        "type": "s3",
        "provider": "AWS",
        "env_auth": True,
        "acl": "bucket-owner-full-control",
        "region": "eu-central-1",
        "endpoint": ENDPOINT,
    },
    "backup_check_percent": 100,
}


def again(target: str = "*-m1:*-m2", **variables: Any) -> Run:
    """Apply the role with the store, and other variables."""
    return apply("backup", target=target, variables={**CHANGED, **variables})


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A store that both machines use; afterwards they are as they were."""
    hosts = [machine(name) for name in testinfra_hosts]
    with (
        serving(STATE / "store.log") as store,
        reachable(store, *testinfra_hosts),
        identified(store, *hosts),
        still(*hosts),
    ):
        try:
            for host in hosts:
                # Another repository than the one on record would be refused.
                host.check_output(f"mv {HERE} {HERE}.away && mkdir -m 0700 {HERE}")
                host.check_output(f"tar --create --file {KEPT} {INSTALLED}")
            run = again()
            assert run.messages == []
            assert again().changed == {}
            # The role has started timers.
            for host in hosts:
                stop(host)
            yield store
        finally:
            for host in hosts:
                host.check_output(f"rm -rf {HERE} && mv {HERE}.away {HERE}")
                host.check_output("rm -f /var/lib/prometheus/node-exporter/beanft_backup_copy.prom")
                # test_check sees whether something is left.
                host.check_output(f"rm -rf {INSTALLED}")
                host.check_output(f"tar --extract --file {KEPT} --directory / && rm {KEPT}")
                host.check_output("systemctl daemon-reload")


@pytest.fixture
def one() -> Host:
    """One of them: Debian's releases differ in restic, and have the same rclone."""
    return machine("m2")


def asked(host: Host, *arguments: str) -> dict[str, Any]:
    """Return what the program answers."""
    words = " ".join(f"'{word}'" for word in arguments)
    return dict(json.loads(host.check_output(f"beanft-backup {words}").splitlines()[-1]))


def name_of(host: Host) -> str:
    """Return a machine's short name."""
    return str(host.check_output("uname -n")).rsplit("-", 1)[-1]


def snapshots(host: Host) -> set[str]:
    """Return the names of backups that the machine has."""
    return set(host.check_output(f"ls {REPOSITORY}/snapshots").split())


def copied(store: Store, host: Host, part: str = "snapshots") -> set[str]:
    """Return the names of what there is of a part of the copy."""
    begin = f"backups/{name_of(host)}/{part}/"
    return {name.rsplit("/", 1)[-1] for name in store.names() if name.startswith(begin)}


def status(host: Host) -> str:
    """Return what is said about backups."""
    return str(host.check_output("beanft-backup status"))


def test_what_is_proven_is_copied(host: Host, store: Store) -> None:
    answer = asked(host, "run", "--json")
    assert answer["problem"] == ""
    assert copied(store, host) == snapshots(host) != set()
    assert f"copy     in {BUCKET}/backups/{name_of(host)}, last 0 min ago" in status(host)
    assert "PROBLEM" not in status(host)
    host.check_output("beanft-backup age")
    figures = host.file("/var/lib/prometheus/node-exporter/beanft_backup_copy.prom")
    assert figures.mode == 0o644
    assert "beanft_backup_copy_last_ok 1" in figures.content_string


def test_no_key_is_on_a_machine(one: Host, store: Store) -> None:
    file = one.file("/etc/beanft/backup/rclone.conf")
    assert (file.user, file.mode) == ("root", 0o600)
    assert "env_auth = true" in file.content_string
    assert "key" not in file.content_string
    secret = store.role["SecretAccessKey"]
    assert one.run("grep -rF %s /etc/beanft /var/lib/beanft-backup", secret).rc == 1


def test_what_is_there_is_encrypted(one: Host, store: Store) -> None:
    first = f"backups/{name_of(one)}/config"
    content = store.client("s3").get_object(Bucket=BUCKET, Key=first)["Body"].read()
    with pytest.raises(ValueError):  # noqa: PT011 - of JSON or of its characters
        json.loads(content)


def test_what_is_written_has_the_acl_that_aws_takes(one: Host, store: Store) -> None:
    # "Controlling ownership of objects" (S3 user guide): no other, and rclone 1.60 can't say none.
    where = f"store:{BUCKET}/backups/{name_of(one)}/locks/tried"
    rclone = "echo x | rclone --config /etc/beanft/backup/rclone.conf"
    done = one.run(f"{rclone} rcat --dump headers -vv {where}")
    assert done.rc == 0, done.stderr
    assert "X-Amz-Acl: bucket-owner-full-control" in done.stderr
    assert "X-Amz-Acl: private" not in done.stderr
    one.check_output(f"{rclone} deletefile {where}")


def test_a_machine_made_anew_goes_on_from_the_copy(host: Host, store: Store) -> None:
    newest = {item["kind"]: item for item in asked(host, "run", "--json")["made"]}["sqlite"]
    identity = host.check_output(f"cat {HERE}/repository-id")
    host.check_output(f"rm -rf {HERE} && rm -rf /srv/app.away && mv /srv/app /srv/app.away")
    try:
        run = again(f"*-{name_of(host)}", backup_repository_id=identity)
        assert run.messages == []
        stop(host)
        found = asked(host, "find", "--kind", "sqlite")
        # Of restic's names Debian 12 has the first eight characters.
        assert found["snapshot"].startswith(newest["snapshot"])
        asked(host, "prepare", "--snapshot", found["snapshot"], "--kind", "sqlite")
        asked(host, "switch")
        lost = "cat /srv/app.away/files/datasets/00000000000000000000000000000002.csv"
        assert host.check_output(lost) == host.check_output(lost.replace("app.away", "app"))
        # And goes on into the same repository.
        assert asked(host, "run", "--json")["problem"] == ""
        assert copied(store, host) == snapshots(host)
    finally:
        host.check_output("rm -rf /srv/app && mv /srv/app.away /srv/app")


def test_a_restore_alone_finds_them_where_the_disk_is_gone(one: Host, store: Store) -> None:
    newest = {item["kind"]: item for item in asked(one, "run", "--json")["made"]}["postgresql"]
    one.check_output(f"rm -rf {REPOSITORY}")
    found = asked(one, "find", "--kind", "postgresql")
    assert found["snapshot"].startswith(newest["snapshot"])


def test_a_machine_without_rights_backs_up_and_says_so(one: Host, store: Store) -> None:
    before = snapshots(one)
    other = {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"}
    store.allow({"Version": "2012-10-17", "Statement": [other]})
    try:
        answer = asked(one, "run", "--json")
        assert "not copied: this machine may not use a-bucket-of-the-tests" in answer["problem"]
        assert snapshots(one) - before
        assert "copy     PROBLEM this machine may not use" in status(one)
        assert "proven by a restore" in status(one)
        figures = one.file("/var/lib/prometheus/node-exporter/beanft_backup_copy.prom")
        assert "beanft_backup_copy_last_ok 0" in figures.content_string
    finally:
        store.allow_again()
    assert asked(one, "run", "--json")["problem"] == ""
    assert copied(store, one) == snapshots(one)


def test_a_store_that_does_not_answer(one: Host, store: Store) -> None:
    config = "/etc/beanft/backup/rclone.conf"
    one.check_output(f"sed -i.kept s/:{PORT}/:9/ {config}")
    try:
        answer = asked(one, "run", "--json")
        assert "can't be reached" in answer["problem"]
        # A new machine doesn't begin anew beside backups that it can't see.
        one.check_output(f"mv {REPOSITORY} {REPOSITORY}.kept")
        done = one.run("beanft-backup init")
        one.check_output(f"mv {REPOSITORY}.kept {REPOSITORY}")
        assert done.rc == 1
        assert "can't be reached" in done.stderr
    finally:
        one.check_output(f"mv {config}.kept {config}")


def test_a_bucket_that_is_gone(one: Host, store: Store) -> None:
    config = "/etc/beanft/backup/config.json"
    one.check_output(f"sed -i.kept s/{BUCKET}/{GONE}/ {config}")
    # Whoever may list no bucket is not told that there is none.
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    store.allow({"Version": "2012-10-17", "Statement": [everything]})
    try:
        answer = asked(one, "run", "--json")
        assert f"there is no bucket {GONE}" in answer["problem"]
    finally:
        store.allow_again()
        one.check_output(f"mv {config}.kept {config}")


def test_the_copy_of_another_repository_is_left_alone(one: Host, store: Store) -> None:
    s3, key = store.client("s3"), f"backups/{name_of(one)}/config"
    content = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"of another")
    before = store.names()
    try:
        answer = asked(one, "run", "--json")
        assert "has the copy of another repository, and nothing was changed" in answer["problem"]
        assert store.names() == before
    finally:
        s3.put_object(Bucket=BUCKET, Key=key, Body=content)


def test_what_was_given_up_goes_there_too(host: Host, store: Store) -> None:
    for _ in range(2):
        asked(host, "run", "--json")
    # One of each of two kinds.
    assert copied(store, host) == snapshots(host)
    assert len(snapshots(host)) == 2
    asked(host, "maintain")
    for part in ("data", "index", "keys", "snapshots"):
        found = host.check_output(f"find {REPOSITORY}/{part} -type f -printf '%f\\n'")
        assert copied(store, host, part) == set(found.split())
    assert copied(store, host, "locks") == set()


def test_a_copy_that_is_damaged_sets_off_the_alarm(host: Host, store: Store) -> None:
    s3, begin = store.client("s3"), f"backups/{name_of(host)}/data/"
    kept = {
        name: s3.get_object(Bucket=BUCKET, Key=name)["Body"].read()
        for name in store.names()
        if name.startswith(begin)
    }
    try:
        for name, content in kept.items():
            s3.put_object(Bucket=BUCKET, Key=name, Body=bytes(len(content)))
        asked(host, "maintain")
        assert "PROBLEM the copy in" in status(host)
        # A copy of what is new doesn't mend it.
        asked(host, "run", "--json")
        done = host.run("beanft-backup age")
        assert done.rc == 1
        assert "is damaged" in done.stderr
    finally:
        for name, content in kept.items():
            s3.put_object(Bucket=BUCKET, Key=name, Body=content)
    asked(host, "maintain")
    assert "PROBLEM" not in status(host)
    host.check_output("beanft-backup age")


def test_the_alarm_goes_off_when_the_last_copy_is_too_old(one: Host, store: Store) -> None:
    asked(one, "run", "--json")
    old = "import json, pathlib; p = pathlib.Path('/var/lib/beanft-backup/store.json'); s = json.loads(p.read_text())"
    old += "; s['last_good'] = '2026-01-01T00:00:00+00:00'; p.write_text(json.dumps(s))"
    one.check_output("python3 -c %s", old)
    done = one.run("beanft-backup age")
    assert done.rc == 1
    assert "the last copy of backups in" in done.stderr
    assert "TOO OLD: 15 min are allowed" in status(one)
    asked(one, "run", "--json")
    one.check_output("beanft-backup age")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"backup_store": "a-bucket"}, "name a folder in a bucket, as bucket/folder"),
        ({"backup_repository": "s3:https://store.invalid/a/b"}, "the repository as a path"),
        ({"backup_store_options": {"provider": "AWS"}}, "a type in backup_store_options"),
    ],
)
def test_bad_values_are_refused(store: Store, variables: dict[str, Any], sentence: str) -> None:
    keys = {"backup_s3_key_id": "x", "backup_s3_secret": "x"}
    run = again(**variables, **keys)
    assert run.code != 0
    assert run.changed == {}
    assert sentence in " ".join(run.messages)

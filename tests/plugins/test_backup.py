"""The program that backs up, as far as it works without restic and servers; molecule/backup has the rest."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

KEY = "datasets/0123456789abcdef0123456789abcdef.csv"


@pytest.fixture
def program(
    role_file: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    """Return the program, with folders of its own."""
    module = role_file("backup/files/beanft_backup.py")
    monkeypatch.setattr(module, "STATE", tmp_path / "state")
    monkeypatch.setattr(module, "FOLDER", tmp_path / "etc")
    monkeypatch.setattr(module, "LOCK", tmp_path / "lock")
    return module


@pytest.fixture
def settings(program: ModuleType, tmp_path: Path) -> Any:
    """Return settings, as the role writes them."""
    return program.Settings(
        repository="/nowhere",
        environment="tests",
        stack="beanft",
        volume="",
        directory=str(tmp_path / "app"),
        database="",
        port=5432,
        keep={"last": 3, "hourly": 0},
        check_hours=24,
        check_percent=5,
        max_age_minutes=15,
        alarm_command=[],
        metrics_directory=str(tmp_path / "metrics"),
    )


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return an SQLite database with a file that it refers to."""
    path = tmp_path / "beanft.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('0004');"
            "CREATE TABLE datasets (storage_key TEXT, sha256 TEXT); CREATE TABLE users (picture_key TEXT);"
            "CREATE TABLE idempotency_keys (some_key TEXT); INSERT INTO idempotency_keys VALUES ('of a client');"
        )
        digest = hashlib.sha256(b"a").hexdigest()
        connection.execute("INSERT INTO datasets VALUES (?, ?)", (KEY, digest))
        connection.execute("INSERT INTO users VALUES (?)", (KEY.replace("datasets", "pictures"),))
        connection.commit()
    return path


def test_what_is_in_a_database(program: ModuleType, database: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    program.copy_sqlite(database, copy)
    content = program.content_of(copy)
    assert content.rows == {"alembic_version": 1, "datasets": 1, "idempotency_keys": 1, "users": 1}
    assert content.schema == "0004"
    assert set(content.files) == {KEY, KEY.replace("datasets", "pictures")}
    (tmp_path / KEY).parent.mkdir()
    (tmp_path / KEY).write_bytes(b"a")
    assert program.lacking(content, tmp_path) == [KEY.replace("datasets", "pictures")]
    assert program.damaged({KEY: content.files[KEY]}, tmp_path) == []
    (tmp_path / KEY).write_bytes(b"b")
    assert program.damaged({KEY: content.files[KEY]}, tmp_path) == [KEY]


def test_a_damaged_database_is_none(program: ModuleType, database: Path) -> None:
    data = bytearray(database.read_bytes())
    data[4096:8192] = bytes(4096)
    database.write_bytes(data)
    with pytest.raises((program.BackupError, sqlite3.DatabaseError)):
        program.content_of(database)


@pytest.mark.parametrize("found", [{"a": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 2, "c": 0}])
def test_rows_have_to_be_the_same(program: ModuleType, found: dict[str, int]) -> None:
    program.compare_rows({"a": 1, "b": 2}, {"a": 1, "b": 2})
    with pytest.raises(program.BackupError, match="rows in what was restored"):
        program.compare_rows(found, {"a": 1, "b": 2})


def snapshots(program: ModuleType, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a repository that knows three backups, one of them of PostgreSQL."""
    known = [
        {"id": "aaaaaa11", "time": "2026-01-01T10:00:00Z", "tags": ["sqlite"]},
        {"id": "bbbbbb22", "time": "2026-01-01T10:05:00.123456789Z", "tags": ["sqlite"]},
        {"id": "cccccc33", "time": "2026-01-01T10:06:00Z", "tags": ["postgresql"]},
    ]
    repository = program.Repository(settings)

    def answer(*tags: str) -> list[dict[str, Any]]:
        return [item for item in known if not tags or set(tags) & set(item["tags"])]

    monkeypatch.setattr(repository, "snapshots", answer)
    return repository


@pytest.mark.parametrize(
    ("at", "found"),
    [
        ("", "bbbbbb22"),
        ("aaaaaa", "aaaaaa11"),
        ("2026-01-01T10:04:59", "aaaaaa11"),
        ("2026-01-01T10:05", "bbbbbb22"),
        ("2026-01-01 11:04:59+01:00", "aaaaaa11"),
        ("2026-01-02", "bbbbbb22"),
    ],
)
def test_which_backup_is_of_a_moment(
    program: ModuleType, settings: Any, monkeypatch: pytest.MonkeyPatch, at: str, found: str
) -> None:
    assert snapshots(program, settings, monkeypatch).find(at, "sqlite")["id"] == found


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("2026-01-01T09:59:59", "the oldest is aaaaaa11 of 2026-01-01 10:00:00"),
        ("soon", "AT=soon is neither the id of a backup nor a time"),
        ("cccccc33", "backup cccccc33 is of postgresql"),
    ],
)
def test_what_is_no_backup_is_refused(
    program: ModuleType, settings: Any, monkeypatch: pytest.MonkeyPatch, at: str, words: str
) -> None:
    with pytest.raises(program.BackupError, match=words):
        snapshots(program, settings, monkeypatch).find(at, "sqlite")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"Fatal: wrong password or no key found\n", "the password does not open the repository"),
        (b"Is there a repository at the following location?\n/x\n", "there is no repository at"),
        (
            b"Fatal: no space left\n\ngoroutine 1\n",
            "restic check failed on /nowhere: Fatal: no space left",
        ),
    ],
)
def test_what_restic_says_is_put_into_a_sentence(
    program: ModuleType, settings: Any, monkeypatch: pytest.MonkeyPatch, said: bytes, words: str
) -> None:
    done = program.subprocess.CompletedProcess([], 1, b"", said)
    monkeypatch.setattr(program, "run", lambda *_, **__: done)
    with pytest.raises(program.BackupError, match=words):
        program.Repository(settings).restic("check", cached=False)


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("sftp:keeper@192.0.2.1:/srv/r", "keeper@192.0.2.1 -s sftp"),
        ("sftp://keeper@store.invalid:2222//srv/r", "-p 2222 keeper@store.invalid -s sftp"),
    ],
)
def test_a_server_for_sftp_is_known_by_its_key(
    program: ModuleType, settings: Any, name: str, where: str
) -> None:
    found = program.SFTP.match(name)
    command = program.Repository(settings)._ssh(found)
    assert command.endswith(where)
    assert "StrictHostKeyChecking=yes" in command


def release(number: int, result: str, url: str) -> dict[str, Any]:
    """Return a release record as the Swarm keeps it."""
    worker = {"environment": {"BEANFT_DATABASE_URL": url} if url else {}}
    return {"number": number, "result": result, "stack": {"services": {"worker": worker}}}


@pytest.mark.parametrize(
    ("records", "postgresql"),
    [
        ([release(1, "succeeded", "")], False),
        ([release(1, "succeeded", ""), release(2, "succeeded", "postgresql+psycopg://x/y")], True),
        ([release(1, "succeeded", ""), release(2, "failed", "postgresql+psycopg://x/y")], False),
    ],
)
def test_the_current_release_says_where_the_data_are(
    program: ModuleType, settings: Any, records: list[dict[str, Any]], postgresql: bool
) -> None:
    kept = program.Records(settings, program.Repository(settings))
    # Signed ones are in an envelope.
    kept._read = [
        {
            "name": str(item["number"]),
            "labels": {},
            "data": encoded({"record": json.dumps(item), "signature": "x"}),
        }
        for item in records
    ]
    assert program.is_postgresql(kept.current()) is postgresql


def encoded(content: dict[str, Any]) -> str:
    """Return a config's content as the engine does."""
    import base64

    return base64.b64encode(json.dumps(content).encode()).decode()


def test_a_release_whose_database_is_gone_is_no_success(
    program: ModuleType, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(release(1, "succeeded", ""))
    monkeypatch.setattr(
        program.Records, "read", lambda _: [{"name": "1", "labels": {}, "data": data}]
    )
    with pytest.raises(
        program.BackupError, match=r"beanft\.sqlite3, which the current release uses, is gone"
    ):
        program.sources(settings, program.Repository(settings))


def test_a_second_one_is_refused(program: ModuleType) -> None:
    with (
        program.alone(),
        pytest.raises(program.BackupError, match=r"under way .process [0-9]+, since "),
        program.alone(),
    ):
        pass
    with program.alone():
        pass


def test_alarm_by_the_age_of_the_last_good_one(
    program: ModuleType, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def good(minutes: int) -> None:
        then = program.now() - dt.timedelta(minutes=minutes)
        program.note(
            settings, {"last_good": then.isoformat(), "made": [], "problem": "", "failed_at": ""}
        )

    good(14)
    assert program.alarm(settings) == 0
    good(16)
    assert program.alarm(settings) == 1
    assert (
        "<3>the last good backup of tests is 16 min old, and 15 are allowed"
        in capsys.readouterr().err
    )
    metrics = Path(settings.metrics_directory) / "beanft_backup.prom"
    assert "\nbeanft_backup_last_success_timestamp_seconds 1" in metrics.read_text()


@pytest.mark.parametrize(
    ("here", "on_record", "found", "sentence"),
    [
        ("a" * 64, "b" * 64, "a" * 64, "backup_repository_id says bbbbbbbbbbbb"),
        ("", "b" * 64, "c" * 64, "it is cccccccccccc, and bbbbbbbbbbbb is on record"),
        ("a" * 64, "", "c" * 64, "it is cccccccccccc, and aaaaaaaaaaaa is on record"),
    ],
)
def test_a_repository_that_is_not_on_record_is_refused_and_not_recorded(
    program: ModuleType,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    here: str,
    on_record: str,
    found: str,
    sentence: str,
) -> None:
    record = program.STATE / "repository-id"
    if here:
        program.write(record, here + "\n")
    monkeypatch.setattr(program.Repository, "identity", lambda _repository: found)
    with pytest.raises(program.BackupError, match=sentence):
        program.Repository(settings).init(on_record)
    assert record.exists() == bool(here)
    assert not here or record.read_text() == here + "\n"


def test_a_machine_made_anew_takes_the_repository_on_record(
    program: ModuleType, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program.Repository, "identity", lambda _repository: "b" * 64)
    answers = [program.Repository(settings).init("b" * 64) for _ in range(2)]
    assert [answer["changed"] for answer in answers] == [True, False]
    assert (program.STATE / "repository-id").read_text() == "b" * 64 + "\n"

"""The program that copies backups to an object store, as far as it works without one; molecule/backup has the rest."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def program(
    role_file: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    """Return the program, with folders of its own."""
    module = role_file("backup/files/beanft_backup_store.py")
    monkeypatch.setattr(module, "STATE", tmp_path)
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    settings = {
        "store": "bucket/backups/m1",
        "repository": str(tmp_path / "repository"),
        "check_percent": 5,
        "max_age_minutes": 15,
        "metrics_directory": str(tmp_path),
    }
    (tmp_path / "config.json").write_text(json.dumps(settings))
    return module


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "2026/01/01 00:00:00 ERROR : x: AccessDenied: Access Denied",
            "this machine may not use b",
        ),
        (
            "Failed to copy: Forbidden: Forbidden\n\tstatus code: 403, request id: x",
            "may not use b",
        ),
        ("NoCredentialProviders: no valid providers in chain. Deprecated.", "has no identity at"),
        (
            "ERROR : error listing: directory not found",
            "there is no bucket bucket: 'make provision'",
        ),
        (
            "Failed: dial tcp 192.0.2.1:443: i/o timeout",
            "the store of bucket/x can't be reached: F",
        ),
        (
            "2026/01/01 00:00:00 Failed to copy: no space left",
            "bucket/x failed: Failed to copy: no",
        ),
        ("", "copying to or from bucket/x failed: exit code 1"),
    ],
)
def test_what_rclone_says_is_put_into_a_sentence(
    program: ModuleType, said: str, words: str
) -> None:
    done = subprocess.CompletedProcess([], 1, b"", said.encode())
    sentence = program.why("bucket/x", done)
    assert words in sentence
    assert "\n" not in sentence


def test_how_it_went_is_remembered_and_told(program: ModuleType, tmp_path: Path) -> None:
    store = program.Store()
    assert store.sentence() == "copy     there is none in bucket/backups/m1 yet"
    assert store.late() == ""
    store.note("it failed")
    assert (
        "there is no good one in bucket/backups/m1\ncopy     PROBLEM it failed" in store.sentence()
    )
    assert "success_timestamp_seconds 0\n" in (tmp_path / "beanft_backup_copy.prom").read_text()
    store.note()
    assert store.sentence() == "copy     in bucket/backups/m1, last 0 min ago"
    store.note(damage="it is damaged")
    store.note()
    assert store.late() == "it is damaged", "a copy of what is new mends nothing"
    store.note(damage="")
    assert store.late() == ""


def test_the_last_copy_is_too_old(program: ModuleType, tmp_path: Path) -> None:
    store = program.Store()
    then = program.now() - dt.timedelta(minutes=16)
    state = {"where": store.where, "since": then.isoformat(), "problem": "no way"}
    (tmp_path / "store.json").write_text(json.dumps(state))
    assert store.late().endswith("is 16 min old, and 15 are allowed: no way")
    assert "TOO OLD: 15 min are allowed" in store.sentence()
    # Of another place it says nothing.
    state["where"] = "elsewhere/x"
    (tmp_path / "store.json").write_text(json.dumps(state))
    assert store.late() == ""


def test_what_a_backup_needs_is_copied_before_it_and_removed_after_it(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "config").write_bytes(b"ours")
    called: list[tuple[str, ...]] = []

    def run(*command: str) -> subprocess.CompletedProcess[bytes]:
        called.append(command)
        out = {"lsf": b"config\n", "cat": b"ours"}.get(command[1], b"")
        return subprocess.CompletedProcess(command, 0, out, b"")

    monkeypatch.setattr(program, "run", run)
    program.Store().maintain()
    steps = [
        (command[1], command[-1].removeprefix("store:bucket/backups/m1"))
        for command in called
        if command[0] == "rclone"
    ]
    assert steps == [
        ("lsf", ""),
        ("cat", "/config"),
        ("copy", ""),
        ("sync", "/snapshots"),
        ("sync", "/index"),
        ("sync", ""),
    ]
    assert "--exclude=/snapshots/**" in called[2]
    assert all("--exclude=/locks/**" in called[number] for number in (2, 5))
    assert called[-1][0] == "restic"


def test_another_repositorys_copy_is_left_alone(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "config").write_bytes(b"ours")

    def rclone(_: Any, verb: str, *_arguments: str) -> bytes:
        assert verb in ("lsf", "cat")
        return b"config\n" if verb == "lsf" else b"another's"

    monkeypatch.setattr(program.Store, "rclone", rclone)
    with pytest.raises(program.StoreError, match="has the copy of another repository"):
        program.Store().copy()

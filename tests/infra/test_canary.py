"""The search for a secret finds one that was hidden on purpose, wherever and however."""

from __future__ import annotations

import base64
import os
import random
import string
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.canary import Report, find
from tests.fleet.canary_search import CHUNK, Search
from tests.fleet.checkout import Checkout, CommandError

NEEDLE = "Canary7dZ3xQ9mT2vK5"


def found(data: bytes, needle: str = NEEDLE) -> list[str]:
    search = Search(needle)
    search.look("file", "x", [data])
    return search.found


def test_forms() -> None:
    """In base64 wherever in a group it begins, and whatever stands around it."""
    dice = random.Random(1)  # noqa: S311 - the same each time
    for _ in range(300):
        size = dice.randrange(16, 40)
        needle = "".join(dice.choice(string.printable[:94]) for _ in range(size))
        data = (
            dice.randbytes(dice.randrange(9)) + needle.encode() + dice.randbytes(dice.randrange(9))
        )
        assert "file: x (raw)" in found(data, needle)
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            assert "file: x (base64)" in found(encode(data), needle)
        assert "file: x (hex)" in found(data.hex().encode(), needle)
        assert "file: x (hex)" in found(data.hex().upper().encode(), needle)


def test_what_is_not_there_is_not_found() -> None:
    other = NEEDLE[:-3] + "x" + NEEDLE[-2:]
    assert found(other.encode()) == []
    assert found(base64.b64encode(other.encode())) == []
    assert found(other.encode().hex().encode()) == []


def test_found_across_the_edge_of_what_is_read_at_once() -> None:
    for split in range(1, len(NEEDLE)):
        search = Search(NEEDLE)
        data = b"a" * 50 + NEEDLE.encode()
        search.look("file", "x", [data[: 50 + split], data[50 + split :]])
        assert search.found == ["file: x (raw)"]


def test_short_needle_is_refused() -> None:
    with pytest.raises(ValueError, match="found by chance"):
        Search("short")


def test_folder(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/log").write_bytes(b"x" * (CHUNK - 5) + NEEDLE.encode() + b"\n")
    (tmp_path / "a" / NEEDLE).touch()
    (tmp_path / "kept").write_text(NEEDLE)
    (tmp_path / "clean").write_text("nothing")
    search = Search(NEEDLE)
    search.folder(tmp_path, skip=["kept"])
    assert search.found == [f"name: {tmp_path}/a/{NEEDLE} (raw)", f"file: {tmp_path}/a/b/log (raw)"]
    assert search.looked == {"name": 6, "file": 3}


@pytest.mark.parametrize("kind", ["environ", "cmdline"])
def test_processes(kind: str) -> None:
    needle = f"Canary{uuid.uuid4().hex}"
    code = "import sys; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, *([needle] if kind == "cmdline" else [])]
    environment = {**os.environ, "SECRET": needle} if kind == "environ" else None
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        search = Search(needle)
        search.processes()
        process.communicate()
    assert search.found == [f"process: {kind} of {process.pid} (raw)"]


@pytest.fixture
def container() -> Iterator[tuple[str, str]]:
    """A container that has a secret in its environment and says it in its log, encoded."""
    needle = f"Canary{uuid.uuid4().hex}"
    name = subprocess.run(
        ["bash", "-c", ". bin/_env; printf %s $BEANFT_CHECKOUT"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    options = ["--detach", "--network", "none", "--env", f"SECRET={needle}", f"{name}/base:trixie"]
    code = 'echo "a$SECRET" | base64 --wrap=0; echo; exec sleep 300'
    started = subprocess.run(
        ["docker", "run", *options, "sh", "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    yield needle, started[:12]
    subprocess.run(["docker", "rm", "--force", started], check=True, capture_output=True)


def test_container(container: tuple[str, str]) -> None:
    needle, identity = container
    until = time.monotonic() + 30
    while not subprocess.run(["docker", "logs", identity], capture_output=True, check=True).stdout:
        assert time.monotonic() < until, "the container said nothing"
        time.sleep(0.05)
    search = Search(needle)
    search.docker()
    assert f"inspect: container {identity} (raw)" in search.found
    assert f"log: container {identity} (base64)" in search.found
    assert not any(place.startswith(("image", "inspect: network")) for place in search.found)


def test_configs_are_decoded() -> None:
    search = Search(NEEDLE)
    search.record({"Name": "release-1", "Data": base64.b64encode(NEEDLE.encode()).decode()})
    search.record({"Name": "empty"})
    assert search.found == ["record: config release-1 (raw)"]
    assert search.looked == {"record": 2}


def test_command_that_fails_is_no_clean_place() -> None:
    with pytest.raises(RuntimeError, match="failed: no engine"):
        Search(NEEDLE).command("log", "x", sys.executable, "-c", "raise SystemExit('no engine')")
    Search(NEEDLE).command(
        "log", "x", sys.executable, "-c", "raise SystemExit('No such container')"
    )


def test_report_that_looked_at_nothing_is_not_clean() -> None:
    report = Report()
    with pytest.raises(AssertionError, match="no machine was searched"):
        report.assert_thorough()
    report.add("here", [], {"file": 3})
    looked = {
        "process": 1,
        "inspect": 1,
        "image": 1,
        "log": 1,
        "journal": 1,
        "file": 1,
        "record": 1,
    }
    report.add("m1", [], looked)
    report.assert_thorough()
    report.add("m2", [], {**looked, "log": 0} | {"process": 1})
    del report.looked["m2"]["log"]
    with pytest.raises(AssertionError, match="m2: nothing looked at of log"):
        report.assert_thorough()


def test_find_looks_into_outputs_and_the_checkouts_own_files(tmp_path: Path) -> None:
    state = tmp_path / ".local/local-local"
    state.mkdir(parents=True)
    (state / "vault-password").write_text(NEEDLE)
    (state / "note").write_text(base64.b64encode(NEEDLE.encode()).decode())
    (tmp_path / "build/logs").mkdir(parents=True)
    (tmp_path / "build/logs/deploy.log").write_text(NEEDLE)
    (tmp_path / "app").write_text(NEEDLE)  # what is in the repository is not searched
    report = find(NEEDLE, Checkout(tmp_path), [], {"make deploy": f"a {NEEDLE}", "make plan": "b"})
    assert report.found == [
        "here: output: make deploy (raw)",
        f"here: file: {tmp_path}/build/logs/deploy.log (raw)",
        f"here: file: {state}/note (base64)",
    ]


def test_machine_that_can_not_be_searched_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ssh").write_text("#!/bin/sh\necho 'no machine called m9' >&2\nexit 1\n")
    (tmp_path / "bin/ssh").chmod(0o755)
    with pytest.raises(CommandError, match="m9 could not be searched: no machine called m9"):
        find(NEEDLE, Checkout(tmp_path), ["m9"])

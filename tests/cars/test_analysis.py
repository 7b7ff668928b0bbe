"""The batch job: right results, on whatever is mounted, and one sentence where that can't be."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.cars.conftest import CHECKOUT, IMAGE, RIGHTS, ROOT, docker

FILE = "efficient_cars.csv"


def analysis(results: Path | str, *, code: int = 0, **variables: str) -> str:
    """Run bin/analysis and return what it said."""
    done = subprocess.run(
        ["bin/analysis"],
        cwd=ROOT,
        env={**os.environ, "RESULTS": str(results), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def job(*options: str, code: int = 0) -> str:
    """Run the job by hand and return what it said."""
    done = subprocess.run(
        ["docker", "run", *RIGHTS, "--network", "none", *options, IMAGE, "analysis"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def volume() -> Iterator[str]:
    name = f"{CHECKOUT}-cars-{uuid.uuid4().hex[:8]}"
    docker("volume", "create", "--label", f"beanft.checkout={CHECKOUT}", name)
    yield name
    docker("volume", "rm", "--force", name)


def test_results_are_those_of_pandas(tmp_path: Path, mtcars: pd.DataFrame) -> None:
    text = analysis(tmp_path / "new" / "results")
    expected = mtcars[mtcars["mpg"] > 20].reset_index(drop=True)
    assert len(expected) == 14
    found = pd.read_csv(tmp_path / "new" / "results" / FILE)
    # 4 and 4.0 are one number.
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_exact=True)
    assert text.startswith("R version 4.")
    assert "14 of 32 cars" in text
    for model in expected["car model"]:
        assert model in text


def test_results_belong_to_the_caller_and_are_all_that_is_left(tmp_path: Path) -> None:
    for _ in range(2):
        analysis(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
    found = (tmp_path / FILE).stat()
    assert (found.st_uid, found.st_gid) == (os.getuid(), os.getgid())


@pytest.mark.parametrize("owner", ["10003:10003", "12345:23456"])
def test_results_belong_to_whoever_the_container_is(tmp_path: Path, owner: str) -> None:
    tmp_path.chmod(0o777)
    job("--rm", "--user", owner, "--volume", f"{tmp_path}:/home/results")
    found = (tmp_path / FILE).stat()
    assert f"{found.st_uid}:{found.st_gid}" == owner
    # Whoever runs the tests may not be root, and has to get rid of it.
    docker(
        "run",
        "--rm",
        "--user",
        owner,
        "--volume",
        f"{tmp_path}:/results",
        IMAGE,
        "rm",
        f"/results/{FILE}",
    )


def test_a_named_volume_keeps_the_results_of_a_container_that_is_removed(volume: str) -> None:
    name = f"{volume}-container"
    job("--name", name, "--volume", f"{volume}:/home/results")
    docker("rm", "--volumes", name)
    read = ("run", "--rm", "--volume", f"{volume}:/results:ro", IMAGE)
    assert docker(*read, "stat", "--format", "%u:%g", f"/results/{FILE}").strip() == "10003:10003"
    assert len(docker(*read, "cat", f"/results/{FILE}").splitlines()) == 15


def test_a_directory_that_is_not_writable_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    volume = f"{tmp_path}:/home/results"
    for options in (["--user", "12345", "--volume", volume], ["--volume", f"{volume}:ro"], []):
        text = job("--rm", *options, code=1)
        assert len(text.splitlines()) == 1
        assert text.startswith("analysis: /home/results is not writable for user 1")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing_half(tmp_path: Path) -> None:
    full = ["--tmpfs", "/home/results:size=16k,uid=10003,gid=10003"]
    command = [
        "bash",
        "-c",
        "head -c 16384 /dev/zero >/home/results/full; analysis; echo $?; ls -A /home/results",
    ]
    text = docker("run", "--rm", *RIGHTS, *full, IMAGE, *command)
    assert text.splitlines()[-2:] == ["1", "full"]


def test_a_path_that_can_not_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    text = analysis(tmp_path / "file" / "results", code=1)
    assert f"RESULTS='{tmp_path}/file/results' can't be made" in text
    assert len(text.splitlines()) == 1


def test_an_image_that_is_missing_is_said(tmp_path: Path) -> None:
    """In a checkout of another path, whose images have other names."""
    (tmp_path / "bin").mkdir()
    for name in ("_env", "analysis"):
        (tmp_path / "bin" / name).write_bytes((ROOT / "bin" / name).read_bytes())
        (tmp_path / "bin" / name).chmod(0o755)
    done = subprocess.run(
        ["bin/analysis"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "/cars: 'make analysis' builds it, 'make image-load FILE=…' takes one" in done.stderr
    assert len(done.stderr.splitlines()) == 1

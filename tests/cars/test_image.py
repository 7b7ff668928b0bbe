"""What image cars promises: the versions of its lock, few rights, and the way of a file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cars.conftest import CHECKOUT, IMAGE, RIGHTS, ROOT, docker

LOCKED = [
    line
    for line in (ROOT / "docker/cars/versions.lock").read_text().splitlines()
    if not line.startswith("#")
]


R_LOCKED = [line for line in LOCKED if line.startswith("r-")]


def test_its_label_says_what_came_and_r_is_as_in_the_lock() -> None:
    labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", IMAGE))
    came = labels["beanft.packages"].split()
    found = docker(
        "run", "--rm", IMAGE, "dpkg-query", "-W", "-f", "${Package}=${Version}\\n"
    ).split()
    assert set(came) <= set(found)
    assert [line for line in came if line.startswith("r-")] == R_LOCKED
    assert any(line.startswith("r-cran-plumber=") for line in R_LOCKED)
    assert labels["org.opencontainers.image.version"] == (ROOT / "VERSION").read_text().strip()


def compare(versions: list[str]) -> tuple[int, str]:
    """Compare a lock with what is in the image, as its build does."""
    done = subprocess.run(
        ["docker", "run", "--rm", *RIGHTS, "--env", f"LOCKED={' '.join(versions)}",
         "--volume", f"{ROOT}/docker/cars/packages:/packages:ro", IMAGE, "/packages/compare"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_other_versions_are_named() -> None:
    assert compare(LOCKED) == (0, "")
    assert compare([*R_LOCKED, "libnew=1"]) == (0, ""), "of others, Debian renews some every week"
    tibble = next(line for line in LOCKED if line.startswith("r-cran-tibble="))
    others = [line for line in LOCKED if not line.startswith(("r-cran-dplyr=", "r-cran-tibble="))]
    code, text = compare([*others, "r-cran-tibble=1:9", "r-cran-new=2"])
    assert code == 1
    assert text.startswith("error: R has other versions than in docker/cars/versions.lock; ")
    assert f"r-cran-tibble is {tibble.partition('=')[2]} and locked is 1:9" in text
    assert "r-cran-new is missing and locked is 2" in text
    assert "r-cran-dplyr is 1" in text
    assert "and not locked" in text
    assert text.count("; ") == 3


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "20261101"])
def test_a_day_that_is_none_is_refused(day: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "docker/build.py", "--manifest", str(tmp_path / "images.json"), "cars"],
        cwd=ROOT, env={**os.environ, "WHEN": day}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"beanft: WHEN='{day}' is no day: write it as 2026-11-01\n"


def test_it_is_no_larger_than_promised() -> None:
    assert int(docker("image", "inspect", "--format", "{{.Size}}", IMAGE)) < 900e6


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another checkout, of somebody to whom an image is handed."""
    for name in ("bin", "ansible/plugins/module_utils"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "ansible/roles").symlink_to(ROOT / "ansible/roles")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    return tmp_path


def test_as_a_file_it_comes_to_somebody_else_and_runs(other: Path) -> None:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    version = (ROOT / "VERSION").read_text().strip()

    def script(where: Path, *command: str, **variables: str) -> str:
        done = subprocess.run(
            command,
            cwd=where,
            env={**clean, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    said = script(ROOT, "bin/image", "save", "cars")
    name = f"cars-{version}.tar.zst" if shutil.which("zstd") else f"cars-{version}.tar.gz"
    assert said.startswith(f"image: dist/{name}, ")
    for suffix in ("", ".sha256", ".sha256.sig"):
        shutil.copy(ROOT / f"dist/{name}{suffix}", other)
    signers = ROOT / ".local/local-local/allowed_signers"
    said = script(other, "bin/image", "load", name, SIGNERS=str(signers))
    checkout = script(other, "bash", "-c", ". bin/_env; printf %s $BEANFT_CHECKOUT")
    try:
        assert checkout != CHECKOUT
        identity = ("image", "inspect", "--format", "{{.Id}}")
        assert docker(*identity, f"{checkout}/cars") == docker(*identity, IMAGE)
        # As it says itself.
        command = next(line for line in said.splitlines() if line.startswith("  docker run "))
        command += " cat /opt/cars/golden.csv"
        assert len(script(other, "bash", "-c", command).splitlines()) == 15
        assert "14 of 32 cars" in script(other, "bin/analysis")
        assert len((other / "results/efficient_cars.csv").read_text().splitlines()) == 15
    finally:
        docker("rmi", f"{checkout}/cars", f"beanft/cars:{version}")

"""A tree whose runs leave nothing in this checkout, and the cloud.

Nobody connects to an address that a cloud handed out: plays that talk to machines are left out, and `ssh` is a program
that only notes that it was called.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from tests.cloud import azure_fake, gcp_fake
from tests.cloud.aws_faults import Proxy
from tests.cloud.stand_in import ROOT, Aws, Azure, Gcp, moto

pytest.register_assert_rewrite("tests.cloud.secrets_story")
ROWS = ROOT / "build" / "test-cloud-rows"


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what `bin/play` reads."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "ansible", tree / "ansible", symlinks=True)
    (tree / "bin").mkdir()
    for name in (
        *("_env", "play", "cloud_ready.py", "fork_server.py", "forked_python"),
        *("vault", "vault.py", "rotate", "state"),
    ):
        shutil.copy(ROOT / "bin" / name, tree / "bin" / name)
    ssh = tree / "bin" / "ssh-of-run"
    ssh.write_text(
        '#!/bin/sh\nfor word; do case $word in *.*.*.*) echo "$word" ;; esac; done'
        f" >>{tree}/called\nexit 255\n"
    )
    ssh.chmod(0o755)
    (tree / ".venv").symlink_to(sys.prefix)
    return tree


@pytest.fixture(scope="session")
def rows(worker_id: str) -> Iterator[list[dict[str, Any]]]:
    """A table of what verbs changed and took, of which each worker has a part."""
    rows: list[dict[str, Any]] = []
    yield rows
    ROWS.mkdir(parents=True, exist_ok=True)
    (ROWS / f"{worker_id}.json").write_text(json.dumps(rows), encoding="utf-8")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Leave out what a run that was killed has left."""
    if not hasattr(session.config, "workerinput"):
        for part in ROWS.glob("*.json"):
            part.unlink()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Show the table, once."""
    if hasattr(session.config, "workerinput"):
        return
    parts = sorted(ROWS.glob("*.json"))
    rows = [row for part in parts for row in json.loads(part.read_text(encoding="utf-8"))]
    for part in parts:
        part.unlink()
    # A table a cloud: a verb's name begins with its cloud's.
    clouds = sorted({row["name"].split()[0] for row in rows})
    for cloud in clouds:
        own = sorted((row for row in rows if row["name"].startswith(cloud)), key=itemgetter("name"))
        subprocess.run(
            [ROOT / "bin" / "report", f"test-cloud-{cloud}", *map(json.dumps, own)], check=True
        )


@pytest.fixture(scope="module")
def said() -> list[str]:
    """All that was printed in a file of tests."""
    return []


@pytest.fixture(scope="session")
def aws(tree: Path, rows: list[dict[str, Any]]) -> Iterator[Aws]:
    """AWS."""
    with moto(tree) as port, Proxy(port) as proxy:
        yield Aws(tree, rows, proxy, port)


@pytest.fixture(scope="session")
def gcp(tree: Path, rows: list[dict[str, Any]]) -> Iterator[Gcp]:
    """GCP."""
    with gcp_fake.Fake(tree) as fake:
        yield Gcp(tree, rows, fake)


@pytest.fixture(scope="session")
def azure(tree: Path, rows: list[dict[str, Any]]) -> Iterator[Azure]:
    """Azure."""
    with azure_fake.Fake(tree) as fake:
        yield Azure(tree, rows, fake)


@pytest.fixture(autouse=True)
def healed(request: pytest.FixtureRequest) -> Iterator[None]:
    """No fault outlives its test, and nobody has asked a host that is none of the cloud's."""
    used = {
        name: request.getfixturevalue(name)
        for name in ("aws", "azure", "gcp")
        if name in request.fixturenames
    }
    yield
    for name, cloud in used.items():
        if name == "aws":
            for kind in (cloud.proxy.faults, cloud.proxy.afterwards, cloud.proxy.instead):
                kind.clear()
        else:
            cloud.fake.faults.clear()
            assert cloud.fake.refused_hosts == []

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
from pathlib import Path

import pytest

from tests.cloud.aws_faults import Proxy
from tests.cloud.stand_in import ROOT, Aws, moto


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what `bin/play` reads."""
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "ansible", tree / "ansible", symlinks=True)
    (tree / "bin").mkdir()
    for name in ("_env", "play", "cloud_ready.py"):
        shutil.copy(ROOT / "bin" / name, tree / "bin" / name)
    ssh = tree / "bin" / "ssh-of-run"
    ssh.write_text(
        '#!/bin/sh\nfor word; do case $word in *.*.*.*) echo "$word" ;; esac; done'
        f" >>{tree}/called\nexit 255\n"
    )
    ssh.chmod(0o755)
    (tree / ".venv").mkdir()
    (tree / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    return tree


@pytest.fixture(scope="session")
def aws(tree: Path) -> Iterator[Aws]:
    """AWS, and in the end a table of what its verbs took."""
    with moto(tree) as port, Proxy(port) as proxy:
        cloud = Aws(tree, proxy, port)
        yield cloud
    if cloud.rows:
        subprocess.run(
            [ROOT / "bin" / "report", "test-cloud", *map(json.dumps, cloud.rows)], check=True
        )

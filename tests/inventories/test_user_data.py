"""User data for machines that are to come: made by the real play, read as cloud-init reads it.

Whether cloud-init knows every key is asked of itself, in `make test-vm`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MACHINES = {
    "m1": {"address": "192.0.2.1", "groups": ["managers", "edge"]},
    "m2": {"address": "192.0.2.2", "groups": ["workers"], "user": "admin"},
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what `bin/play` reads, with a list of two machines."""
    shutil.copytree(ROOT / "ansible", tmp_path / "ansible", symlinks=True)
    (tmp_path / "bin").mkdir()
    for name in ("_env", "play"):
        shutil.copy(ROOT / "bin" / name, tmp_path / "bin" / name)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "machines.json").write_text(json.dumps({"machines": MACHINES}))
    return tmp_path


def play(tree: Path, verb: str) -> subprocess.CompletedProcess[str]:
    """Run a playbook in the copy."""
    return subprocess.run(
        [tree / "bin" / "play", verb],
        env={
            "PATH": f"{tree}/.venv/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(tree),
            "LANG": "C.UTF-8",
            "CLOUD": "static",
            "ENV": "staging",
            "MACHINES": str(tree / "machines.json"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_machine_is_told_who_logs_in_and_which_host_it_is(tree: Path) -> None:
    done = play(tree, "user-data")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PRIVATE KEY" not in done.stdout + done.stderr
    state = tree / ".local" / "static-staging"
    known = dict(
        line.split(" ", 1) for line in (state / "known_hosts").read_text().strip().splitlines()
    )
    for name, user in (("m1", "deploy"), ("m2", "admin")):
        host = f"beanft-staging-{name}"
        path = state / "user-data" / f"{host}.yml"
        assert path.stat().st_mode & 0o777 == 0o600
        text = path.read_text()
        assert text.startswith("#cloud-config\n")
        told = yaml.safe_load(text)
        key = " ".join((state / "id_ed25519.pub").read_text().split()[:2])
        assert [(item["name"], item["ssh_authorized_keys"]) for item in told["users"]] == [
            (user, [key])
        ]
        assert told["ssh_keys"] == {
            "ed25519_private": (state / "host-keys" / host).read_text(),
            "ed25519_public": (state / "host-keys" / f"{host}.pub").read_text().strip(),
        }
        assert told["ssh_keys"]["ed25519_public"].startswith(known[host])
        assert (told["ssh_pwauth"], told["disable_root"], told["ssh_deletekeys"]) == (
            False,
            True,
            True,
        )
    again = play(tree, "user-data")
    assert "ok: changed=0 failed=0" in again.stdout, again.stdout + again.stderr


def test_machines_of_a_list_are_not_made_or_removed(tree: Path) -> None:
    for verb in ("provision", "destroy"):
        done = play(tree, verb)
        assert done.returncode == 1
        assert "are made and removed by whoever has them; 'make user-data'" in done.stderr

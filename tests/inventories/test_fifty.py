"""Fifty machines: the contract holds, and a run reaches all of them at once by connections that it keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.inventories.conftest import World

SIZE = 50
NAMES = [f"beanft-fifty-m{number}" for number in range(1, SIZE + 1)]
# ssh for Ansible: notes what it is asked for, and ends when there are as many of it as machines.
SSH = f"""#!/bin/sh
printf '%s\\n' "$@" >"$CALLS/$$"
for _ in $(seq 600); do
  [ "$(find "$CALLS" -type f | wc -l)" -lt {SIZE} ] || exit 0
  sleep 0.1
done
echo "fewer than {SIZE} machines were reached at once" >&2
exit 255
"""


@pytest.fixture
def fifty(tmp_path: Path) -> World:
    """Three managers, a machine for the data, and workers, from a list."""
    machines = {
        name.rpartition("-")[-1]: {
            "address": f"203.0.113.{number}",
            "inside": f"10.0.0.{number}",
            "groups": ["managers", "edge"]
            if number <= 3
            else ["data"]
            if number == 4
            else ["workers"],
        }
        for number, name in enumerate(NAMES, start=1)
    }
    file = tmp_path / "static-fifty" / "machines.yml"
    file.parent.mkdir()
    file.write_text(json.dumps({"machines": machines}), encoding="utf-8")
    return World("static", {"HOME": str(tmp_path)}, {}, state=str(tmp_path))


def test_all_are_in_their_groups(fifty: World) -> None:
    inventory = fifty.inventory("fifty")
    groups: dict[str, list[str]] = {
        group: inventory[group]["hosts"]
        for group in ("machines", "managers", "edge", "data", "workers")
    }
    assert groups == {
        "machines": NAMES,
        "managers": NAMES[:3],
        "edge": NAMES[:3],
        "data": NAMES[3:4],
        "workers": NAMES[4:],
    }
    variables: dict[str, dict[str, Any]] = inventory["_meta"]["hostvars"]
    assert [variables[name]["beanft_address"] for name in NAMES] == [
        f"10.0.0.{number}" for number in range(1, SIZE + 1)
    ]


def test_they_are_reached_at_once_by_connections_that_are_kept(
    fifty: World, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    calls.mkdir()
    ssh = tmp_path / "ssh"
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    fifty.variables |= {"ANSIBLE_SSH_EXECUTABLE": str(ssh), "CALLS": str(calls)}
    done = fifty.ansible(
        "ansible", "machines", "-m", "ansible.builtin.raw", "-a", "true", environment="fifty"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    asked = [file.read_text().splitlines() for file in calls.iterdir()]
    assert len(asked) == SIZE
    for words in asked:
        assert {"ControlMaster=auto", "ControlPersist=60s", "StrictHostKeyChecking=yes"} <= {*words}
    # To each its own connection, by which the next task goes too, and its own host key.
    for option in ("ControlPath=", "HostKeyAlias="):
        values = {word for words in asked for word in words if option in word}
        assert len(values) == SIZE, values

"""Fifty machines: the contract holds, and a run reaches all of them at once by connections that it keeps."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.inventories.conftest import World

SIZE = 50
NAMES = [f"beanft-fifty-m{number}" for number in range(1, SIZE + 1)]
# ssh for Ansible: notes what it is asked for, waits for as many as are WANTED, and does that here if it is COMPLETE.
SSH = """#!/bin/sh
printf '%s\\n' "$@" >"$CALLS/$$"
for _ in $(seq 100); do
  [ "$(find "$CALLS" -type f | wc -l)" -lt "$WANTED" ] || break
  sleep 0.1
done
[ "$(find "$CALLS" -type f | wc -l)" -ge "$WANTED" ] || echo waited in vain >"$CALLS.late"
[ -n "$COMPLETE" ] || exit 255
until [ "${1#203.0.113.}" != "$1" ]; do shift; done
shift
exec sh -c "$*"
"""
# Two modules on each machine, of which the second could begin a connection of its own.
PLAY = """
- hosts: machines
  gather_facts: false
  tasks:
    - ansible.builtin.command: {argv: [printenv, FROM]}
      changed_when: false
      environment: {FROM: "{{ beanft_name }}"}
      register: said
    - ansible.builtin.assert: {that: said.stdout == inventory_hostname}
    - ansible.builtin.command: {argv: ["true"]}
      changed_when: false
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


@pytest.fixture
def reached(fifty: World, tmp_path: Path) -> Callable[..., list[list[str]]]:
    """Return a function that runs a play and returns what ssh was started with."""

    def act(machines: str, *, wanted: int, complete: bool) -> list[list[str]]:
        play, ssh, calls = tmp_path / "play.yml", tmp_path / "ssh", tmp_path / "calls"
        play.write_text(PLAY)
        ssh.write_text(SSH)
        ssh.chmod(0o755)
        calls.mkdir()
        fifty.variables |= {
            "ANSIBLE_SSH_EXECUTABLE": str(ssh),
            "ANSIBLE_TIMEOUT": "60",
            "CALLS": str(calls),
            "WANTED": str(wanted),
            "COMPLETE": "yes" if complete else "",
        }
        # Variables of a group go before a play's words.
        here = json.dumps({"ansible_become": False, "ansible_python_interpreter": sys.executable})
        words = ("--limit", machines, "-e", here, str(play))
        done = fifty.ansible("ansible-playbook", *words, environment="fifty")
        assert done.returncode == (0 if complete else 4), done.stdout + done.stderr
        assert not calls.with_suffix(".late").exists(), "they are not reached at once"
        return [file.read_text().splitlines() for file in calls.iterdir()]

    return act


def test_all_are_reached_at_once(reached: Callable[..., list[list[str]]]) -> None:
    asked = reached("machines", wanted=SIZE, complete=False)
    assert len(asked) == SIZE
    for words in asked:
        assert "StrictHostKeyChecking=yes" in words
    keys = {word for words in asked for word in words if "HostKeyAlias=" in word}
    assert keys == {f"HostKeyAlias={name}" for name in NAMES}


def test_all_tasks_go_by_one_connection(reached: Callable[..., list[list[str]]]) -> None:
    assert len(reached(",".join(NAMES[:2]), wanted=2, complete=True)) == 2

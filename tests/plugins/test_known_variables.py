"""known_variables: what begins as a role's own and is in no role is refused before anything is changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OPTIONS = {
    "edge": {"edge_port", "edge_stack"},
    "cloud_local": {"cloud_local_nodes"},
    "cloud": {"cloud_size"},
}
RENAMED = {"edge_ports": "edge_port", "timezone": "common_timezone"}


@pytest.fixture
def action(plugin: Callable[[str], ModuleType]) -> ModuleType:
    return plugin("action/known_variables")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("edge_port", ""),
        ("edges", ""),
        ("_edge_own", ""),
        ("ansible_host", ""),
        ("cloud_local_nodes", ""),
        ("edge_prt", "edge_prt is no variable of role edge: did you mean edge_port?"),
        (
            "edge_xyzzy_quux",
            "edge_xyzzy_quux is no variable of role edge: ansible/roles/edge/README.md lists them",
        ),
        # The longest role's name counts.
        (
            "cloud_local_node",
            "cloud_local_node is no variable of role cloud_local: did you mean cloud_local_nodes?",
        ),
        ("edge_ports", "edge_ports is called edge_port now"),
        ("timezone", "timezone is called common_timezone now"),
    ],
)
def test_names(action: ModuleType, name: str, said: str) -> None:
    assert action.problem(name, OPTIONS, RENAMED) == said


def test_each_is_said_once_with_its_hosts(action: ModuleType) -> None:
    hosts = {"m2": ["edge_prt", "edge_port"], "m1": ["edge_prt"], "m3": []}
    assert action.problems(hosts, OPTIONS, RENAMED) == [
        "edge_prt is no variable of role edge: did you mean edge_port? (m1, m2)"
    ]


def test_the_roles_own_variables_are_read(action: ModuleType) -> None:
    found = action.options_of(ROOT / "ansible" / "roles")
    assert "common_timezone" in found["common"]
    # Of an entry point that is not main.
    assert "edge_definition" not in found["edge"]
    assert len(found) >= 8


def test_new_names_of_renamed_variables_exist(action: ModuleType) -> None:
    names = yaml.safe_load((ROOT / "ansible/variables.yml").read_text(encoding="utf-8"))
    renamed = names["renamed"]
    known = set().union(*action.options_of(ROOT / "ansible" / "roles").values())
    assert set(renamed.values()) <= known
    assert not {*renamed, *names["foreign"]} & known


@pytest.mark.parametrize("place", ["group", "command line"])
def test_a_play_on_machines_ends_before_it_begins(tmp_path: Path, place: str) -> None:
    wrong = {"common_timezon": "Europe/Berlin"}
    group = {"hosts": {"m1": {"ansible_connection": "local"}}}
    if place == "group":
        group["vars"] = wrong
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(yaml.safe_dump({"all": {"children": {"managers": group}}}))
    extra = ["--extra-vars", json.dumps(wrong)] if place != "group" else []
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "-i", str(inventory), "ansible/playbooks/machines.yml", *extra,
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible/ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "BEANFT_ENVIRONMENT": "local",
            "BEANFT_STATE": str(tmp_path),
            "BEANFT_ROOT": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "common_timezon is no variable of role common: did you mean common_timezone?" in (
        done.stdout + done.stderr
    )

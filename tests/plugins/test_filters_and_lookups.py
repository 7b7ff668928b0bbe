"""The filter, the lookup, and that Ansible finds both by the project's configuration."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError, AnsibleLookupError

ROOT = Path(__file__).parents[2]
Load = Callable[[str], ModuleType]


def status(bounding: int) -> str:
    return f"Name:\tsystemd\nCapEff:\t0000000000000000\nCapBnd:\t{bounding:016x}\nNoNewPrivs:\t0\n"


@pytest.mark.parametrize(
    ("bounding", "missing"),
    [
        (2**41 - 1, []),
        (2**41 - 1 - 2**24, ["SYS_RESOURCE"]),
        (2**41 - 2, ["CHOWN"]),
        (2**40 - 1 - 2**5, ["KILL", "CHECKPOINT_RESTORE"]),
        # A kernel with capabilities that have no name here yet.
        (2**64 - 1, []),
    ],
)
def test_missing_capabilities(plugin: Load, bounding: int, missing: list[str]) -> None:
    filters = plugin("filter/capabilities").FilterModule().filters()
    assert filters["missing_capabilities"](status(bounding)) == missing


def test_capabilities_have_the_kernels_numbers(plugin: Load) -> None:
    names = plugin("filter/capabilities").NAMES
    assert {name: names.index(name) for name in ("KILL", "NET_ADMIN", "SYS_ADMIN", "BPF")} == {
        "KILL": 5,
        "NET_ADMIN": 12,
        "SYS_ADMIN": 21,
        "BPF": 39,
    }
    assert len(names) == len(set(names)) == 41


def test_own_status_is_understood(plugin: Load) -> None:
    text = Path("/proc/self/status").read_text(encoding="utf-8")
    assert set(plugin("filter/capabilities").missing_capabilities(text)) <= set(
        plugin("filter/capabilities").NAMES
    )


@pytest.mark.parametrize("text", ["", "Name: x\n", "XCapBnd: 0\n"])
def test_text_that_is_no_status_is_refused(plugin: Load, text: str) -> None:
    with pytest.raises(AnsibleFilterError, match="no CapBnd line"):
        plugin("filter/capabilities").missing_capabilities(text)


def test_ports_derive_from_the_name_and_are_free(plugin: Load) -> None:
    lookup = plugin("lookup/free_ports")
    first = lookup.free_ports("a-name-of-a-test", 3)
    assert first == lookup.free_ports("a-name-of-a-test", 3)
    assert sorted(set(first)) == first
    assert all(lookup.FIRST <= port < lookup.LAST for port in first)
    assert first != lookup.free_ports("another-name-of-a-test", 3)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - one that is taken
def test_a_port_that_is_taken_is_passed_over(plugin: Load, address: str) -> None:
    lookup = plugin("lookup/free_ports")
    port = lookup.free_ports("a-taken-port-of-a-test", 1)[0]
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind((address, port))
        taken.listen(1)
        assert not lookup.is_free(port)
        assert lookup.free_ports("a-taken-port-of-a-test", 1) != [port]


def test_no_ports_left_is_an_error(plugin: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = plugin("lookup/free_ports")
    monkeypatch.setattr(lookup, "is_free", lambda _port: True)
    with pytest.raises(AnsibleLookupError, match="no 12001 free ports between 20000 and 32000"):
        lookup.free_ports("x", 12001)


def test_ansible_finds_filter_lookup_and_module(docker: Any, tmp_path: Path) -> None:
    """By the project's ansible.cfg, and with what the module shares with others packed up by Ansible."""
    play = tmp_path / "play.json"
    shown = "{{ 'CapBnd: 1fffffffffe' | missing_capabilities }}{{ query('free_ports', 'x', count=2) | length }}"
    tasks = [
        {"swarm_release": {"stack": "s"}, "register": "releases"},
        {"debug": {"msg": f"found: {shown}{{{{ releases.next }}}}"}},
    ]
    play.write_text(
        json.dumps([{"hosts": "localhost", "connection": "local", "tasks": tasks}]),
        encoding="utf-8",
    )
    hosts = tmp_path / "hosts.yml"
    hosts.write_text("all: {hosts: {localhost: {}}}", encoding="utf-8")
    docker.says(config_ls="")
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", hosts, play],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "found: ['CHOWN']21" in done.stdout

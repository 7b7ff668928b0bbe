"""The callback: it prints changes of tasks and handlers, and Ansible has nothing to say about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run(
    play: dict[str, Any], hosts: dict[str, Any], home: Path
) -> subprocess.CompletedProcess[str]:
    """Run a play with the project's settings, and nothing of who runs the tests."""
    (home / "play.json").write_text(json.dumps([play]), encoding="utf-8")
    (home / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf-8")
    return subprocess.run(
        [
            Path(sys.executable).parent / "ansible-playbook",
            "-i",
            home / "hosts.yml",
            home / "play.json",
        ],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_handler_is_printed_and_nothing_is_warned_of(tmp_path: Path) -> None:
    play = {
        "name": "Play",
        "hosts": "localhost",
        "connection": "local",
        "tasks": [
            {
                "name": "Write",
                "copy": {"content": "x", "dest": str(tmp_path / "x"), "mode": "0600"},
                "notify": "Say so",
            }
        ],
        "handlers": [{"name": "Say so", "debug": {"msg": "handled"}, "changed_when": True}],
    }
    done = run(play, {"localhost": {}}, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "  changed  Write  (localhost; " in done.stdout
    assert "  handled\n" in done.stdout
    assert "  changed  Say so  (localhost; " in done.stdout


def test_of_a_machine_that_a_loop_can_not_reach_the_name_and_the_reason_are_printed(
    tmp_path: Path,
) -> None:
    play = {
        "name": "Play",
        "hosts": "localhost",
        "connection": "local",
        "tasks": [
            {
                "name": "Look",
                "ping": {},
                "loop": ["localhost", "fleet-m2"],
                "delegate_to": "{{ item }}",
            }
        ],
    }
    # Nobody listens at port 1.
    nobody = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    done = run(play, {"localhost": {}, "fleet-m2": nobody}, tmp_path)
    assert done.returncode != 0
    assert "  UNREACHABLE  Look  (localhost)\n" in done.stdout
    assert "    m2: " in done.stdout
    assert "Connection refused" in done.stdout


def test_the_program_that_mitogen_starts_is_not_printed(tmp_path: Path) -> None:
    play = {"name": "Play", "hosts": "localhost", "tasks": [{"name": "Look", "ping": {}}]}
    reach = {
        "ansible_connection": "local",
        "ansible_become": True,
        "ansible_become_exe": "/no/sudo",
    }
    done = run(play, {"localhost": reach}, tmp_path)
    assert done.returncode == 2
    assert "No such file or directory: '/no/sudo'.\n" in done.stdout
    assert "Command was" not in done.stdout

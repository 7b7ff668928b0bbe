"""The callback: once a machine could not be reached, no play begins on others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Nobody listens there.
GONE = {"ansible_host": "127.0.0.1", "ansible_port": 1}
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


@pytest.mark.parametrize("fatal", [True, False])
def test_the_next_play(tmp_path: Path, fatal: bool) -> None:
    nothing = {"ansible.builtin.ping": None}
    say = {"ansible.builtin.debug": {"msg": "went on"}}
    plays = [
        {"name": "One", "hosts": "gone:there", "gather_facts": False, "tasks": [nothing]},
        {"name": "Other", "hosts": "here", "gather_facts": False, "tasks": [say]},
    ]
    (tmp_path / "play.json").write_text(json.dumps(plays), encoding="utf-8")
    inventory = {"all": {"hosts": {"gone": GONE, "there": LOCAL, "here": LOCAL}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(inventory), encoding="utf-8")
    done = subprocess.run(
        [
            Path(sys.executable).parent / "ansible-playbook",
            "-i",
            tmp_path / "hosts.yml",
            tmp_path / "play.json",
        ],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
            "ANSIBLE_ANY_ERRORS_FATAL": str(fatal),
            "ANSIBLE_SSH_RETRIES": "0",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout + done.stderr
    assert ("went on" in said) is not fatal, said
    assert ("stopped before 'Other', because gone could not be reached" in said) is fatal, said
    # Ansible's own code for machines that can't be reached.
    assert done.returncode == 4, said

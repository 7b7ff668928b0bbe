"""The callback: it prints changes of tasks and handlers, and Ansible has nothing to say about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


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
    (tmp_path / "play.json").write_text(json.dumps([play]), encoding="utf-8")
    (tmp_path / "hosts.yml").write_text("all: {hosts: {localhost: {}}}", encoding="utf-8")
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
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        },
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "  changed  Write  (localhost; " in done.stdout
    assert "  handled\n" in done.stdout
    assert "  changed  Say so  (localhost; " in done.stdout

#!/usr/bin/python
"""Ansible module: lets the entry of this machine answer with a page about maintenance, or serve again."""

from __future__ import annotations

import html
import json
import os
import re
import tempfile
import urllib.parse
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import DockerError, docker_json, run, summary
from ansible.module_utils.entry import containers, spare

DOCUMENTATION = r"""
module: entry_maintenance
short_description: Switch maintenance on or off
description:
  - With maintenance on, the entry answers every request with 503 and a page, or a JSON problem under C(/api), that say
    a message. Tasks go on, and so do requests that have begun.
  - The entry is not restarted. What it is to do is kept on a volume of the machine, for an entry that starts later.
options:
  stack:
    description: Name of the entry's stack, and of its volume.
    type: str
    required: true
  active:
    description: Whether there is maintenance.
    type: bool
    required: true
  message:
    description: What people and programs are told, as plain text.
    type: str
    default: We are changing something and will be back in a few minutes.
"""

EXAMPLES = r"""
- name: Maintenance
  entry_maintenance:
    stack: beanft-edge
    active: true
    message: We are moving to a larger machine and will be back at nine.
"""

RETURN = r"""
active:
  description: Whether there is maintenance now.
  returned: success
  type: bool
"""

# As the configuration of the entry says: HAProxy's command line, and where the container has the volume.
PORT = 8405
NAME = "maintenance.map"
MAP = f"/var/lib/beanft-entry/{NAME}"
KEY = "on"
ASK = f"exec 3<>/dev/tcp/127.0.0.1/{PORT}; cat >&3; cat <&3"
SECONDS = 20.0


def encoded(message: str) -> str:
    """Return the message for a page and for JSON, in what a map may hold: no blank, and one line."""
    forms = (html.escape(message), json.dumps(message)[1:-1])
    return ":".join(urllib.parse.quote(form, safe="") for form in forms)


def ask(container: str, question: str) -> str:
    """Return what HAProxy in a container says to a command.

    Raises:
        DockerError: it could not be asked.
    """
    code, out, err = run(
        ("exec", "--interactive", container, "bash", "-c", ASK), question + "\n", SECONDS
    )
    if code:
        raise DockerError(f"HAProxy could not be asked: {summary(err or out)}")
    return str(out).strip()


def current(container: str) -> str:
    """Return what the running entry has in its map, or '' without maintenance."""
    shown = ask(container, f"show map {MAP}")
    if "Unknown map" in shown:
        raise DockerError("this entry knows no maintenance: run 'make deploy' first")
    found = re.search(rf"^\S+ {KEY} (\S+)$", shown, re.MULTILINE)
    return found[1] if found else ""


def change(container: str, value: str, before: str) -> None:
    """Give the running entry its map's new content, in one step."""
    verb = f"{'set' if before else 'add'} map {MAP} {KEY} {value}" if value else f"clear map {MAP}"
    ask(container, verb)
    if current(container) != value:
        raise DockerError(f"HAProxy did not take it: {verb.split(' ')[0]} map")


def stored(path: Path) -> str:
    """Return what an entry that starts would read, or ''."""
    text = path.read_text(encoding="ascii") if path.exists() else ""
    return text.strip().partition(f"{KEY} ")[2]


def store(path: Path, value: str) -> None:
    """Write what an entry that starts reads: whole, or not at all."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{NAME}-", delete=False, encoding="ascii"
    ) as file:
        file.write(f"{KEY} {value}\n" if value else "")
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
    Path(file.name).replace(path)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "active": {"type": "bool", "required": True},
            "message": {
                "type": "str",
                "default": "We are changing something and will be back in a few minutes.",
            },
        },
        supports_check_mode=True,
    )
    stack, active = module.params["stack"], module.params["active"]
    value = encoded(module.params["message"]) if active else ""
    try:
        volume = docker_json(module, "volume", "inspect", stack)[0]
        path = Path(volume["Mountpoint"]) / NAME
        file_changes = stored(path) != value
        # The file first: an entry that starts meanwhile reads it.
        if file_changes and not module.check_mode:
            store(path, value)
        running = [
            container["Id"]
            for name in (stack, spare(stack))
            for container in containers(module, name)
        ]
        before = {container: current(container) for container in running}
        stale = [container for container in running if before[container] != value]
        for container in stale:
            if not module.check_mode:
                change(container, value, before[container])
    except (DockerError, OSError) as error:
        module.fail_json(
            msg=f"maintenance could not be switched {'on' if active else 'off'} on this machine: {error}"
        )
    module.exit_json(changed=file_changes or bool(stale), active=active)


if __name__ == "__main__":
    main()

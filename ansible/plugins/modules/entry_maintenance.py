#!/usr/bin/python
"""Ansible module: lets the entry of this machine answer with a page about maintenance, or serve again."""

from __future__ import annotations

import html
import json
import os
import re
import tempfile
import time
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
ASK = f"exec 3<>/dev/tcp/127.0.0.1/{PORT} || exit 1; cat >&3; cat <&3"
SECONDS = 20.0
# An entry that starts does not listen yet, and may have read the file already; one that stops listens no more.
START_SECONDS = 5.0
POLL_SECONDS = 0.3


class SilentError(Exception):
    """HAProxy in a container can't be asked: it starts, or stops, or has stopped."""


def encoded(message: str) -> str:
    """Return the message for a page and for JSON, in what a map may hold: no blank, and one line."""
    forms = (html.escape(message), json.dumps(message)[1:-1])
    return ":".join(urllib.parse.quote(form, safe="") for form in forms)


def ask(container: str, question: str) -> str:
    """Return what HAProxy in a container says to a command.

    Raises:
        SilentError: it could not be asked.
    """
    code, out, err = run(
        ("exec", "--interactive", container, "bash", "-c", ASK), question + "\n", SECONDS
    )
    if code:
        raise SilentError(f"HAProxy could not be asked: {summary(err or out)}")
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


def tell(module: AnsibleModule, stack: str, value: str) -> bool:
    """Bring every entry that runs to a content of its map, and return whether one had another.

    Raises:
        DockerError: none that runs can be asked, or one says no.
    """
    deadline = time.monotonic() + START_SECONDS
    changed = False
    while True:
        silent, answered = "", False
        for name in (stack, spare(stack)):
            for container in containers(module, name):
                try:
                    before = current(container["Id"])
                    if before != value:
                        changed = True
                        if not module.check_mode:
                            change(container["Id"], value, before)
                    answered = True
                except SilentError as error:
                    silent = str(error)
        late = time.monotonic() > deadline
        # The one that is silent for long is about to stop, unless it is the only one.
        if not silent or (late and answered):
            return changed
        if late:
            raise DockerError(silent)
        time.sleep(POLL_SECONDS)


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
        entry_changes = tell(module, stack, value)
    except (DockerError, OSError) as error:
        module.fail_json(
            msg=f"maintenance could not be switched {'on' if active else 'off'} on this machine: {error}"
        )
    module.exit_json(changed=file_changes or entry_changes, active=active)


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: asks the machine's backup program to do something, and returns its answer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: backup_program
short_description: Back up, look at backups, and restore
description:
  - Runs C(beanft-backup), which role C(backup) brings to a machine, and waits for it. Fails with its own sentence.
  - In check mode it does nothing.
options:
  arguments:
    description: What to do; C(beanft-backup --help) lists it.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Back up
  backup_program:
    arguments: [run, --json]
"""

RETURN = r"""
answer:
  description: What the program said, as a mapping.
  returned: success
  type: dict
"""

PROGRAM = Path("/usr/local/sbin/beanft-backup")
PREFIX = "beanft-backup: "


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"arguments": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, answer={})
    if not PROGRAM.exists():
        module.fail_json(
            msg="no backups are set up on this machine: set backup_repository in the inventory's group_vars, and run "
            "'make site'"
        )
    done = subprocess.run(
        [str(PROGRAM), *module.params["arguments"]], capture_output=True, text=True, check=False
    )
    said = [line.removeprefix(PREFIX) for line in done.stderr.splitlines() if line.strip()]
    if done.returncode:
        module.fail_json(msg=said[-1] if said else f"{PROGRAM} ended with {done.returncode}")
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        module.fail_json(msg=f"{PROGRAM} said nothing that can be read: {done.stdout[-500:]!r}")
    module.exit_json(changed=bool(answer.get("changed")), answer=answer)


if __name__ == "__main__":
    main()

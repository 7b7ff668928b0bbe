#!/usr/bin/python
"""Ansible module: gives the running kernel the values that it should have, where it lets them be set."""

from __future__ import annotations

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: kernel_settings
short_description: Values of the running kernel
description:
  - Sets what differs under C(/proc/sys). Writing a file that is read at the next boot is left to the caller.
  - What this kernel does not have, and what it does not let be set, is left and returned; neither is a failure, since
    kernels are built differently and a container may not set everything.
options:
  settings:
    description: Wanted values by name, as sysctl writes them.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: No redirects
  kernel_settings:
    settings:
      net.ipv4.conf.all.send_redirects: 0
"""

RETURN = r"""
set:
  description: Names that were set or would be.
  returned: success
  type: list
  elements: str
missing:
  description: Names that this kernel does not have.
  returned: success
  type: list
  elements: str
refused:
  description: Names that this kernel does not let be set here.
  returned: success
  type: list
  elements: str
"""

ROOT = Path("/proc/sys")


def path_of(name: str, root: Path) -> Path:
    """Return the file of a setting."""
    return root / name.replace(".", "/")


def read(path: Path) -> str | None:
    """Return a value with single blanks between its parts, or None where there is none to be read."""
    try:
        return " ".join(path.read_text(encoding="utf-8").split())
    except OSError:
        return None


def opens(path: Path) -> bool:
    """Return whether a setting may be written here, without writing it."""
    try:
        os.close(os.open(path, os.O_WRONLY))
    except OSError:
        return False
    return True


def write(path: Path, value: str) -> bool:
    """Set a value and return whether it holds now; some refuse without saying so."""
    try:
        path.write_text(f"{value}\n", encoding="utf-8")
    except OSError:
        return False
    return read(path) == value


def main() -> None:
    """Set what differs."""
    module = AnsibleModule(
        argument_spec={"settings": {"type": "dict", "required": True}},
        supports_check_mode=True,
    )
    changed, missing, refused = [], [], []
    for name, wanted in module.params["settings"].items():
        path, value = path_of(name, ROOT), " ".join(str(wanted).split())
        current = read(path)
        if current is None:
            missing.append(name)
        elif current != value:
            if opens(path) and (module.check_mode or write(path, value)):
                changed.append(name)
            else:
                refused.append(name)
    module.exit_json(changed=bool(changed), set=changed, missing=missing, refused=refused)


if __name__ == "__main__":
    main()

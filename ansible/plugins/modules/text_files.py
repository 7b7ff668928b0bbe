#!/usr/bin/python
"""Ansible module: writes several small files at once."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: text_files
short_description: Several small text files
description:
  - Writes files that differ, each in one step, as root's. Their folders are made where they are missing.
  - One call for what would be a task each, since a task costs half a second on every machine.
options:
  files:
    description: The files.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where it is.
        type: path
        required: true
      content:
        description: What is in it.
        type: str
        required: true
      mode:
        description: Its mode in octal.
        type: str
        default: "0644"
"""

EXAMPLES = r"""
- name: Banners
  text_files:
    files:
      - path: /etc/issue
        content: "Authorised people only\n"
      - path: /etc/issue.net
        content: "Authorised people only\n"
"""

RETURN = r"""
changed_paths:
  description: Files that were written or would be.
  returned: success
  type: list
  elements: str
"""

File = dict[str, Any]


def differs(file: File) -> bool:
    """Return whether a file is not as it should be."""
    path = Path(file["path"])
    if not path.is_file() or path.is_symlink():
        return True
    status = path.stat()
    return (
        path.read_text(encoding="utf-8", errors="replace") != file["content"]
        or status.st_mode & 0o7777 != int(file["mode"], 8)
        or (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid())
    )


def write(module: AnsibleModule, file: File) -> None:
    """Put a file in its place, whole or not at all."""
    path = Path(file["path"])
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(handle, "w", encoding="utf-8") as temporary:
        temporary.write(file["content"])
    if path.is_symlink():
        path.unlink()
    module.atomic_move(name, str(path))
    os.chown(path, os.geteuid(), os.getegid())
    path.chmod(int(file["mode"], 8))


def main() -> None:
    """Write what differs."""
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "content": {"type": "str", "required": True},
                    "mode": {"type": "str", "default": "0644"},
                },
            }
        },
        supports_check_mode=True,
    )
    wrong = [file for file in module.params["files"] if differs(file)]
    if not module.check_mode:
        for file in wrong:
            try:
                write(module, file)
            except OSError as error:
                module.fail_json(msg=f"{file['path']} could not be written: {error}")
    module.exit_json(changed=bool(wrong), changed_paths=[file["path"] for file in wrong])


if __name__ == "__main__":
    main()

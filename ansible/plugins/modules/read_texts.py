#!/usr/bin/python
"""Ansible module: reads several small files at once."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: read_texts
short_description: Read several small text files
description:
  - Reads files, for tasks that are then needed or not. Changes nothing.
  - One call for what would be a task each, since a task costs half a second on every machine.
options:
  paths:
    description: The files. One that is not there counts as empty.
    type: list
    elements: path
    required: true
"""

EXAMPLES = r"""
- name: What is mounted, now and at the next boot
  read_texts:
    paths: [/etc/fstab, /proc/self/mounts]
"""

RETURN = r"""
texts:
  description: Contents by path.
  returned: success
  type: dict
"""


def main() -> None:
    """Read the files."""
    module = AnsibleModule(
        argument_spec={"paths": {"type": "list", "elements": "path", "required": True}},
        supports_check_mode=True,
    )
    texts = {}
    for path in module.params["paths"]:
        try:
            texts[path] = Path(path).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            texts[path] = ""
        except OSError as error:
            module.fail_json(msg=f"{path} could not be read: {error}")
    module.exit_json(changed=False, texts=texts)


if __name__ == "__main__":
    main()

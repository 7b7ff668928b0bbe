"""Action that writes a report below build/reports, on the control machine and in no time."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

DOCUMENTATION = """
name: report
short_description: Write a report for machines to read
description:
  - Writes build/reports/TARGET.json. It is no change of anything that runs.
options:
  target:
    description: Name of the report.
    type: str
    required: true
  revision:
    description: What was worked on.
    type: str
    required: true
  machine:
    description: Where.
    type: str
    required: true
  rows:
    description: Figures, each with name, value and unit.
    type: list
    elements: dict
    required: true
  values:
    description: What else belongs to it.
    type: dict
    default: {}
"""


class ActionModule(ActionBase):
    """The action."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write the report."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "target": {"type": "str", "required": True},
                "revision": {"type": "str", "required": True},
                "machine": {"type": "str", "required": True},
                "rows": {"type": "list", "elements": "dict", "required": True},
                "values": {"type": "dict", "default": {}},
            }
        )
        rows = [{"bound": None, "holds": None, **row} for row in arguments.pop("rows")]
        values = arguments.pop("values")
        path = Path(os.environ["BEANFT_ROOT"]) / "build/reports" / f"{arguments['target']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**arguments, "rows": rows, **values}, indent=2) + "\n")
        return {"changed": False, "path": str(path)}

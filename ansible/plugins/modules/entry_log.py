#!/usr/bin/python
"""Ansible module: says what the entry of this machine saw, from its own access log."""

from __future__ import annotations

import datetime
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import DockerError, run, summary
from ansible.module_utils.entry import containers, spare
from ansible.module_utils.entry_figures import Figures

DOCUMENTATION = r"""
module: entry_log
short_description: Figures of the entry
description:
  - Reads the access log of this machine's entry, also of one that has been replaced and of a spare one that is there,
    and counts requests and failures in windows of time.
  - A failure is an answer of 500 and above, or none, that is not the client's doing. Probes (C(/healthz), C(/readyz)),
    C(/metrics), the page for maintenance and services beside the application do not count.
  - Changes nothing.
options:
  stack:
    description: Name of the entry's stack.
    type: str
    required: true
  windows:
    description: Windows of time, each with the seconds before now at which it begins (C(since)) and ends (C(until)).
    type: list
    elements: dict
    required: true
    suboptions:
      since:
        description: Seconds before now at which it begins.
        type: float
        required: true
      until:
        description: Seconds before now at which it ends.
        type: float
        default: 0
  lines:
    description: The most lines that are read, the newest ones.
    type: int
    default: 50000
"""

EXAMPLES = r"""
- name: The last minute, and the five before it
  entry_log:
    stack: beanft-edge
    windows:
      - since: 60
      - since: 360
        until: 60
"""

RETURN = r"""
windows:
  description:
    - Of each window C(requests), C(failed), C(backends) with both of each, C(p50_ms) and C(p99_ms) (what a client
      waited for an answer; null without any), C(times_ms) (requests by time, for figures of several machines) and
      C(samples), at most five failed lines without query strings.
  returned: success
  type: list
  elements: dict
sampled:
  description: Whether there are older lines in the windows that were not read.
  returned: success
  type: bool
"""

SECONDS = 20.0
# Of one service the engine keeps no more old tasks than this.
CONTAINERS = 8
STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z (.*)$")


def parted(line: str) -> tuple[float, str] | None:
    """Return when the engine noted a line, in seconds since the epoch, and the line."""
    match = STAMP.match(line)
    if not match:
        return None
    whole = datetime.datetime.fromisoformat(f"{match[1]}+00:00").timestamp()
    return whole + float(match[2] or 0), match[3]


def read(container: str, seconds: float, lines: int) -> list[str]:
    """Return the newest lines of a container, each with its time.

    Raises:
        DockerError: they could not be read, or not in time.
    """
    code, out, err = run(
        ("logs", "--timestamps", "--since", f"{seconds:.0f}s", "--tail", str(lines), container),
        None,
        SECONDS,
    )
    if code and "no such container" in err.lower():
        return []
    if code:
        raise DockerError(summary(err or out))
    return list(out.splitlines())


def main() -> None:
    """Run the module."""
    window = {
        "since": {"type": "float", "required": True},
        "until": {"type": "float", "default": 0},
    }
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "windows": {"type": "list", "elements": "dict", "required": True, "options": window},
            "lines": {"type": "int", "default": 50000},
        },
        supports_check_mode=True,
    )
    stack, left = module.params["stack"], module.params["lines"]
    windows: list[dict[str, Any]] = module.params["windows"]
    if not windows or any(it["since"] <= it["until"] or it["until"] < 0 for it in windows):
        module.fail_json(
            msg="a window begins more seconds before now than it ends, and there is one at least"
        )
    # This machine's clock, which also stamps the lines: those of others don't matter.
    now = datetime.datetime.now(datetime.UTC).timestamp()
    figures = [Figures() for _ in windows]
    sampled = False
    try:
        found = [
            container
            for name in (stack, spare(stack))
            for container in containers(module, name, stopped=True)
        ]
        found.sort(key=lambda container: str(container["Created"]), reverse=True)
        for container in found[:CONTAINERS]:
            lines = (
                read(container["Id"], max(it["since"] for it in windows) + 1, left) if left else []
            )
            sampled = sampled or (len(lines) >= left)
            left -= len(lines)
            for line in lines:
                stamped = parted(line)
                if not stamped:
                    continue
                age = now - stamped[0]
                for it, sums in zip(windows, figures, strict=True):
                    if it["until"] <= age < it["since"]:
                        sums.add(stamped[1])
    except DockerError as error:
        module.fail_json(msg=f"the entry's log could not be read: {error}")
    module.exit_json(changed=False, windows=[sums.report() for sums in figures], sampled=sampled)


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: takes, shows and gives up the deploy lock in the Swarm's store."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import DockerError
from ansible.module_utils.swarm_lock import LEASE, Lock, acquire, described

DOCUMENTATION = r"""
module: swarm_lock
short_description: Take, show or give up the deploy lock
description:
  - The lock is where the Swarm is, so it holds for everybody who deploys to it, from wherever.
  - It has a lease, which modules with the parameter C(lock) renew while they work. The lock of a run that was killed
    frees itself.
options:
  stack:
    description: The stack that the lock is for.
    type: str
    required: true
  state:
    description: >-
      Whether to take it, to take it where it is free and else to say who holds it, to give it up (if it is this run's),
      or only to look.
    type: str
    choices: [held, tried, released, shown]
    default: held
  run:
    description: What tells this run from all others.
    type: str
    default: ""
  who:
    description: Who runs it.
    type: str
    default: unknown
  where:
    description: Where it runs.
    type: str
    default: unknown
  why:
    description: What for.
    type: str
    default: unknown
  wait:
    description: Seconds to wait for another run to end.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Lock
  swarm_lock:
    stack: beanft
    run: "{{ run }}"
    why: deploy of 0.2.0
    wait: 45
"""

RETURN = r"""
holder:
  description: Who holds it now; empty where nobody does.
  returned: success
  type: dict
text:
  description: The same in words.
  returned: success
  type: str
lost:
  description: The run that held it before and had gone without giving it up, or an empty dict.
  returned: success
  type: dict
seconds:
  description: How long it took to get it.
  returned: success
  type: float
"""


def main() -> None:
    """Run the module."""
    text = {"type": "str", "default": "unknown"}
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "state": {
                "type": "str",
                "choices": ["held", "tried", "released", "shown"],
                "default": "held",
            },
            "run": {"type": "str", "default": ""},
            "who": text,
            "where": text,
            "why": text,
            "wait": {"type": "int", "default": 0},
        },
        required_if=[("state", state, ["run"]) for state in ("held", "tried", "released")],
        supports_check_mode=True,
    )
    parameters = module.params
    lock, lost = Lock(parameters["stack"]), {}
    started = time.monotonic()
    try:
        state = "shown" if module.check_mode else parameters["state"]
        if state == "tried" and lock.read()[2].get("run", "") not in ("", parameters["run"]):
            state = "shown"
        if state in ("held", "tried"):
            now = datetime.now(UTC).isoformat(timespec="seconds")
            wanted = {name: parameters[name] for name in ("run", "who", "where", "why")}
            _, lost = acquire(
                lock, {**wanted, "since": now, "lease": str(LEASE)}, parameters["wait"]
            )
        elif state == "released":
            lock.release(parameters["run"])
        _, _, holder = lock.read()
    except DockerError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        # A lock comes and goes with every run: taking it is no change of the machines.
        changed=False,
        holder=holder if holder.get("run") else {},
        text=described(holder),
        lost=lost,
        seconds=round(time.monotonic() - started, 1),
    )


if __name__ == "__main__":
    main()

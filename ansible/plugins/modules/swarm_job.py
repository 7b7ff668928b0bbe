#!/usr/bin/python
"""Ansible module: runs one command once, as a job in the Swarm, and returns what it printed."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import DockerError, docker, stack_tasks, store, task_log
from ansible.module_utils.swarm_lock import OPTION as LOCK
from ansible.module_utils.swarm_lock import Fence

DOCUMENTATION = r"""
module: swarm_job
short_description: Run a job in a Swarm
description:
  - Runs a service's image once with another command, where its volumes and secrets are, waits for it to end and
    removes it. Fails with the job's own log where it fails.
options:
  name:
    description: Name of the job's stack, gone afterwards.
    type: str
    required: true
  service:
    description: The service as a Compose file has it. Its C(deploy) may only hold placement and resources.
    type: dict
    required: true
  shared:
    description: The networks, volumes, secrets and configs of the Compose file.
    type: dict
    default: {}
  command:
    description: The command.
    type: list
    elements: str
    required: true
  secrets:
    description: Secrets to make first where they are not there, name to value. Names are those in the store.
    type: dict
    default: {}
  lock:
    description: The deploy lock that has to be this run's, as C(stack) and C(run).
    type: dict
    suboptions:
      stack:
        description: The stack that the lock is for.
        type: str
        required: true
      run:
        description: The run that took it.
        type: str
        required: true
  timeout:
    description: Seconds after which the job counts as failed and is removed.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Migrate
  swarm_job:
    name: beanft-migrate
    service: "{{ stack.services.worker }}"
    command: [db, upgrade]
"""

RETURN = r"""
stdout_lines:
  description: What the job printed.
  returned: always
  type: list
  elements: str
seconds:
  description: How long the job took.
  returned: success
  type: float
"""

POLL_SECONDS = 0.3
# A task may take its time to stop, and holds its network until it has.
REMOVAL_SECONDS = 60
ENDED = ("complete", "failed", "rejected", "shutdown", "orphaned")


def job_definition(module: AnsibleModule) -> dict[str, Any]:
    """Return a Compose file with the job as its only service."""
    service = {
        key: value for key, value in module.params["service"].items() if key != "healthcheck"
    }
    deploy = service.get("deploy", {})
    service["command"] = module.params["command"]
    service["healthcheck"] = {"disable": True}
    service["deploy"] = {
        "mode": "replicated-job",
        "replicas": 1,
        "restart_policy": {"condition": "none"},
        **{key: deploy[key] for key in ("placement", "resources") if key in deploy},
    }
    return {**module.params["shared"], "services": {"job": service}}


def parts(module: AnsibleModule, name: str, kind: str) -> list[str]:
    """Return the (short) ids of the stack's services or networks."""
    stack = f"label=com.docker.stack.namespace={name}"
    return str(docker(module, kind, "ls", "--quiet", "--filter", stack)).split()


def remove(module: AnsibleModule, name: str, *, thoroughly: bool) -> None:
    """Remove the job's stack if it is there; wait until nothing is left of it where that is to be thorough.

    The engine says that it has removed a stack when it has begun to, and takes neither a removal of a
    network that is in use nor a new service on one that is about to go.
    """
    deadline = time.monotonic() + REMOVAL_SECONDS
    while True:
        late = time.monotonic() > deadline
        try:
            if not parts(module, name, "service") + parts(module, name, "network"):
                return
            docker(module, "stack", "rm", name)
            if not thoroughly:
                return
        except DockerError:
            if late:
                raise
        if late:
            raise DockerError(
                f"what an earlier run left of it is still there: docker stack ps {name}"
            )
        time.sleep(POLL_SECONDS)


def current_task(module: AnsibleModule, name: str) -> dict[str, Any]:
    """Return the job's task, or {}; tasks outlive a service that an earlier run left and this one removed."""
    ids = tuple(parts(module, name, "service"))
    tasks = stack_tasks(module, name) if ids else []
    return next((task for task in tasks if task["ServiceID"].startswith(ids)), {})


def follow(module: AnsibleModule, name: str, seconds: float, fence: Fence) -> dict[str, Any]:
    """Wait for the job's task to end; return it as it was last seen, or {}.

    An engine that does not answer, as while managers elect a leader, is asked again until time is up.
    """
    deadline = time.monotonic() + seconds
    task: dict[str, Any] = {}
    while True:
        late = time.monotonic() > deadline
        fence.tick()
        try:
            task = current_task(module, name) or task
        except DockerError:
            if late:
                raise
        if late or (task and task["Status"]["State"] in ENDED):
            return task
        time.sleep(POLL_SECONDS)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "service": {"type": "dict", "required": True},
            "shared": {"type": "dict", "default": {}},
            "command": {"type": "list", "elements": "str", "required": True},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "lock": LOCK,
            "timeout": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    name, timeout = module.params["name"], module.params["timeout"]
    if module.check_mode:
        module.exit_json(changed=True, stdout_lines=[])
    fence = Fence(module)
    started = time.monotonic()
    task: dict[str, Any] = {}
    log = ""
    try:
        fence.check()
        remove(module, name, thoroughly=True)
        store(module, "secret", module.params["secrets"])
        docker(
            module, "stack", "deploy", "--resolve-image", "never", "--compose-file", "-", name,
            data=json.dumps(job_definition(module)),
        )  # fmt: skip
        try:
            task = follow(module, name, timeout, fence)
            if task:
                log = task_log(module, task["ID"])
        finally:
            # Also where the engine stopped answering: nothing may go on behind the back of who asked.
            remove(module, name, thoroughly=False)
    except DockerError as error:
        module.fail_json(msg=f"job {name} could not be run: {error}")
    lines = [line for line in log.splitlines() if line.strip()]
    if not task or task["Status"]["State"] != "complete":
        state = task["Status"]["State"] if task else "not started"
        why = (
            task.get("Status", {}).get("Err", "")
            if task
            else "no node meets its placement constraints"
        )
        if state not in ENDED:
            why = f"not done after {timeout} s" + (f": {why}" if why else "")
        module.fail_json(
            msg=f"job {name} ended as '{state}' ({why}). Its log ends: "
            + " / ".join(lines[-8:] or ["(empty)"]),
            stdout_lines=lines,
        )
    module.exit_json(changed=True, stdout_lines=lines, seconds=round(time.monotonic() - started, 1))


if __name__ == "__main__":
    main()

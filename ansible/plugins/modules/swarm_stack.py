#!/usr/bin/python
"""Ansible module: deploys a stack and waits, within bounds, until it runs or has failed."""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import (
    DockerError,
    docker,
    docker_json,
    stack_tasks,
    store,
    task_log,
)
from ansible.module_utils.stack_specs import HASH, for_engine, labelled
from ansible.module_utils.swarm_lock import OPTION as LOCK
from ansible.module_utils.swarm_lock import Fence

DOCUMENTATION = r"""
module: swarm_stack
short_description: Deploy a stack to a Swarm and wait for the result
description:
  - Deploys a stack, waits until every service runs what it should, and fails with the words of the task that
    failed where the engine went back to the version before.
  - A service whose definition has not changed is left alone; nothing changed means changed=0.
options:
  name:
    description: Name of the stack.
    type: str
    required: true
  definition:
    description: The stack as a Compose file has it.
    type: dict
    required: true
  labels:
    description: Labels for every service that don't count as a change.
    type: dict
    default: {}
  secrets:
    description: Secrets to make first where they are not there, name to value. Names are those in the store.
    type: dict
    default: {}
  configs:
    description: Configs to make first where they are not there, name to text. Names are those in the store.
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
    description: Seconds after which a stack that has not settled counts as failed.
    type: int
    default: 180
"""

EXAMPLES = r"""
- name: Deploy
  swarm_stack:
    name: beanft
    definition: "{{ lookup('ansible.builtin.template', 'stack.yml.j2') | from_yaml }}"
"""

RETURN = r"""
services:
  description: For every service its image and release before, its image after, and whether it changes.
  returned: always
  type: list
  elements: dict
removed:
  description: Names of services that are no longer part of the stack.
  returned: success
  type: list
  elements: str
failed_services:
  description: Names of services that did not get there.
  returned: failure
  type: list
  elements: str
seconds:
  description: How long the stack took to settle.
  returned: success
  type: float
"""

RELEASE = "beanft.release"
POLL_SECONDS = 0.4
# A service that never ran has nothing to go back to: so many dead tasks are an answer.
DEAD_TASKS = 3
FAILED_UPDATES = ("paused", "rollback_started", "rollback_paused", "rollback_completed")
# An update that stands still until it is handed to the engine again.
STUCK_UPDATES = ("paused", "rollback_paused")
# A task whose health check fails is asked to stop, and ends as complete where it does as it is told.
DEAD = ("failed", "rejected", "complete")


class Stack:
    """A stack in the Swarm of this machine."""

    def __init__(self, module: AnsibleModule, name: str) -> None:
        """Name the stack; nothing is asked yet."""
        self.module, self.name = module, name

    def services(self) -> dict[str, dict[str, Any]]:
        """Return the inspected services by their name without the stack's."""
        ids = docker(
            self.module,
            "service",
            "ls",
            "--quiet",
            "--filter",
            f"label=com.docker.stack.namespace={self.name}",
        ).split()
        found = docker_json(self.module, "service", "inspect", *ids) if ids else []
        return {service["Spec"]["Name"].removeprefix(f"{self.name}_"): service for service in found}

    def tasks(self, services: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        """Return the inspected tasks of each service, by the service's name."""
        tasks = stack_tasks(self.module, self.name)
        return {
            name: [task for task in tasks if task["ServiceID"] == service["ID"]]
            for name, service in services.items()
        }

    def deploy(self, definition: dict[str, Any]) -> None:
        """Hand the definition to the engine, which starts to bring it about."""
        definition = for_engine(self.module, definition)
        docker(
            self.module, "stack", "deploy", "--prune", "--resolve-image", "never", "--compose-file", "-", self.name,
            data=json.dumps(definition),
        )  # fmt: skip


def solid(value: Any) -> Any:
    """Return a value without what is empty: the engine leaves that out of some answers."""
    if isinstance(value, dict):
        kept = {key: solid(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, {}, [], "")}
    if isinstance(value, list):
        return [solid(item) for item in value]
    return value


def same_task(task: dict[str, Any], service: dict[str, Any]) -> bool:
    """Tell whether a task runs what its service says now."""
    wanted = service["Spec"]["TaskTemplate"]
    return all(
        solid(task["Spec"].get(part) or {}) == solid(wanted.get(part) or {})
        for part in ("ContainerSpec", "Resources")
    )


def update_state(service: dict[str, Any], deployed: bool) -> str:
    """Return how far a service's last update is.

    Where this run changed nothing, an update that went wrong earlier and was taken back is over: the
    service has the definition that it should have.
    """
    state = str(service.get("UpdateStatus", {}).get("State", "completed"))
    return "completed" if state == "rollback_completed" and not deployed else state


def settled(service: dict[str, Any], tasks: list[dict[str, Any]], deployed: bool = True) -> bool:
    """Tell whether a service runs all it should, and nothing else."""
    if update_state(service, deployed) != "completed":
        return False
    wanted = [task for task in tasks if task["DesiredState"] == "running"]
    if not all(
        task["Status"]["State"] == "running" and same_task(task, service) for task in wanted
    ):
        return False
    replicas = service["Spec"]["Mode"].get("Replicated", {}).get("Replicas")
    # By slots: an update that was taken back, start-first, can leave two tasks of the right kind in one. Both serve
    # what they should, and the next update takes one away.
    slots = {task.get("Slot") for task in wanted}
    return bool(wanted) if replicas is None else len(slots) == replicas


def failure(
    service: dict[str, Any],
    tasks: list[dict[str, Any]],
    old: frozenset[str] = frozenset(),
    deployed: bool = True,
) -> str:
    """Return why a service can't get there, or ''. Tasks with an id in `old` died before, of something else."""
    state = update_state(service, deployed)
    if state in FAILED_UPDATES:
        return f"{state.replace('_', ' ')}: {service['UpdateStatus'].get('Message', '')}".strip()
    dead = [
        task
        for task in tasks
        if task["ID"] not in old and task["Status"]["State"] in DEAD and same_task(task, service)
    ]
    if "UpdateStatus" not in service and len(dead) >= DEAD_TASKS:
        return f"{len(dead)} tasks in a row did not stay up"
    return ""


def last_words(module: AnsibleModule, tasks: list[dict[str, Any]], old: frozenset[str]) -> str:
    """Return the error and the last log lines of the task that failed last and is not an old one."""
    dead = [task for task in tasks if task["Status"]["State"] in DEAD and task["ID"] not in old]
    if not dead:
        # Not dead but never ready: the newest one knows why.
        dead = sorted(tasks, key=lambda task: str(task["CreatedAt"]))[-1:]
    if not dead:
        return "no task was started: does any node meet the placement constraints?"
    task = max(dead, key=lambda item: str(item["Status"]["Timestamp"]))
    error = task["Status"].get("Err") or task["Status"].get("Message", "")
    log = task_log(module, task["ID"], "12")
    return f"task {task['ID'][:12]}: {error}. Its log ends: {log.strip() or '(empty)'}"


def wait(
    module: AnsibleModule,
    stack: Stack,
    names: list[str],
    old: frozenset[str],
    deployed: bool,
    fence: Fence,
) -> None:
    """Wait until all services have settled; fail the module where one can't, or time is up.

    An engine that does not answer, as while managers elect a leader, is asked again until time is up.
    """
    timeout = module.params["timeout"]
    deadline = time.monotonic() + timeout
    # An update begins a moment after it was asked for, and until then all looks settled.
    looks = 2 if deployed else 1
    while True:
        late = time.monotonic() > deadline
        fence.tick()
        try:
            services = stack.services()
            tasks = stack.tasks(services)
        except DockerError:
            if late:
                raise
            time.sleep(POLL_SECONDS)
            continue
        broken = {
            name: failure(services[name], tasks[name], old, deployed)
            for name in names
            if name in services
        }
        broken = {name: why for name, why in broken.items() if why}
        moving = [
            name
            for name in names
            if name not in services or not settled(services[name], tasks[name], deployed)
        ]
        if not broken and not moving:
            looks -= 1
            if not looks:
                return
        rolling = any(
            update_state(services[name], deployed) == "rollback_started" for name in broken
        )
        if (broken and not rolling) or (late and (broken or moving)):
            guilty = list(broken) or moving
            reasons = [
                f"{name}: {broken.get(name) or f'not settled after {timeout:.0f} s'}. "
                + last_words(module, tasks.get(name, []), old)
                for name in guilty
            ]
            module.fail_json(
                msg=f"stack {stack.name} did not get there. " + " | ".join(reasons),
                failed_services=guilty,
            )
        time.sleep(POLL_SECONDS)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "definition": {"type": "dict", "required": True},
            "labels": {"type": "dict", "default": {}},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "configs": {"type": "dict", "default": {}},
            "lock": LOCK,
            "timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    stack, fence = Stack(module, module.params["name"]), Fence(module)
    definition = labelled(module.params["definition"], module.params["labels"])
    started = time.monotonic()
    try:
        before = stack.services()
        # By their ids and not by the hour: clocks of machines differ.
        old_tasks = frozenset(
            task["ID"]
            for tasks in stack.tasks(before).values()
            for task in tasks
            if task["Status"]["State"] in DEAD
        )
        report = []
        for name, service in definition["services"].items():
            old = before.get(name, {}).get("Spec", {})
            report.append(
                {
                    "name": name,
                    "image": service["image"],
                    "image_before": old.get("TaskTemplate", {})
                    .get("ContainerSpec", {})
                    .get("Image", ""),
                    "release_before": old.get("Labels", {}).get(RELEASE, ""),
                    "changes": old.get("Labels", {}).get(HASH) != service["deploy"]["labels"][HASH]
                    or update_state(before.get(name, {}), False) in STUCK_UPDATES,
                }
            )
        gone = sorted(set(before) - set(definition["services"]))
        stale = any(
            before.get(name, {}).get("Spec", {}).get("Labels", {}).get(label) != str(value)
            for name in definition["services"]
            for label, value in module.params["labels"].items()
        )
        changed = bool(gone) or stale or any(service["changes"] for service in report)
        if changed and not module.check_mode:
            fence.check()
            store(module, "secret", module.params["secrets"])
            store(module, "config", module.params["configs"])
            stack.deploy(definition)
        if not module.check_mode:
            wait(module, stack, list(definition["services"]), old_tasks, changed, fence)
    except DockerError as error:
        module.fail_json(msg=f"stack {stack.name} could not be deployed: {error}")
    module.exit_json(
        changed=changed, services=report, removed=gone, seconds=round(time.monotonic() - started, 1)
    )


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: deploys a stack and waits, within bounds, until it runs or has failed."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import DockerError, docker, docker_json, stack_tasks, task_log

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
seconds:
  description: How long the stack took to settle.
  returned: success
  type: float
"""

HASH = "beanft.definition"
RELEASE = "beanft.release"
POLL_SECONDS = 0.4
# A service that never ran has nothing to go back to: so many dead tasks are an answer.
DEAD_TASKS = 3
FAILED_UPDATES = ("paused", "rollback_started", "rollback_paused", "rollback_completed")


def labelled(definition: dict[str, Any], labels: dict[str, str]) -> dict[str, Any]:
    """Return the definition with a hash of each service's part of it as a label of the service."""
    result = copy.deepcopy(definition)
    shared = {key: value for key, value in definition.items() if key != "services"}
    for name, service in result["services"].items():
        text = json.dumps([definition["services"][name], shared], sort_keys=True)
        deploy = service.setdefault("deploy", {})
        deploy["labels"] = {
            **deploy.get("labels", {}),
            **labels,
            HASH: hashlib.sha256(text.encode()).hexdigest(),
        }
    return result


class Stack:
    """A stack in the Swarm of this machine."""

    def __init__(self, module: AnsibleModule, name: str) -> None:
        """Name the stack; nothing is asked yet."""
        self.module, self.name = module, name

    def services(self) -> dict[str, dict[str, Any]]:
        """Return the inspected services by their name without the stack's."""
        ids = docker(
            self.module, "service", "ls", "--quiet", "--filter", f"label=com.docker.stack.namespace={self.name}"
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
    return all(solid(task["Spec"].get(part)) == solid(wanted.get(part)) for part in ("ContainerSpec", "Resources"))


def settled(service: dict[str, Any], tasks: list[dict[str, Any]]) -> bool:
    """Tell whether a service runs all it should, and nothing else."""
    if service.get("UpdateStatus", {}).get("State", "completed") != "completed":
        return False
    wanted = [task for task in tasks if task["DesiredState"] == "running"]
    if not wanted or not all(
        task["Status"]["State"] == "running" and same_task(task, service) for task in wanted
    ):
        return False
    replicas = service["Spec"]["Mode"].get("Replicated", {}).get("Replicas")
    return replicas is None or len(wanted) == replicas


def failure(service: dict[str, Any], tasks: list[dict[str, Any]]) -> str:
    """Return why a service can't get there, or ''."""
    update = service.get("UpdateStatus", {})
    if update.get("State") in FAILED_UPDATES:
        return f"{update['State'].replace('_', ' ')}: {update.get('Message', '')}".strip()
    dead = [task for task in tasks if task["Status"]["State"] in ("failed", "rejected") and same_task(task, service)]
    if "UpdateStatus" not in service and len(dead) >= DEAD_TASKS:
        return f"{len(dead)} tasks in a row did not stay up"
    return ""


def last_words(module: AnsibleModule, tasks: list[dict[str, Any]], since: str) -> str:
    """Return the error and the last log lines of the task that failed last since a moment (RFC 3339)."""
    dead = [
        task
        for task in tasks
        if task["Status"]["State"] in ("failed", "rejected") and task["Status"]["Timestamp"] > since
    ]
    if not dead:
        # Not dead but never ready: the newest one knows why.
        dead = sorted(tasks, key=lambda task: str(task["CreatedAt"]))[-1:]
    if not dead:
        return "no task was started: does any node meet the placement constraints?"
    task = max(dead, key=lambda item: str(item["Status"]["Timestamp"]))
    error = task["Status"].get("Err") or task["Status"].get("Message", "")
    log = task_log(module, task["ID"], "12")
    return f"task {task['ID'][:12]}: {error}. Its log ends: {log.strip() or '(empty)'}"


def wait(module: AnsibleModule, stack: Stack, names: list[str], timeout: float, since: str) -> None:
    """Wait until all services have settled; fail the module where one can't, or time is up."""
    deadline = time.monotonic() + timeout
    while True:
        services = stack.services()
        tasks = stack.tasks(services)
        broken = {name: failure(services[name], tasks[name]) for name in names if name in services}
        broken = {name: why for name, why in broken.items() if why}
        moving = [name for name in names if name not in services or not settled(services[name], tasks[name])]
        if not broken and not moving:
            return
        rolling = any(
            services[name].get("UpdateStatus", {}).get("State") == "rollback_started" for name in broken
        )
        late = time.monotonic() > deadline
        if (broken and not rolling) or late:
            guilty = list(broken) or moving
            reasons = [
                f"{name}: {broken.get(name) or f'not settled after {timeout:.0f} s'}. "
                + last_words(module, tasks.get(name, []), since)
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
            "timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    stack = Stack(module, module.params["name"])
    definition = labelled(module.params["definition"], module.params["labels"])
    started = time.monotonic()
    # The engine's clock, which stamps tasks, and not this process's.
    try:
        since = docker(module, "info", "--format", "{{.SystemTime}}").strip()
        before = stack.services()
        report = []
        for name, service in definition["services"].items():
            old = before.get(name, {}).get("Spec", {})
            report.append(
                {
                    "name": name,
                    "image": service["image"],
                    "image_before": old.get("TaskTemplate", {}).get("ContainerSpec", {}).get("Image", ""),
                    "release_before": old.get("Labels", {}).get(RELEASE, ""),
                    "changes": old.get("Labels", {}).get(HASH) != service["deploy"]["labels"][HASH],
                }
            )
        gone = sorted(set(before) - set(definition["services"]))
        stale = any(
            before.get(name, {}).get("Spec", {}).get("Labels", {}).get(label) != value
            for name in definition["services"]
            for label, value in module.params["labels"].items()
        )
        changed = bool(gone) or stale or any(service["changes"] for service in report)
        if changed and not module.check_mode:
            stack.deploy(definition)
        if not module.check_mode:
            wait(module, stack, list(definition["services"]), module.params["timeout"], since)
    except DockerError as error:
        module.fail_json(msg=f"stack {stack.name} could not be deployed: {error}")
    module.exit_json(changed=changed, services=report, removed=gone, seconds=round(time.monotonic() - started, 1))


if __name__ == "__main__":
    main()

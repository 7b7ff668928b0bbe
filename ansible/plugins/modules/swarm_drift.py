#!/usr/bin/python
"""Ansible module: says in what a Swarm's services, tasks and nodes differ from what is on record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import DockerError, docker, docker_json, stack_tasks
from ansible.module_utils.stack_specs import (
    HASH,
    RELEASE,
    differences,
    flat,
    labelled,
    service_specs,
)

DOCUMENTATION = r"""
module: swarm_drift
short_description: Compare a Swarm with what is on record
description:
  - Compares every field of the services of some stacks with what their definitions make of them, their tasks with
    the services, and the nodes with those that should be there. It changes nothing.
  - Values of the environment that no definition has are not returned, for they may be secrets.
options:
  stacks:
    description: >-
      The stacks, each with C(name), C(definition) as C(swarm_stack) was given it, C(labels), and C(mend), the command
      that deploys it where that is not C(make deploy). A service without an image is taken to run the right one if its
      label with the hash of its definition says so.
    type: list
    elements: dict
    required: true
  nodes:
    description: >-
      The nodes, each with C(hostname), C(role) and C(labels). An empty C(hostname) is a node whose name could not be
      asked for.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Drift
  swarm_drift:
    stacks:
      - {name: beanft, definition: "{{ record.stack }}", labels: {beanft.release: "7"}}
    nodes:
      - {hostname: m1, role: manager, labels: {beanft.edge: "true"}}
"""

RETURN = r"""
findings:
  description: Each difference, with C(where), C(what), C(expected), C(found) and C(mend).
  returned: success
  type: list
  elements: dict
images:
  description: For each service the image that its containers should have.
  returned: success
  type: dict
looked_at:
  description: How many services, tasks and nodes were compared.
  returned: success
  type: dict
"""

Finding = dict[str, str]
CONTAINER = "TaskTemplate.ContainerSpec."
DEPLOY = "make deploy"


def finding(where: str, what: str, expected: object, found: object, mend: str) -> Finding:
    """Return a difference as all parts of the drift report have it."""
    return {
        "where": where,
        "what": what,
        "expected": "none" if expected is None else str(expected),
        "found": "none" if found is None else str(found),
        "mend": mend,
    }


def term(path: str) -> str:
    """Return what people call a field of a service."""
    for beginning, word in (
        (f"{CONTAINER}Image", "image"),
        ("Mode.Replicated.Replicas", "replicas"),
        (f"{CONTAINER}Env.", "environment "),
        ("Labels.", "label "),
    ):
        if path.startswith(beginning):
            return word + path.removeprefix(beginning)
    mounted = re.match(rf"{re.escape(CONTAINER)}(Secret|Config)s\.(.+)\.File\.\w+$", path)
    mounted = mounted or re.match(rf"{re.escape(CONTAINER)}(Secret|Config)s\.(.+)\.\w+$", path)
    if mounted:
        return f"{mounted[1].lower()} {mounted[2]}"
    return path.removeprefix(CONTAINER).removeprefix("TaskTemplate.")


def mend(service: str, what: str, expected: Any, redeploys: bool) -> str:
    """Return what puts a field right. The next deploy does where it sees that the service has to change."""
    update = "on a manager: docker service update --detach"
    kind, _, name = what.partition(" ")
    if redeploys:
        return DEPLOY
    if what == "replicas":
        return f"on a manager: docker service scale --detach {service}={expected}"
    if what == "image":
        return f"{update} --no-resolve-image --image {expected} {service}"
    if kind in ("environment", "label") and name:
        option = {"environment": "env", "label": "label"}[kind]
        change = (
            f"--{option}-rm {name}" if expected is None else f"--{option}-add {name}={expected}"
        )
        return f"{update} {change} {service}"
    return f"on a manager: docker service rollback --detach {service}, or deploy another revision"


def compare(service: str, expected: dict[str, Any], found: dict[str, Any]) -> Iterator[Finding]:
    """Yield in what a service differs from its definition."""
    differing = differences(expected, found)
    redeploys = any(path in (f"Labels.{HASH}", f"Labels.{RELEASE}") for path, _, _ in differing)
    terms: dict[str, list[tuple[str, Any, Any]]] = {}
    for difference in differing:
        terms.setdefault(term(difference[0]), []).append(difference)
    for what, leaves in terms.items():
        _, before, after = leaves[0]
        shown = (before, after)
        if what.startswith(("secret ", "config ")):
            shown = (
                "as defined" if any(item[1] is not None for item in leaves) else None,
                "another file, owner or mode"
                if any(item[2] is not None for item in leaves)
                else None,
            )
        elif what.startswith("environment ") and after is not None:
            shown = (before, "set by hand" if before is None else "another value")
        elif what == f"label {HASH}":
            shown = (f"definition {str(before)[:12]}", f"definition {str(after)[:12]}")
        yield finding(service, what, *shown, mend(service, what, before, redeploys))


def services_of(module: AnsibleModule, stack: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the inspected services of a stack by name, and how many tasks the engine wants of each."""
    lines = docker(
        module, "service", "ls", "--format", "{{.Name}} {{.Replicas}}",
        "--filter", f"label=com.docker.stack.namespace={stack}",
    ).splitlines()  # fmt: skip
    wanted = {line.split()[0]: int(line.split()[1].split("/")[1]) for line in lines}
    found = docker_json(module, "service", "inspect", *wanted) if wanted else []
    return {service["Spec"]["Name"]: service for service in found}, wanted


def running(
    service: str, wanted: int, image: str, tasks: list[dict[str, Any]]
) -> Iterator[Finding]:
    """Yield in what a service's tasks differ from the service."""
    current = [task for task in tasks if task["DesiredState"] == "running"]
    up = [task for task in current if task["Status"]["State"] == "running"]
    logs = f"make logs SERVICE={service.removeprefix('beanft_').removeprefix('beanft-')}"
    if len(up) != wanted:
        yield finding(service, "running tasks", wanted, len(up), f"wait, or look: {logs}")
    for task in current:
        other = task["Spec"]["ContainerSpec"]["Image"]
        if other != image:
            yield finding(
                service, f"image of task {task['ID'][:12]}", image, other,
                f"wait for the update to end, or on a manager: docker service update --detach --force {service}",
            )  # fmt: skip


def look_at_stack(
    module: AnsibleModule, stack: dict[str, Any], networks: dict[str, str]
) -> tuple[list[Finding], dict[str, str], int]:
    """Return the findings of a stack, the image of each of its services, and how many tasks there are."""
    name, definition = stack["name"], stack["definition"]
    found, wanted = services_of(module, name)
    services = {}
    for key, service in definition["services"].items():
        running_spec = found.get(f"{name}_{key}", {}).get("Spec", {})
        image = service.get("image") or running_spec.get("TaskTemplate", {}).get(
            "ContainerSpec", {}
        ).get("Image", "")
        services[key] = {**service, "image": image or "none"}
    definition = labelled({**definition, "services": services}, stack.get("labels") or {})
    expected = service_specs(module, name, definition)
    tasks = stack_tasks(module, name)
    findings = []
    for service in sorted(set(expected) | set(found)):
        if service not in found:
            findings.append(finding(service, "service", "there", None, DEPLOY))
            continue
        if service not in expected:
            gone = f"{DEPLOY}, or on a manager: docker service rm {service}"
            findings.append(finding(service, "service", None, "there", gone))
            continue
        spec = flat(found[service]["Spec"], networks)
        findings += compare(service, flat(expected[service]), spec)
        state = found[service].get("UpdateStatus", {}).get("State", "completed")
        if state not in ("completed", "rollback_completed"):
            findings.append(finding(service, "update", "completed", state, f"wait, or {DEPLOY}"))
        findings += running(
            service, wanted[service], spec[f"{CONTAINER}Image"],
            [task for task in tasks if task["ServiceID"] == found[service]["ID"]],
        )  # fmt: skip
    images = {f"{name}_{key}": service["image"] for key, service in services.items()}
    return findings, images, len(tasks)


def look_at_nodes(nodes: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> Iterator[Finding]:
    """Yield in what the Swarm's nodes differ from the wanted ones."""
    named: dict[str, list[dict[str, Any]]] = {}
    for node in nodes:
        named.setdefault(node["Description"]["Hostname"], []).append(node)
    for want in wanted:
        name = want["hostname"]
        if not name:
            continue
        same = named.pop(name, [])
        # A machine that was made anew leaves its old entry behind, which is down.
        same.sort(key=lambda node: bool(node["Status"]["State"] != "ready"))
        if not same:
            yield finding(name, "node", "in the Swarm", None, "make site")
            continue
        node, spec = same[0], same[0]["Spec"]
        for old in same[1:]:
            other = old["ID"][:12]
            again = f"again as {other}, {old['Status']['State']}"
            yield finding(name, "node", "once", again, f"on a manager: docker node rm {other}")
        update = "on a manager: docker node update"
        turn = "promote" if want["role"] == "manager" else "demote"
        reachable = (node.get("ManagerStatus") or {}).get("Reachability", "reachable")
        for what, expected, found, way in (
            ("state", "ready", node["Status"]["State"], "start the machine and its engine"),
            ("availability", "active", spec["Availability"], f"{update} --availability active {name}"),
            ("role", want["role"], spec["Role"], f"on a manager: docker node {turn} {name}"),
            ("manager", "reachable", reachable, "start the machine and its engine"),
        ):  # fmt: skip
            if expected != found:
                yield finding(name, what, expected, found, way)
        labels, others = want.get("labels") or {}, spec.get("Labels") or {}
        for label in sorted(set(labels) | set(others)):
            if labels.get(label) != others.get(label):
                yield finding(
                    name, f"label {label}", labels.get(label), others.get(label), "make site"
                )
    if all(want["hostname"] for want in wanted):
        for name in sorted(named):
            yield finding(
                name, "node", None, f"in the Swarm, {named[name][0]['Status']['State']}",
                f"start the machine if it should be there; else on a manager: docker node rm --force {name}",
            )  # fmt: skip


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "stacks": {"type": "list", "elements": "dict", "required": True},
            "nodes": {"type": "list", "elements": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    findings: list[Finding] = []
    images: dict[str, str] = {}
    tasks = 0
    try:
        lines = docker(
            module, "network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}}"
        ).splitlines()
        networks = dict(line.split(maxsplit=1) for line in lines)
        for stack in module.params["stacks"]:
            more, its_images, its_tasks = look_at_stack(module, stack, networks)
            for it in more:
                it["mend"] = it["mend"].replace(DEPLOY, stack.get("mend", DEPLOY))
            findings, images, tasks = findings + more, images | its_images, tasks + its_tasks
        ids = docker(module, "node", "ls", "--quiet").split()
        nodes = docker_json(module, "node", "inspect", *ids)
        findings += look_at_nodes(nodes, module.params["nodes"])
    except DockerError as error:
        module.fail_json(msg=f"the Swarm could not be compared with what is on record: {error}")
    module.exit_json(
        changed=False,
        findings=findings,
        images=images,
        looked_at={"services": len(images), "tasks": tasks, "nodes": len(nodes)},
    )


if __name__ == "__main__":
    main()

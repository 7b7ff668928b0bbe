#!/usr/bin/python
"""Ansible module: says what a change of the entry means, and has its configuration checked."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import DockerError, docker, docker_json, run
from ansible.module_utils.entry import SERVICE, spare

DOCUMENTATION = r"""
module: entry_plan
short_description: Say whether the entry changes, and check its configuration
description:
  - Compares the entry that a stack has with the one that it should have. Where they differ, the image that is to run
    checks the configuration, before anything is changed; the module fails with HAProxy's own words. In check mode
    it is not asked, for the image may not be on the machine yet.
  - Changes nothing.
options:
  stack:
    description: Name of the entry's stack.
    type: str
    required: true
  definition:
    description: The stack as a Compose file has it, with the service C(haproxy).
    type: dict
    required: true
  config:
    description: The configuration, as HAProxy is to read it.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: What changes
  entry_plan:
    stack: beanft-edge
    definition: "{{ lookup('ansible.builtin.template', 'stack.yml.j2') | from_yaml }}"
    config: "{{ lookup('ansible.builtin.template', 'haproxy.cfg.j2') }}"
"""

RETURN = r"""
changes:
  description: Whether the entry is not, or not yet, the one of the definition.
  returned: success
  type: bool
what:
  description: In what it changes, of C(image), C(configuration) and C(settings); C(new) where there is none.
  returned: success
  type: list
running:
  description: Whether there is an entry, which then has to be replaced.
  returned: success
  type: bool
settled:
  description: Whether no update of it is under way, or stands still.
  returned: success
  type: bool
updating:
  description: Whether an update of it is under way.
  returned: success
  type: bool
spare:
  description: Whether a spare entry is there, left by a run that was killed.
  returned: success
  type: bool
definition:
  description: The definition, with the label by which the next run knows it.
  returned: success
  type: dict
"""

LABEL = "beanft.entry"
CHECK_SECONDS = 60.0


def labelled(definition: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the definition with its own hash as a label of the service, and the hash."""
    digest = hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
    result = copy.deepcopy(definition)
    deploy = result["services"][SERVICE].setdefault("deploy", {})
    deploy["labels"] = {**deploy.get("labels", {}), LABEL: digest}
    return result, digest


def differences(current: dict[str, Any] | None, definition: dict[str, Any]) -> list[str]:
    """Return in what an entry that has to change differs from its definition."""
    if current is None:
        return ["new"]
    container = current["TaskTemplate"]["ContainerSpec"]
    configs = {config["ConfigName"] for config in container.get("Configs") or []}
    wanted = {config["name"] for config in definition.get("configs", {}).values()}
    found = {
        "image": container["Image"] != definition["services"][SERVICE]["image"],
        "configuration": configs != wanted,
    }
    return [name for name, differs in found.items() if differs] or ["settings"]


def directories(service: dict[str, Any]) -> list[dict[str, str]]:
    """Return the directories of the machine that an entry has: with the certificate that it serves."""
    return [volume for volume in service.get("volumes", []) if volume.get("type") == "bind"]


def refusal(image: str, config: str, binds: list[dict[str, str]]) -> str:
    """Return why HAProxy would not start with a configuration, in its words, or ''."""
    sandbox = ["--network", "none", "--read-only", "--cap-drop", "ALL", "--log-driver", "none"]
    for bind in binds:
        sandbox += [
            "--mount",
            f"type=bind,source={bind['source']},target={bind['target']},readonly",
        ]
    code, out, err = run(
        ("run", "--rm", "--interactive", *sandbox, image, "-c", "-f", "/dev/stdin"),
        config,
        CHECK_SECONDS,
    )
    if not code:
        return ""
    lines = [line.strip() for line in (out + err).splitlines() if line.strip()]
    words = [line.partition(" : ")[2] for line in lines if line.startswith("[ALERT]")]
    # The last ones only say that there were errors.
    said = [word for word in words if "rror(s) found" not in word and "Fatal errors" not in word]
    return " / ".join((said or words or lines)[:5]) or f"it exited with {code} and said nothing"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "definition": {"type": "dict", "required": True},
            "config": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    stack, config = module.params["stack"], module.params["config"]
    definition, digest = labelled(module.params["definition"])
    image = definition["services"][SERVICE]["image"]
    binds = directories(definition["services"][SERVICE])
    missing = [bind["source"] for bind in binds if not Path(bind["source"]).is_dir()]
    if missing and not module.check_mode:
        module.fail_json(
            msg=f"the entry needs {missing[0]}, which is not on this machine: run 'make site' first, "
            "which brings the certificate; nothing was changed"
        )
    names = {f"{stack}_{SERVICE}", f"{spare(stack)}_{SERVICE}"}
    try:
        listed = docker(module, "service", "ls", "--format", "{{.Name}}").split()
        there = sorted(names & set(listed))
        found = {
            service["Spec"]["Name"]: service
            for service in (docker_json(module, "service", "inspect", *there) if there else [])
        }
        entry = found.get(f"{stack}_{SERVICE}", {})
        current = entry.get("Spec")
        state = entry.get("UpdateStatus", {}).get("State", "completed")
        changes = (current or {}).get("Labels", {}).get(LABEL) != digest
        # In check mode the image need not be on the machine yet.
        why = refusal(image, config, binds) if changes and not module.check_mode else ""
    except DockerError as error:
        module.fail_json(msg=f"the entry {stack} could not be looked at: {error}")
    if why:
        module.fail_json(
            msg=f"HAProxy refuses this configuration, and nothing was changed. It says: {why}"
        )
    module.exit_json(
        changed=False,
        changes=changes,
        what=differences(current, definition) if changes else [],
        running=current is not None,
        settled=state == "completed",
        updating=state in ("updating", "rollback_started"),
        spare=f"{spare(stack)}_{SERVICE}" in found,
        definition=definition,
    )


if __name__ == "__main__":
    main()

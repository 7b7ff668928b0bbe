#!/usr/bin/python
"""Ansible module: reads and writes release records in the Swarm's own store."""

from __future__ import annotations

import base64
import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import DockerError, docker, docker_json
from ansible.module_utils.swarm_lock import OPTION as LOCK
from ansible.module_utils.swarm_lock import Fence

DOCUMENTATION = r"""
module: swarm_release
short_description: Release records in the Swarm's store
description:
  - A record is an immutable config of the Swarm, so it can't be changed and is where the Swarm is.
  - Without C(record), returns all records and which one is current. With it, writes it under the next number.
options:
  stack:
    description: The stack whose releases these are.
    type: str
    required: true
  record:
    description: >-
      What to write; its C(number) is filled in. Or a signed one, as C(record) (JSON, with the C(number) that is next)
      and C(signature).
    type: dict
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
  keep:
    description: How many records to keep when one is written; always kept are the current one and those after it.
    type: int
    default: 50
"""

EXAMPLES = r"""
- name: Releases
  swarm_release:
    stack: beanft
"""

RETURN = r"""
releases:
  description: >-
    All records, oldest first, each with C(current), C(is_rolled_back), and C(is_target) where a rollback may go.
  returned: success
  type: list
  elements: dict
current:
  description: The record of what runs now, or an empty one.
  returned: success
  type: dict
next:
  description: The number that the next release gets.
  returned: success
  type: int
number:
  description: The number of the record that was written, or would be.
  returned: success
  type: int
"""

LABEL = "beanft.release-of"


def marked(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records, oldest first, with what follows from the later ones.

    The last that succeeded is current. One that a rollback left is marked as rolled back and is not a
    target again. A rollback is a record of its own that says what it restores: it is current or left
    together with that.
    """
    ordered = sorted(records, key=lambda record: int(record["number"]))
    restored = {record["number"]: record.get("restores") for record in ordered}
    succeeded = [record["number"] for record in ordered if record["result"] == "succeeded"]
    current = succeeded[-1] if succeeded else None

    def with_restored(number: int | None) -> set[int]:
        found: set[int] = set()
        while number is not None and number not in found:
            found.add(number)
            number = restored.get(number)
        return found

    rolled_back = [record["rolled_back"] for record in ordered if record.get("rolled_back")]
    left = {number for first in rolled_back for number in with_restored(first)}
    running = with_restored(current)
    return [
        {
            **record,
            "current": record["number"] == current,
            "is_rolled_back": record["number"] in left,
            "is_target": record["result"] == "succeeded" and record["number"] not in running | left,
        }
        for record in ordered
    ]


def parsed(data: dict[str, Any]) -> dict[str, Any]:
    """Return a record as it is stored: signed ones carry their envelope, for who wants to verify it."""
    if "signature" not in data:
        return data
    return {**json.loads(data["record"]), "envelope": data}


def read(module: AnsibleModule, stack: str) -> list[dict[str, Any]]:
    """Return all records of a stack's releases."""
    ids = docker(module, "config", "ls", "--quiet", "--filter", f"label={LABEL}={stack}").split()
    configs = docker_json(module, "config", "inspect", *ids) if ids else []
    return marked([parsed(json.loads(base64.b64decode(item["Spec"]["Data"]))) for item in configs])


def name_of(stack: str, number: int) -> str:
    """Return a record's name in the store."""
    return f"{stack}-release-{number:05d}"


def write(module: AnsibleModule, stack: str, record: dict[str, Any], number: int) -> None:
    """Write a record under its number.

    Raises:
        DockerError: it is signed with another number, or the store has that number.
    """
    if "signature" in record:
        signed = json.loads(record["record"])["number"]
        if signed != number:
            raise DockerError(f"the record is signed as number {signed}, and {number} is next")
        data = record
    else:
        data = {**record, "number": number}
    # The store refuses a name that exists: two writers can't take one number.
    docker(
        module, "config", "create", "--label", f"{LABEL}={stack}", "--label", "beanft=release",
        name_of(stack, number), "-",
        data=json.dumps(data, sort_keys=True),
    )  # fmt: skip


def superfluous(releases: list[dict[str, Any]], keep: int) -> list[int]:
    """Return the numbers of old records: not of the newest `keep`, not current, not what to go back to."""
    targets = [item["number"] for item in releases if item["is_target"]]
    needed = {item["number"] for item in releases if item["current"]} | set(targets[-1:])
    needed |= {item.get("restores") for item in releases if item["number"] in needed}
    return [item["number"] for item in releases[:-keep] if item["number"] not in needed]


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "record": {"type": "dict"},
            "lock": LOCK,
            "keep": {"type": "int", "default": 50},
        },
        supports_check_mode=True,
    )
    stack, record = module.params["stack"], module.params["record"]
    try:
        releases = read(module, stack)
        number = releases[-1]["number"] + 1 if releases else 1
        if record is not None and not module.check_mode:
            Fence(module).check()
            write(module, stack, record, number)
            old = superfluous(read(module, stack), module.params["keep"])
            if old:
                docker(module, "config", "rm", *(name_of(stack, item) for item in old))
            releases = read(module, stack)
    except DockerError as error:
        module.fail_json(msg=f"the release records of {stack} could not be used: {error}")
    current = next((item for item in releases if item["current"]), {})
    last = releases[-1]["number"] + 1 if releases else 1
    module.exit_json(
        changed=record is not None, releases=releases, current=current, next=last, number=number
    )


if __name__ == "__main__":
    main()

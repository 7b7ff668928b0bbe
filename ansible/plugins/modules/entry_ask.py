#!/usr/bin/python
"""Ansible module: asks this machine's entry for pages, so that its log says something where nobody visits."""

from __future__ import annotations

import collections
import http.client
import itertools
import ssl
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import DockerError
from ansible.module_utils.entry import address, containers

DOCUMENTATION = r"""
module: entry_ask
short_description: Ask the entry for pages
description:
  - Gets pages through this machine's entry, one after the other, for some seconds. What came of it is for module
    M(entry_log) to read from the entry's log, where it is beside what visitors asked for.
  - Changes nothing.
options:
  stack:
    description: Name of the entry's stack.
    type: str
    required: true
  seconds:
    description: How long to ask. Each of C(paths) is asked for five times at least, within ten seconds more.
    type: float
    required: true
  tls:
    description: Whether pages are served by HTTPS alone. The certificate is role C(tls)'s matter, and not verified.
    type: bool
    default: false
  paths:
    description: What to ask for, in turns.
    type: list
    elements: str
    default: [/, /login, /api/v1/version, /api/v1/models]
  every:
    description: Seconds from one request to the next.
    type: float
    default: 0.2
"""

EXAMPLES = r"""
- name: Ask for as long as the entry is watched
  entry_ask:
    stack: beanft-edge
    seconds: 15
"""

RETURN = r"""
answers:
  description: How many answers there were by status; C(none) for requests without one.
  returned: success
  type: dict
"""

# HAProxy's own ports, inside its container.
PORTS = {False: 8080, True: 8443}
LEAST_ROUNDS = 5
MORE_SECONDS = 10.0
ANSWER_SECONDS = 5.0


def ask(host: str, path: str, tls: bool) -> str:
    """Return the status of one answer, or ``none``."""
    connection: http.client.HTTPConnection
    if tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            host, PORTS[tls], timeout=ANSWER_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, PORTS[tls], timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path, headers={"User-Agent": "beanft-watch"})
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return "none"
    finally:
        connection.close()
    return str(answer.status)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "seconds": {"type": "float", "required": True},
            "tls": {"type": "bool", "default": False},
            "paths": {
                "type": "list",
                "elements": "str",
                "default": ["/", "/login", "/api/v1/version", "/api/v1/models"],
            },
            "every": {"type": "float", "default": 0.2},
        },
        supports_check_mode=True,
    )
    paths: list[str] = module.params["paths"]
    answers: collections.Counter[str] = collections.Counter()
    if module.check_mode:
        module.exit_json(changed=False, answers={})
    try:
        found = containers(module, module.params["stack"])
        host = address(module, found[0]) if found else ""
    except DockerError as error:
        module.fail_json(msg=f"the entry could not be found: {error}")
    end = time.monotonic() + module.params["seconds"]
    for asked, path in enumerate(itertools.cycle(paths) if host else ()):
        now = time.monotonic()
        if now >= end and (asked >= LEAST_ROUNDS * len(paths) or now >= end + MORE_SECONDS):
            break
        answers[ask(host, path, module.params["tls"])] += 1
        # What is asked for after the time should not take more of it than it must.
        time.sleep(max(0.0, min(now + module.params["every"], end) - time.monotonic()))
    module.exit_json(changed=False, answers=dict(answers))


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: leads a machine's new connections to the spare entry while its own is replaced."""

from __future__ import annotations

import shlex
import subprocess
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import DockerError
from ansible.module_utils.entry import address, containers, ready_tasks, spare, unseen

DOCUMENTATION = r"""
module: entry_divert
short_description: Lead new connections to the spare entry, and back
description:
  - While an entry is replaced, nobody listens on the machine's port. This leads new connections that come from
    outside to the spare entry of the same machine, by a rule of the kernel before Docker's own for that port. The
    client's address is kept; connections that there are stay where they are.
  - The rule is made when the spare entry sees ready tasks of every service of which the entry sees some, and taken
    away when it is the other way round.
  - systemd takes the rule away after so many seconds, also where nobody else does.
options:
  stack:
    description: Name of the entry's stack; the spare entry's ends with C(-spare).
    type: str
    required: true
  port:
    description: The machine's port.
    type: int
    required: true
  target_port:
    description: The port at which the spare entry takes them.
    type: int
    default: 8080
  state:
    description: Whether new connections go to the spare entry.
    type: str
    choices: [present, absent]
    default: present
  seconds:
    description: Seconds after which the rule ends by itself.
    type: int
    default: 240
  timeout:
    description: Seconds to wait until the one that they go to is ready.
    type: int
    default: 90
"""

EXAMPLES = r"""
- name: New connections go to the spare entry
  entry_divert:
    stack: beanft-edge
    port: 80
"""

RETURN = r"""
address:
  description: The spare entry's address, or nothing where connections go to the entry.
  returned: success
  type: str
"""

COMMENT = "beanft-entry"
UNIT = "beanft-entry-divert"
POLL_SECONDS = 0.25
COMMAND_SECONDS = 30.0


class DivertError(Exception):
    """A command of the machine failed; the message says which, and what it said."""


def command(*arguments: str) -> str:
    """Run a command and return its stdout.

    Raises:
        DivertError: it could not be run, or exited with something other than 0.
    """
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DivertError(f"{arguments[0]}: {error}") from error
    if done.returncode:
        raise DivertError(f"{' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def iptables(*arguments: str) -> str:
    """Run iptables, after whoever else is changing rules."""
    return command("iptables", "--wait", "10", *arguments)


def rules(port: int, target: str) -> list[list[str]]:
    """Return the rules that lead a port to ADDRESS:PORT: table, chain, and what the rule says."""
    host, _, target_port = target.rpartition(":")
    mark = ["-m", "comment", "--comment", f"{COMMENT}-{port}"]
    here = ["-p", "tcp", "--dport", str(port), "-m", "addrtype", "--dst-type", "LOCAL"]
    there = ["-d", host, "-p", "tcp", "--dport", target_port]
    return [
        # Docker lets in only what goes to a published port.
        ["filter", "DOCKER-USER", *there, *mark, "-j", "ACCEPT"],
        ["nat", "PREROUTING", *here, *mark, "-j", "DNAT", "--to-destination", target],
    ]  # fmt: skip


def present(port: int) -> list[list[str]]:
    """Return what there is of our rules for a port, the one that leads there first."""
    found = []
    for table, chain in (("nat", "PREROUTING"), ("filter", "DOCKER-USER")):
        for line in iptables("-t", table, "-S", chain).splitlines():
            words = shlex.split(line)
            if f"{COMMENT}-{port}" in words:
                found.append([table, chain, *words[2:]])
    return found


def leads(found: list[list[str]], target: str) -> bool:
    """Tell whether rules that were found lead to ADDRESS:PORT; iptables writes them in its own way."""
    return any(target in rule for rule in found)


def divert(port: int, target: str, seconds: int) -> None:
    """Lead a port to ADDRESS:PORT; what ends it is there before it is."""
    wanted = rules(port, target)
    stop_timer(port)
    table, chain, *rule = wanted[-1]
    command(
        "systemd-run", "--quiet", "--collect", "--unit", f"{UNIT}-{port}", "--on-active", f"{seconds}s",
        "iptables", "--wait", "10", "-t", table, "-D", chain, *rule,
    )  # fmt: skip
    for table, chain, *rule in wanted:
        iptables("-t", table, "-I", chain, "1", *rule)


def undo(port: int) -> None:
    """Take our rules for a port away."""
    for table, chain, *rule in present(port):
        iptables("-t", table, "-D", chain, *rule)
    stop_timer(port)


def stop_timer(port: int) -> None:
    """Forget what would end a rule; systemd drops the unit then."""
    timer = f"{UNIT}-{port}.timer"
    if timer in command("systemctl", "list-units", "--all", "--plain", "--no-legend", timer):
        command("systemctl", "stop", timer)


def where(module: AnsibleModule, stack: str) -> str:
    """Return the address of a stack's newest entry on this machine, or ''."""
    found = containers(module, stack)
    return address(module, found[0]) if found else ""


def wait(module: AnsibleModule, target: str, source: str) -> str:
    """Wait until the entry of stack `target` sees what that of `source` sees; return the target's address.

    Raises:
        DivertError: it does not in time.
    """
    deadline = time.monotonic() + module.params["timeout"]
    while True:
        here, there = where(module, target), where(module, source)
        seen, other = (ready_tasks(it) if it else {} for it in (here, there))
        missing = unseen(seen, other)
        if seen and not missing:
            return here
        if time.monotonic() > deadline:
            what = f"sees no ready task of {', '.join(missing)}" if seen else "does not answer"
            raise DivertError(
                f"the entry of stack {target} {what}: "
                f"see its log, docker service logs {target}_haproxy, and run again"
            )
        time.sleep(POLL_SECONDS)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "target_port": {"type": "int", "default": 8080},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "seconds": {"type": "int", "default": 240},
            "timeout": {"type": "int", "default": 90},
        },
        supports_check_mode=True,
    )
    values: dict[str, Any] = module.params
    stack, port, wanted = values["stack"], values["port"], values["state"] == "present"
    target = ""
    try:
        before = present(port)
        if module.check_mode:
            module.exit_json(changed=bool(before) != wanted, address="")
        if wanted:
            # Without an entry there is nothing that could be missed.
            if where(module, stack):
                target = wait(module, spare(stack), stack)
            there = f"{target}:{values['target_port']}"
            changed = bool(target) and not leads(before, there)
            if changed:
                undo(port)
                divert(port, there, values["seconds"])
        else:
            changed = bool(before)
            if changed:
                wait(module, stack, spare(stack))
                undo(port)
    except (DockerError, DivertError) as error:
        module.fail_json(
            msg=f"new connections to port {port} could not be led {'to the spare entry' if wanted else 'back'}: {error}"
        )
    module.exit_json(changed=changed, address=target)


if __name__ == "__main__":
    main()

"""What the modules of this project share: calling the docker client and reading its JSON."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any, NoReturn, Protocol


class Module(Protocol):
    """The part of AnsibleModule that is used here."""

    params: dict[str, Any]
    check_mode: bool

    def fail_json(self, msg: str, **values: Any) -> NoReturn:
        """End the module with an error."""


# A client that waits for an engine that has hung waits for ever; what moves images may take long.
SECONDS = 90
TRANSFER_SECONDS = 1800
LOG_SECONDS = 20


class DockerError(Exception):
    """The docker client failed; the message is what it said, in one line."""


def run(arguments: tuple[str, ...], data: str | None, seconds: float) -> tuple[int, str, str]:
    """Run the docker client; return its exit code, stdout and stderr.

    Not by AnsibleModule.run_command, which knows no bound in time and may not be called in threads.

    Raises:
        DockerError: there is no client, or it did not end in time.
    """
    try:
        done = subprocess.run(
            ["docker", *arguments],
            input=data or "",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except OSError as error:
        raise DockerError(f"the docker client could not be run: {error}") from error
    except subprocess.TimeoutExpired as error:
        command = " ".join(arguments[:2])
        raise DockerError(f"'docker {command}' did not end within {seconds:.0f} s") from error
    return done.returncode, done.stdout, done.stderr


def docker(
    module: Module, *arguments: str, data: str | None = None, seconds: float = SECONDS
) -> str:
    """Run the docker client and return its stdout.

    Raises:
        DockerError: it exited with something other than 0, or not in time.
    """
    code, out, err = run(arguments, data, seconds)
    if code:
        raise DockerError(summary(err or out))
    return out


def stack_tasks(module: Module, stack: str) -> list[dict[str, Any]]:
    """Return the inspected tasks of a stack; none where none has been made yet."""
    for attempt in range(5):
        try:
            ids = docker(module, "stack", "ps", "--quiet", "--no-trunc", stack).split()
            return list(docker_json(module, "inspect", "--type", "task", *ids)) if ids else []
        except DockerError as error:
            if "nothing found in stack" in str(error):
                return []
            # The engine forgets old tasks; one may go between the two questions.
            if attempt == 4 or not re.search("not found|no such", str(error), re.IGNORECASE):
                raise
    return []


def store(module: Module, kind: str, wanted: dict[str, str]) -> None:
    """Make secrets or configs in the Swarm that are not there. They can't be changed, so those that are stay."""
    if not wanted:
        return
    there = docker(module, kind, "ls", "--format", "{{.Name}}").split()
    for name in sorted(set(wanted) - set(there)):
        docker(
            module, kind, "create", "--label", f"beanft={kind}", name, "-", data=wanted[name]
        )  # fmt: skip


def task_log(module: Module, task: str, lines: str = "all") -> str:
    """Return the last lines of a task's log, what it wrote to stdout before what it wrote to stderr."""
    try:
        # The engine asks the task's machine, which may be the one that died.
        code, out, err = run(("service", "logs", "--raw", "--tail", lines, task), None, LOG_SECONDS)
    except DockerError as error:
        return f"(no log: {error})"
    return f"(no log: {summary(err)})" if code else out + err


def summary(text: str) -> str:
    """Return the last line of an error that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "the docker client said nothing"


def docker_json(module: Module, *arguments: str) -> Any:
    """Run an inspect command, return what its JSON says."""
    return json.loads(docker(module, *arguments) or "[]")


def inspect_images(module: Module, references: list[str]) -> dict[str, dict[str, Any]]:
    """Return the local images among `references`, by reference."""
    found = {}
    for reference in references:
        try:
            found[reference] = docker_json(module, "image", "inspect", reference)[0]
        except DockerError:
            continue
    return found

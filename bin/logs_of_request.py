"""Prints what all services on all machines of ENV logged about one request, in order of time.

    logs_of_request.py ID

The entry gives each request an id, or keeps the client's; web and api name it in their lines, and so does
the worker in those about a job that the request started. The engine's own stamps say when, so lines of two
machines are as much in order as their clocks agree.
"""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
SECONDS = 60
# Runs as root on a machine: every container of a service, also one that has ended, and of each the lines with the id.
LOOK = r"""
found=$(docker ps --all --no-trunc --filter label=com.docker.swarm.service.name \
  --format '{{.ID}} {{.Label "com.docker.swarm.service.name"}}') || exit 1
[ -n "$found" ] || exit 0
printf '%s\n' "$found" | while read -r container service; do
  docker logs --timestamps "$container" 2>&1 </dev/null | grep --fixed-strings -- "$1" | sed "s/^/$service /"
done
"""


class Line(NamedTuple):
    """A line of a log. They are sorted by this order of fields."""

    stamp: str
    machine: str
    service: str
    text: str


def inventory() -> dict[str, Any]:
    """Return the functions of bin/inventory by name: it is a program without a suffix, so no import finds it."""
    return runpy.run_path(str(Path(__file__).with_name("inventory")))


def lines_of(machine: str, request: str, said: str) -> list[Line]:
    """Return the lines about a request from what LOOK printed on a machine."""
    # Not those about another one, whose id has this one in it.
    whole = re.compile(rf"(?<![A-Za-z0-9._-]){re.escape(request)}(?![A-Za-z0-9._-])")
    found = []
    for line in said.splitlines():
        service, stamp, text = [*line.split(" ", 2), "", ""][:3]
        if whole.search(text):
            found.append(Line(stamp, machine, short(service), text))
    return found


def short(service: str) -> str:
    """Return what a service is called here: web for beanft_web, edge for beanft-edge_haproxy."""
    stack, _, name = service.rpartition("_")
    return "edge" if name == "haproxy" else name or stack


def look(options: list[str], request: str) -> tuple[str, str]:
    """Return what LOOK prints on a machine, and why it did not."""
    command = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", *options]
    try:
        done = subprocess.run(
            [*command, "sudo", "sh", "-s", "--", request],
            input=LOOK,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer within {SECONDS} s"
    if done.returncode:
        return done.stdout, (done.stderr.strip().splitlines() or ["ssh failed"])[-1]
    return done.stdout, ""


def main(arguments: list[str]) -> int:
    """Print the lines; 1 where there are none, or a machine could not be asked."""
    if len(arguments) != 1 or not ID.fullmatch(arguments[0]):
        sys.exit(
            f"beanft: '{' '.join(arguments)}' is no request's id: it is 8 to 64 letters, digits and . _ -, "
            "as a page about an error, the header X-Request-ID and every line of a log have it"
        )
    request = arguments[0]
    known = inventory()
    hosts = known["read"]()["_meta"]["hostvars"]
    names = sorted(hosts)
    with ThreadPoolExecutor(max_workers=16) as pool:
        answers = list(pool.map(lambda name: look(known["ssh"](hosts, name), request), names))
    lines: list[Line] = []
    for name, (said, problem) in zip(names, answers, strict=True):
        machine = name.rsplit("-", 1)[-1]
        lines += lines_of(machine, request, said)
        if problem:
            print(f"beanft: {machine} could not be asked: {problem}", file=sys.stderr)
    for line in sorted(lines):
        print(f"{line.stamp} {line.machine} {line.service:<6} {line.text}")
    if not lines:
        print(
            f"beanft: no line of {len(names)} machine(s) names {request}: engines keep some 30 MB of each task, "
            "and nothing of tasks that are gone",
            file=sys.stderr,
        )
    return 0 if lines and not any(problem for _, problem in answers) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

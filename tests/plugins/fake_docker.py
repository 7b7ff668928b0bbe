#!/usr/bin/env python3
"""A docker client that answers from a file: what a test wrote for it beside this file.

`answers.json` has `steps`, each with answers by the beginning of the command line. The first
step holds until the command `advance` begins is called for the second time, and so on; the last one
stays. An answer is a string for stdout, or `out`, `err`, `code` and `seconds`, or a list of those for one call
after the other. Every call is added to `calls.jsonl`. A command without an answer fails.

Where the engine is named by `--host unix://…`, what an answer `creates` is sent to it as services to create.
"""

from __future__ import annotations

import fcntl
import json
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def answer(command: str, data: str) -> dict[str, Any]:
    """Note a call and return the answer to it."""
    script = json.loads((HERE / "answers.json").read_text(encoding="utf-8"))
    with (HERE / "calls.jsonl").open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        before = [json.loads(line)["command"] for line in file]
        file.write(json.dumps({"command": command, "stdin": data, "at": time.time()}) + "\n")
        file.flush()
    looks = sum(call.startswith(script["advance"]) for call in [*before, command])
    step = script["steps"][min(max(looks, 1), len(script["steps"])) - 1]
    known = sorted((key for key in step if command.startswith(key)), key=len)
    if not known:
        return {"err": f"fake docker has no answer to: {command}", "code": 64}
    found = step[known[-1]]
    if isinstance(found, list):
        calls = sum(call.startswith(known[-1]) for call in before)
        found = found[min(calls, len(found) - 1)]
    return {"out": found} if isinstance(found, str) else dict(found)


def create(path: str, services: list[dict[str, Any]]) -> None:
    """Ask the engine at a socket to create services, as a client does that deploys a stack."""
    import http.client
    import socket

    for service in services:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(path)
        connection.request("POST", "/v1.41/services/create", json.dumps(service))
        if connection.getresponse().status != 201:
            sys.exit("the engine did not create a service")
        connection.close()


def main() -> None:
    """Answer."""
    found = answer(" ".join(sys.argv[1:]), sys.stdin.read())
    time.sleep(found.get("seconds", 0))
    if "creates" in found:
        create(sys.argv[2].removeprefix("unix://"), found["creates"])
    sys.stdout.write(found.get("out", ""))
    sys.stderr.write(found.get("err", ""))
    sys.exit(found.get("code", 0))


if __name__ == "__main__":
    main()

"""Runs on a machine as root, from `make audit-hosts`: says what the engine and the kernel know of its containers.

Only the standard library: it is handed to the machine's own Python.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any


def docker(*arguments: str) -> str:
    """Return what the docker client prints."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def status(pid: int) -> dict[str, str]:
    """Return what the kernel says of a process."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return {
        key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())
    }


def facts(container: dict[str, Any]) -> dict[str, Any]:
    """Return what is to be judged of a container."""
    host, state = container["HostConfig"], container["State"]
    kernel = status(state["Pid"])
    labels = container["Config"].get("Labels") or {}
    return {
        "name": labels.get("com.docker.swarm.service.name") or container["Name"].lstrip("/"),
        "uid": int(kernel["Uid"].split()[0]),
        "capabilities": kernel["CapBnd"],
        "no_new_privileges": kernel["NoNewPrivs"] == "1",
        "read_only": bool(host["ReadonlyRootfs"]),
        "memory": host["Memory"] or 0,
        "pids": host["PidsLimit"] or 0,
        "health": (state.get("Health") or {}).get("Status", ""),
    }


def main() -> None:
    """Print the facts of every container that is part of a stack."""
    label = "label=com.docker.stack.namespace"
    ids = docker("ps", "--quiet", "--filter", label, "--filter", "status=running").split()
    containers = json.loads(docker("inspect", *ids)) if ids else []
    print(json.dumps([facts(container) for container in containers if container["State"]["Pid"]]))


if __name__ == "__main__":
    main()

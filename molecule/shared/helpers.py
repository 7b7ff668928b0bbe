"""Running playbooks from tests, and bringing images to machines."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

ROOT = Path(os.environ["BEANFT_ROOT"])
STATE = Path(os.environ["BEANFT_STATE"])
BASE = f"{os.environ['BEANFT_CHECKOUT']}/base:trixie"
# Facts of machines, which are the same for all the runs of one scenario's tests: looking takes seconds each time.
FACTS = tempfile.TemporaryDirectory(prefix="facts-")


@dataclass(frozen=True)
class Run:
    """How a run of ansible-playbook ended."""

    code: int
    changed: dict[str, list[str]]
    """Names of tasks that changed something, by machine."""
    messages: list[str]
    """What failing tasks said."""


def playbook(path: Path, *options: str) -> Run:
    """Run a playbook against the machines of this scenario."""
    done = subprocess.run(
        [
            "ansible-playbook",
            "--inventory",
            str(ROOT / "ansible/inventories/local"),
            *options,
            path,
        ],
        env={
            **os.environ,
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_CACHE_PLUGIN": "ansible.builtin.jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": FACTS.name,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    try:
        report, _ = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{") :])
    except ValueError:
        pytest.fail(f"ansible-playbook said nothing that can be read: {done.stdout}{done.stderr}")
    changed: dict[str, list[str]] = {}
    messages = []
    for play in report["plays"]:
        for task in play["tasks"]:
            for name, result in task["hosts"].items():
                if result.get("changed"):
                    changed.setdefault(name.rsplit("-", 1)[-1], []).append(task["task"]["name"])
                if result.get("failed"):
                    messages.append(str(result.get("msg", result)))
    return Run(done.returncode, changed, messages)


def apply(
    role: str,
    *,
    target: str = "machines",
    tasks_from: str = "main",
    tags: str = "all",
    made_up: dict[str, Any] | None = None,
    variables: dict[str, Any] | None = None,
) -> Run:
    """Apply a role once more, or its tasks with some tags, with facts made up and with other variables."""
    extra = {"role": role, "target": target, "tasks_from": tasks_from, "made_up": made_up or {}}
    words = json.dumps(extra | (variables or {}))
    return playbook(ROOT / "molecule/shared/role.yml", "--tags", tags, "--extra-vars", words)


def machine(name: str) -> Host:
    """Return a machine of this scenario by its name."""
    return testinfra.get_host(f"ssh://{name}", ssh_config=str(STATE / "ssh_config"), sudo=True)


def load(host: Host, image: str) -> None:
    """Bring an image of the control machine's engine to a machine's."""
    if host.run("docker image inspect %s", image).rc == 0:
        return
    name = host.backend.get_pytest_id().removeprefix("ssh://")
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as save:
        subprocess.run(
            ["ssh", "-F", STATE / "ssh_config", name, "sudo docker load --quiet"],
            stdin=save.stdout,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    assert save.returncode == 0


def entry(name: str = "m1") -> str:
    """Return the URL of a machine's port 80, as it is reached from the control machine."""
    container = f"{os.environ['BEANFT_CHECKOUT']}-{os.environ['BEANFT_ENVIRONMENT']}-{name}"
    label = '{{index .Config.Labels "beanft.port.http"}}'
    port = subprocess.check_output(["docker", "inspect", "--format", label, container], text=True)
    return f"http://127.0.0.1:{port.strip()}"


def secure_entry(name: str = "m1") -> str:
    """Return the URL of a machine's port 443, as the control machine reaches it, by a name that certificates have."""
    container = f"{os.environ['BEANFT_CHECKOUT']}-{os.environ['BEANFT_ENVIRONMENT']}-{name}"
    label = '{{index .Config.Labels "beanft.port.https"}}'
    port = subprocess.check_output(["docker", "inspect", "--format", label, container], text=True)
    return f"https://localhost:{port.strip()}"


def publish(host: Host, dockerfile: str, name: str) -> str:
    """Build an image on the control machine and bring it to a machine; return it by digest."""
    label = '{{index .Config.Labels "beanft.port"}}'
    registry = f"{os.environ['BEANFT_CHECKOUT']}-registry"
    port = subprocess.check_output(
        ["docker", "inspect", "--format", label, registry], text=True
    ).strip()
    tag = f"127.0.0.1:{port}/{name}"
    try:
        subprocess.run(
            ["docker", "build", "--tag", tag, "-"], input=dockerfile, text=True, check=True
        )
        pushed = subprocess.check_output(["docker", "push", tag], text=True)
    finally:
        subprocess.run(["docker", "rmi", tag], check=False, capture_output=True)
    digest = re.search(r"digest: (sha256:[0-9a-f]{64})", pushed)
    assert digest, pushed
    reference = f"127.0.0.1:5000/{name}@{digest[1]}"
    machine_name = host.backend.get_pytest_id().removeprefix("ssh://")
    tunnel = ["-F", str(STATE / "ssh_config"), "-R", f"127.0.0.1:5000:127.0.0.1:{port}"]
    # A connection of its own: testinfra's, and Ansible's, have no tunnel or their own.
    tunnel += ["-o", "ControlPath=none", "-o", "ExitOnForwardFailure=no"]
    subprocess.run(
        ["ssh", *tunnel, machine_name, f"sudo docker pull --quiet {reference}"],
        check=True,
        capture_output=True,
    )
    return reference

"""A fleet to do harm to: its machines by name, what serves, and runs that are killed in the middle."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from functools import cached_property

import requests

from tests.fleet.checkout import Checkout
from tests.fleet.load import Account


@dataclass
class Fleet:
    """The machines of a checkout."""

    checkout: Checkout
    up_text: str = ""
    """What `make up` printed."""

    @cached_property
    def name(self) -> str:
        """What the checkout calls its own."""
        return self.checkout.run(
            "bash", "-c", ". bin/_env; echo $BEANFT_CHECKOUT", show=False
        ).strip()

    def machines(self) -> dict[str, str]:
        """Return the containers that are this fleet's machines, by their names (m1 and so on)."""
        listed = docker("ps", "--all", "--format", "{{.Names}}", "--filter", f"label=beanft.checkout={self.name}",
                        "--filter", "label=beanft.machine")  # fmt: skip
        return {name.rsplit("-", 1)[-1]: name for name in sorted(listed.split())}

    def urls(self, *names: str) -> list[str]:
        """Return the entries of machines, or of all."""
        label = '{{index .Config.Labels "beanft.port.http"}}'
        machines = self.machines()
        return [
            f"http://127.0.0.1:{docker('inspect', '--format', label, machines[name])}"
            for name in names or machines
        ]

    def on(self, machine: str, *command: str) -> str:
        """Run a command on a machine as root, and return what it printed."""
        return docker("exec", self.machines()[machine], *command)

    def manager(self, *command: str) -> str:
        """Run a docker command on the first machine, which also has the data."""
        return self.on("m1", "docker", *command)

    def account(self) -> Account:
        """Return somebody with an API key."""
        return Account.register(self.urls("m1")[0])

    def served(self, *names: str) -> set[str]:
        """Return the revisions that each entry serves, asked often enough to meet every task."""
        return {
            requests.get(url + path, timeout=10).json()["revision"]
            for url in self.urls(*names)
            for path in ("/version", "/api/v1/version")
            for _ in range(8)
        }

    def wait_served(self, revision: str, seconds: float = 60) -> None:
        """Wait until all entries serve one revision and nothing else."""
        deadline = time.monotonic() + seconds
        seen: object = None
        while time.monotonic() < deadline:
            try:
                seen = self.served()
            except (requests.RequestException, ValueError, KeyError) as error:
                seen = error
            if seen == {revision}:
                return
            time.sleep(0.5)
        raise AssertionError(f"after {seconds} s the entries serve {seen}, not {revision}")

    def task(self, service: str) -> tuple[str, str]:
        """Return a machine that runs a task of a service, and the task's container."""
        for machine in self.machines():
            listed = self.on(machine, "docker", "ps", "--quiet", "--filter", f"name={service}\\.")
            if listed:
                return machine, listed.split()[0]
        raise AssertionError(f"no machine runs a task of {service}")

    def apart(self) -> bool:
        """Whether no machine has two tasks of a service while another one has none."""
        options = ("--filter", "desired-state=running", "--format", "{{.Node}}")
        for service in ("beanft_web", "beanft_api"):
            nodes = self.manager("service", "ps", *options, service).split()
            if len(set(nodes)) < min(len(nodes), len(self.machines())):
                print(f"{service} runs on {nodes}")
                return False
        return True

    def unchanged(self) -> None:
        """Deploy what is there: nothing may be left to do."""
        text = self.checkout.make_target("deploy")
        assert "the same, nothing to deploy" in text, text[-2000:]
        assert re.search(r"^ok: changed=0 ", text, re.MULTILINE), text[-2000:]

    def killed(self, line: str, after: float, *command: str) -> str:
        """Run a command and kill all of it, some seconds after it printed a line; return what it printed."""
        print(f"\n$ {' '.join(command)}   (killed {after} s after {line!r})", flush=True)
        process = subprocess.Popen(
            command,
            cwd=self.checkout.path,
            env=self.checkout.environment(),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        printed = []
        for text in process.stdout:
            printed.append(text)
            print(f"  | {text}", end="", flush=True)
            if text.startswith(line):
                break
        else:
            raise AssertionError(f"it never printed {line!r}")
        time.sleep(after)
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()
        return "".join(printed)


def docker(*command: str) -> str:
    """Run the docker client of the control machine and return what it printed."""
    done = subprocess.run(["docker", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout.strip()

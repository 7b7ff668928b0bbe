#!/usr/bin/env python3
"""What `bin/play site --check` takes for 1 to 50 machines: seconds, the controller's processor and memory, log-ins.

Run by `make bench-machines`. Writes build/reports/bench-machines.json and prints its table.

The first machine is a whole one of the local provider, after `make site`. The others are light: containers
made from that machine's file system, with systemd and sshd of their own, and with the engine of the first in place of
one of theirs. The local inventory finds all of them. So a check finds machines that are as they should be, as it does
in production on all days but one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.fleet.checkout import Checkout  # noqa: E402 - the path has to be set first
from tests.fleet.fleet import Fleet, docker  # noqa: E402
from tests.fleet.load import report  # noqa: E402

SIZES = tuple(map(int, os.environ.get("SIZES", "1 5 10 25 50").split()))
# So many are made at once; more only wait for the engine.
AT_ONCE = 8
BOOT_SECONDS = 120
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
# How the engine's own socket gets to the others: by the volume that they all have.
SHARED_SOCKET = "/srv/backup/docker.sock"
SOCKET = f"[Socket]\nListenStream={SHARED_SOCKET}\n"


# ------------------------------------------------------------------ machines
@contextlib.contextmanager
def watched(machines: int) -> Iterator[None]:
    """Let so many machines boot: each has some eight inotify instances, and Linux gives root 128 of them.

    Raises:
        SystemExit: there are too few, and we may not raise that.
    """
    wanted, before = 128 + 8 * machines, int(INOTIFY.read_text())
    try:
        if before < wanted:
            INOTIFY.write_text(str(wanted))
    except OSError:
        raise SystemExit(
            f"{machines} containers with systemd want fs.inotify.max_user_instances={wanted} and it is {before}: "
            "set it with sysctl, or measure fewer (SIZES='1 5 10')"
        ) from None
    try:
        yield
    finally:
        if before < wanted:
            INOTIFY.write_text(str(before))


def options(first: Mapping[str, Any], number: int) -> list[str]:
    """Return what `docker run` makes a light machine with.

    Args:
        first: the first machine, as `docker inspect` shows it; it is known to boot where we are.
        number: of the machine: m2, m3, …
    """
    host, labels = first["HostConfig"], first["Config"]["Labels"]
    ((network, attached),) = first["NetworkSettings"]["Networks"].items()
    subnet, _, last = attached["IPAddress"].rpartition(".")
    prefix = first["Name"].removeprefix("/").rpartition("-")[0]
    own = {
        **{key: labels[key] for key in ("beanft", "beanft.checkout", "beanft.environment")},
        "beanft.machine": f"m{number}",
        "beanft.groups": "workers",
        # Nobody asks for its entry.
        "beanft.port.http": "80",
        "beanft.port.https": "443",
    }
    key = next(line for line in first["Config"]["Env"] if line.startswith("BEANFT_AUTHORIZED_KEY="))
    own_volume = f"{first['Name'].removeprefix('/')}-docker"
    return [
        *("--name", f"{prefix}-m{number}"),
        # That of the engine's machine, which is the one node that the engine knows.
        *("--hostname", first["Config"]["Hostname"]),
        *("--network", network, "--ip", f"{subnet}.{int(last) - 1 + number}"),
        *("--publish", "127.0.0.1::22", "--memory", "512m", "--env", key),
        # Fifty together weigh little more than the first one: machines of a fleet have processors of their own, and
        # would not take the controller's.
        "--cpu-shares=32",
        *(["--privileged"] if host["Privileged"] else []),
        *(f"--cap-add={name}" for name in host["CapAdd"] or []),
        *(f"--cap-drop={name}" for name in host["CapDrop"] or []),
        *(f"--security-opt={value}" for value in host["SecurityOpt"] or []),
        *([f"--cgroupns={host['CgroupnsMode']}"] if host["CgroupnsMode"] else []),
        *(f"--tmpfs={path}:{value}".rstrip(":") for path, value in host["Tmpfs"].items()),
        *(f"--volume={bind}" for bind in host["Binds"] if not bind.startswith(f"{own_volume}:")),
        *(f"--label={key}={value}" for key, value in own.items()),
    ]


@dataclass
class Machines:
    """The first machine, and as many light ones as are wanted so far."""

    fleet: Fleet
    there: int = 1

    @property
    def image(self) -> str:
        """The light machines' image."""
        return f"{self.fleet.name}/host-light"

    @property
    def first(self) -> str:
        """The first machine's container."""
        return self.fleet.machines()["m1"]

    def start(self) -> None:
        """Make the first machine, and of it the image of all others."""
        checkout = self.fleet.checkout
        checkout.run("bin/engine")
        checkout.run("bin/images", "base:trixie", "host-ready:trixie")
        checkout.variables = {"NODES": "1"}
        checkout.run("bin/play", "provision")
        checkout.run("bin/play", "site")
        checkout.variables = {}
        ready = f"{self.image}:ready"
        docker("commit", self.first, ready)
        dockerfile = (ROOT / "tests/bench/light.Dockerfile").read_text()
        build = ["docker", "build", "--quiet", "--build-arg", f"READY={ready}", "--tag", self.image]
        subprocess.run([*build, "-"], input=dockerfile, text=True, check=True)
        folder = "/etc/systemd/system/docker.socket.d"
        script = f"mkdir -p {folder} && cat >{folder}/shared.conf && systemctl daemon-reload"
        script += " && systemctl stop docker.service && systemctl restart docker.socket"
        script += " && systemctl start docker.service"
        shared = ["docker", "exec", "--interactive", self.first, "sh", "-c", script]
        subprocess.run(shared, input=SOCKET, text=True, check=True)

    def grow(self, size: int) -> None:
        """Add light machines until there are so many."""
        (first,) = json.loads(docker("inspect", self.first))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            known = list(
                pool.map(lambda number: self.add(first, number), range(self.there + 1, size + 1))
            )
        state = self.fleet.checkout.path / ".local/local-local"
        with (state / "known_hosts").open("a") as file:
            file.writelines(known)
        self.there = size

    def add(self, first: Mapping[str, Any], number: int) -> str:
        """Start a light machine; return its line for known_hosts, read from itself and not from who answers."""
        made = options(first, number)
        docker("run", "--detach", *made, self.image)
        name, deadline = made[made.index("--name") + 1], time.monotonic() + BOOT_SECONDS
        while True:
            with contextlib.suppress(AssertionError):
                # The engine's unit comes last of what a check looks at.
                docker("exec", name, "systemctl", "is-active", "--quiet", "docker", "ssh")
                return f"{name} {docker('exec', name, 'cat', HOST_KEY)}\n"
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"{name} was not up after {BOOT_SECONDS} s: {docker('logs', name)}"
                )
            time.sleep(0.5)

    def log_ins(self) -> list[int]:
        """Return how often somebody has logged in to each machine."""
        command = [
            "journalctl",
            "--quiet",
            "--unit",
            "ssh",
            "--grep",
            "^Accepted publickey",
            "--output",
            "cat",
        ]

        def of(name: str) -> int:
            done = subprocess.run(
                ["docker", "exec", name, *command], capture_output=True, text=True, check=False
            )
            return len(done.stdout.splitlines())

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(of, self.fleet.machines().values()))

    def remove(self) -> None:
        """Remove all of it."""
        self.fleet.checkout.run("bin/down", ok=False)
        subprocess.run(
            ["docker", "image", "rm", "--force", self.image, f"{self.image}:ready"],
            capture_output=True,
            check=False,
        )


# ------------------------------------------------------------------- figures
@dataclass
class Check:
    """What one check took."""

    seconds: float
    processor: float
    memory: float
    changed: int
    log_ins: int


def check(machines: Machines, **variables: str) -> Check:
    """Check all machines that there are, with connections of its own."""
    before = machines.log_ins()
    checkout = machines.fleet.checkout
    with tempfile.TemporaryDirectory() as sockets, tempfile.TemporaryFile("w+") as printed:
        begun = time.monotonic()
        process = subprocess.Popen(
            ["bin/play", "site", "--check"],
            cwd=checkout.path,
            env={**checkout.environment(), "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets, **variables},
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            # Ended as a whole, where this is.
            start_new_session=True,
        )
        # Of the process and of all that it has waited for: workers and SSH clients, but not the machines' side.
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        seconds = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        text = printed.read()
    print(text, flush=True)
    if process.returncode:
        raise SystemExit(f"site --check of {machines.there} machines failed: see above")
    changed = re.search(r"^ok: changed=(\d+) ", text, re.MULTILINE)
    after = machines.log_ins()
    return Check(
        seconds,
        used.ru_utime + used.ru_stime,
        used.ru_maxrss / 1024,
        int(changed[1]) if changed else -1,
        max(now - then for now, then in zip(after, before, strict=True)),
    )


def rows(size: int, done: Check) -> Iterator[str]:
    """Return the rows of the report about one check."""
    machines = f"{size} machine{'s' * (size > 1)}"
    for name, value, unit in (
        (machines, round(done.seconds, 1), "s"),
        ("  a machine", round(done.seconds / size, 2), "s"),
        ("  controller's processor", round(done.processor, 1), "s"),
        ("    a machine", round(done.processor / size, 2), "s"),
        ("  controller's largest process", round(done.memory, 1), "MB"),
        ("  tasks that would change something", done.changed, ""),
        ("  log-ins to a machine, at most", done.log_ins, ""),
    ):
        yield json.dumps({"name": name, "value": value, "unit": unit, "bound": None, "holds": None})


def main() -> None:
    """Measure, and report."""
    # Ended by whoever, machines go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    machines = Machines(Fleet(Checkout.make(ROOT / "build" / "bench-machines")))
    lines: list[str] = []
    with watched(max(SIZES)):
        try:
            machines.start()
            for size in SIZES:
                machines.grow(size)
                lines += rows(size, check(machines))
        finally:
            machines.remove()
            # What was measured before something went wrong is worth its minutes.
            if lines:
                report(lines, "bench-machines")


if __name__ == "__main__":
    main()

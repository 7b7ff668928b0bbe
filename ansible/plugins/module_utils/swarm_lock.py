"""The deploy lock: one run at a time may change a stack, and one that is no longer meant to, can't.

The lock is a config in the Swarm's store, whose labels say who holds it. Labels are written with the version
that was read, so of two writers one is refused. It has a lease: the holder renews it while a step runs. A lease
has ended when nobody renewed it for its length by the clock of the one who waits, so clocks of machines
don't matter. Every step that changes something first makes sure that the lock is still its run's (a fence), and
a step whose control machine has gone stops.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import select
import socket
import time
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.docker_cli import DockerError, Module

SOCKET = "/var/run/docker.sock"
SECONDS = 20.0
PREFIX = "beanft.lock."
FIELDS = ("run", "who", "where", "why", "since", "lease", "token")
LEASE = 20
# For modules that change a stack.
OPTION = {
    "type": "dict",
    "options": {
        "stack": {"type": "str", "required": True},
        "run": {"type": "str", "required": True},
    },
}


class ConflictError(DockerError):
    """Somebody else wrote in between."""


class SilentError(DockerError):
    """The engine, or a majority of managers, does not answer for now."""


class Connection(http.client.HTTPConnection):
    """HTTP to the engine's socket."""

    def __init__(self, path: str) -> None:
        """Name the socket."""
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)


def ask(method: str, path: str, body: Any = None) -> Any:
    """Ask the engine's API; return its JSON, None where there is nothing of that name.

    The docker client can't update a config.

    Raises:
        ConflictError: it has another version by now, or exists.
        DockerError: anything else that went wrong.
    """
    connection = Connection(SOCKET)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except OSError as error:
        raise SilentError(f"the engine does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status == 404:
        return None
    if answer.status == 409 or "out of sequence" in text:
        raise ConflictError(text.strip())
    if "leader" in text and answer.status >= 500:
        raise SilentError(text.strip())
    if answer.status >= 300:
        raise DockerError(text.strip() or f"the engine answered {answer.status}")
    return json.loads(text) if text.strip() else {}


@dataclass
class Lock:
    """The lock of one stack."""

    stack: str

    @property
    def name(self) -> str:
        """Its name in the Swarm's store."""
        return f"{self.stack}-lock"

    def read(self) -> tuple[int, str, dict[str, str]]:
        """Return its version, its id and what its labels say; version 0 where there is none yet."""
        found = ask("GET", f"/configs/{self.name}")
        if found is None:
            return 0, "", {}
        labels = found["Spec"].get("Labels") or {}
        return (
            int(found["Version"]["Index"]),
            str(found["ID"]),
            {name: str(labels.get(PREFIX + name, "")) for name in FIELDS},
        )

    def write(self, version: int, identity: str, holder: dict[str, str]) -> None:
        """Write who holds it, unless it has changed since that version.

        Raises:
            ConflictError: it has.
        """
        labels = {PREFIX + name: value for name, value in holder.items()}
        spec = {
            "Name": self.name,
            "Labels": {**labels, "beanft": "lock"},
            "Data": base64.b64encode(b"beanft deploy lock; its labels say who holds it\n").decode(),
        }
        if version:
            ask("POST", f"/configs/{identity}/update?version={version}", spec)
        else:
            ask("POST", "/configs/create", spec)

    def renew(self, run: str) -> None:
        """Renew the lease of a run.

        Raises:
            DockerError: the lock is another run's by now, or nobody's.
        """
        for _ in range(5):
            version, identity, holder = self.read()
            if holder.get("run") != run:
                raise DockerError(
                    f"the deploy lock of {self.stack} is no longer this run's but {described(holder)}: "
                    "nothing more is changed by this run; run again"
                )
            try:
                self.write(version, identity, holder)
            except ConflictError:
                continue
            return
        raise DockerError(f"the deploy lock of {self.stack} could not be renewed")

    def release(self, run: str) -> bool:
        """Give it up, if it is that run's; tell whether it was."""
        for _ in range(5):
            version, identity, holder = self.read()
            if not run or holder.get("run") != run:
                return False
            try:
                self.write(version, identity, {"token": holder["token"]})
            except ConflictError:
                continue
            return True
        return False


def described(holder: dict[str, str]) -> str:
    """Return who holds a lock, in words."""
    if not holder.get("run"):
        return "free"
    return (
        f"held by {holder['who']} on {holder['where']} since {holder['since']} for: {holder['why']}"
    )


def acquire(
    lock: Lock, wanted: dict[str, str], wait: float
) -> tuple[dict[str, str], dict[str, str]]:
    """Take the lock for a run, waiting at most `wait` seconds for another one's to end.

    Returns:
        The holder as written, and the holder whose lease had ended, or an empty one.

    Raises:
        DockerError: another run holds it, and says so again within its lease.
    """
    started = time.monotonic()
    seen, seen_at = -1, started
    while True:
        version, identity, holder = lock.read()
        if version != seen:
            seen, seen_at = version, time.monotonic()
        mine = holder.get("run") == wanted["run"]
        ended = time.monotonic() - seen_at > float(holder.get("lease") or 0)
        if mine or not holder.get("run") or ended:
            token = holder.get("token") or "0"
            new = {**wanted, "token": token if mine else str(int(token) + 1)}
            try:
                lock.write(version, identity, new)
            except ConflictError:
                continue
            return new, holder if holder.get("run") and not mine else {}
        if time.monotonic() - started > wait:
            raise DockerError(
                f"the deploy lock of {lock.stack} is {described(holder)}. Wait for that run to end, or let this one "
                f"wait longer (LOCK_WAIT=seconds). If that run died, its lock ends by itself in {holder['lease']} s"
            )
        time.sleep(0.5)


def abandoned() -> bool:
    """Tell whether nobody reads what this module prints: its control machine or connection has gone."""
    poll = select.poll()
    poll.register(1, select.POLLERR)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


class Fence:
    """What a module asks before it changes something, and while it waits."""

    def __init__(self, module: Module) -> None:
        """Take the run from the module's parameter `lock`; without one there is nothing to ask."""
        lock = module.params.get("lock") or {}
        self._lock, self._run = Lock(lock.get("stack", "")), lock.get("run", "")
        self._renewed = time.monotonic()

    def check(self) -> None:
        """Make sure that the lock is this run's, and renew its lease.

        Raises:
            DockerError: it is not, or who runs this has gone.
        """
        if not self._run:
            return
        if abandoned():
            raise DockerError("the control machine has gone; this run changes nothing more")
        self._lock.renew(self._run)
        self._renewed = time.monotonic()

    def tick(self) -> None:
        """Check, once in a while: for loops that wait. An engine that does not answer is asked again later."""
        if not self._run:
            return
        if abandoned() or time.monotonic() - self._renewed > LEASE / 4:
            # It is renewed in time as long as the silence is shorter than the lease.
            with contextlib.suppress(SilentError):
                self.check()

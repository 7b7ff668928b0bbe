"""Servers under load: start one, ask it, press it with wrk, weigh it, stop it by its own id."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = ROOT / "build/bench-predict"
PEERS = ROOT / "build/peers/bin"
API_PYTHON = ROOT / "build/api/bin/python"
START_SECONDS = 120
SAMPLES = int(os.environ.get("BENCH_SAMPLES", "3"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))


@dataclass(frozen=True)
class Server:
    """How to start a server and what to send it; ``{port}`` in the command is replaced."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    path: str
    body: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)
    ready: bytes = b"setosa"


@dataclass(frozen=True)
class Load:
    """What a load generator saw: requests a second, and milliseconds."""

    rate: float
    p50: float
    p99: float


def middle(loads: Sequence[Load]) -> Load:
    """Return the load of the median rate."""
    rate = statistics.median_low(load.rate for load in loads)
    return next(load for load in loads if load.rate == rate)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def ask(
    port: int, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Send one request, a POST if there is a body; return status and answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET" if body is None else "POST", path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def json_headers(server: Server) -> dict[str, str]:
    """Return the headers of a JSON request to a server."""
    return {"Content-Type": "application/json", **server.headers}


class Running:
    """A started server: where it listens, and seconds until it answered."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.port = free_port()
        begun = time.monotonic()
        command = [part.replace("{port}", str(self.port)) for part in server.command]
        environment = {
            name: value.replace("{port}", str(self.port))
            for name, value in server.environment.items()
        }
        self._log = (WORK / f"{server.name.replace(' ', '-')}.log").open("wb")
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=HERE / "peers",
        )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        self.start_seconds = time.monotonic() - begun

    def _wait(self) -> None:
        body = json.dumps(self.server.body).encode() if self.server.body else None
        end = time.monotonic() + START_SECONDS
        last = "nothing"
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise SystemExit(f"{self.server.name} ended: see {self._log.name}")
            try:
                status, answer = ask(self.port, self.server.path, body, json_headers(self.server))
            except OSError as error:
                last = str(error)
            else:
                if status == 200 and self.server.ready in answer:
                    return
                last = f"{status} {answer[:300]!r}"
            time.sleep(0.01)
        raise SystemExit(f"{self.server.name} gave no prediction: {last}; see {self._log.name}")

    def processes(self) -> list[int]:
        """Return the ids of the server's processes: those of its session."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if os.getsid(int(entry.name)) == self._process.pid:
                        found.append(int(entry.name))
                except ProcessLookupError:
                    continue
        return found

    def memory(self) -> float:
        """Return the server's resident memory in MB, pages that its processes share counted once."""
        total = 0
        for process in self.processes():
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total * 1024 / 1e6

    def peak(self) -> float:
        """Return the most that its largest process was ever resident with, in MB."""
        most = 0
        for process in self.processes():
            for line in Path(f"/proc/{process}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    most = max(most, int(line.split()[1]))
        return most * 1024 / 1e6

    def load(
        self,
        body: bytes,
        *,
        connections: int = 8,
        paths: Sequence[str] = (),
        pause: int = 0,
        samples: int = SAMPLES,
    ) -> Load:
        """Press it, after a warm-up, several times; return the sample of the median rate."""
        loads = [
            self._wrk(body, connections, paths or [self.server.path], seconds, pause)
            for seconds in (1.0, *[SECONDS] * samples)
        ][1:]
        return middle(loads)

    def _wrk(
        self,
        body: bytes,
        connections: int,
        paths: Sequence[str],
        seconds: float,
        pause: int,
    ) -> Load:
        headers = json_headers(self.server)
        files = {"BODY": body, "PATHS": "\n".join(paths).encode()}
        files["HEADERS"] = "\n".join(f"{name}: {value}" for name, value in headers.items()).encode()
        for name, content in files.items():
            (WORK / f"wrk-{name}").write_bytes(content)
        done = subprocess.run(
            [
                *("wrk", "--threads", "1", "--connections", str(connections)),
                *("--duration", f"{max(1, round(seconds))}s", "--timeout", "30s"),
                *("--script", str(HERE / "load.lua"), f"http://127.0.0.1:{self.port}"),
            ],
            env={
                **os.environ,
                **{f"BENCH_{name}": str(WORK / f"wrk-{name}") for name in files},
                "BENCH_PAUSE": str(pause),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        seen = json.loads(done.stdout.splitlines()[-1])
        if seen["failed"] or not seen["requests"]:
            status, answer = ask(self.port, paths[0], body or None, headers)
            raise SystemExit(
                f"{self.server.name}: {seen['failed']} of {seen['requests']} requests failed; "
                f"one answers {status} {answer[:300]!r}"
            )
        return Load(seen["requests"] / seen["seconds"], seen["p50"], seen["p99"])

    def stop(self) -> None:
        """End it and what it started."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for process in self.processes():
            os.kill(process, signal.SIGKILL)
        self._log.close()


@contextmanager
def running(server: Server) -> Iterator[Running]:
    """Start a server, and stop it at the end."""
    started = Running(server)
    try:
        yield started
    finally:
        started.stop()

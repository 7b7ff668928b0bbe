"""A small supervisor, made to be process 1 of a container.

It starts the server as a child, reaps orphans, and turns SIGTERM into a drain: first the
service says on ``/readyz`` that it is leaving, while it still answers; after a few seconds,
when the proxies have noticed, the server is asked to finish its requests and end.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from beanft.config import Settings
from beanft.health.marker import drain_marker

STOP_SECONDS = 20.0
WORKER_HAND_BACK_SECONDS = 10.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


def command(settings: Settings, service: str) -> list[str]:
    """Return the server's command line."""
    address = (settings.host, str(settings.port))
    if service == "worker":
        return [sys.executable, "-m", "beanft", "run-worker"]
    if service == "web":
        return [
            *(sys.executable, "-m", "gunicorn", "beanft.wsgi:web()"),
            *("--bind", ":".join(address)),
            *("--worker-class", "gthread", "--workers", "1"),
            *("--threads", str(settings.web_threads)),
            # The root file system is read-only; the heartbeat file wants a tmpfs anyway.
            *("--worker-tmp-dir", str(settings.run_dir), "--no-control-socket"),
            *("--timeout", "120", "--graceful-timeout", str(int(STOP_SECONDS) - 2)),
            # Longer than the proxy keeps idle connections, so it never meets a closed one.
            *("--keep-alive", "75"),
            *("--log-level", "warning"),
        ]
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--factory"),
        *("--host", address[0], "--port", address[1]),
        # More threads halve the throughput: they wait for the interpreter's lock.
        *("--workers", "1", "--blocking-threads", "1"),
        *("--workers-kill-timeout", str(int(STOP_SECONDS) - 2)),
        *("--no-ws", "--http", "1", "--log-level", "warning"),
        "beanft.wsgi:api",
    ]


class Supervisor:
    """Watches one child. Signals are blocked and fetched, so none comes at a bad time."""

    def __init__(
        self,
        arguments: list[str],
        marker: Path | None,
        drain_seconds: float,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self._arguments = arguments
        self._marker = marker
        self._drain_seconds = drain_seconds
        self._stop_seconds = stop_seconds
        self._child = 0

    def run(self) -> int:
        """Run the child until it ends or is told to; return its exit code."""
        if self._marker is not None:
            self._marker.parent.mkdir(parents=True, exist_ok=True)
            self._marker.unlink(missing_ok=True)
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        self._child = os.posix_spawn(self._arguments[0], self._arguments, os.environ, setsigmask=())
        while True:
            received = signal.sigwait(SIGNALS)
            if received != signal.SIGCHLD:
                return self._stop()
            code = self._reap()
            if code is not None:
                say(f"the server ended by itself with code {code}")
                return code or 1  # nobody told it to: the engine must see a failure

    def _stop(self) -> int:
        if self._marker is not None:
            self._marker.touch()
            code = self._wait(self._drain_seconds)
            if code is not None:
                return code or 1
        os.kill(self._child, signal.SIGTERM)
        code = self._wait(self._stop_seconds)
        if code is None:
            say(f"the server didn't end within {self._stop_seconds:g} seconds: killing it")
            os.kill(self._child, signal.SIGKILL)
            code = self._wait(5.0)
        if code == 128 + signal.SIGTERM:
            return 0  # it was told to
        return 1 if code is None else code

    def _wait(self, seconds: float) -> int | None:
        """Wait for the child; None if it still runs after ``seconds``."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            signal.sigtimedwait((signal.SIGCHLD,), left)
            code = self._reap()
            if code is not None:
                return code
        return self._reap()

    def _reap(self) -> int | None:
        """Reap every ended process, orphans too; return the child's code if it was among them."""
        found = None
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if not pid:
                return found
            if pid == self._child:
                code = os.waitstatus_to_exitcode(status)
                found = 128 - code if code < 0 else code


def say(text: str) -> None:
    """Print a line for the operator."""
    print(f"beanft: {text}", file=sys.stderr, flush=True)


def serve(settings: Settings, service: str) -> int:
    """Run a service as process 1; returns the exit code of its server."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    if service == "worker":
        # Time to finish its job or, after its grace, to hand it back.
        stop_seconds = max(STOP_SECONDS, settings.worker_grace_seconds + WORKER_HAND_BACK_SECONDS)
        marker = None
    else:
        stop_seconds, marker = STOP_SECONDS, drain_marker(settings.run_dir)
    arguments = command(settings, service)
    return Supervisor(arguments, marker, settings.drain_seconds, stop_seconds).run()

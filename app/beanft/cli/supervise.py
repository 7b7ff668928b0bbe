"""A small supervisor, made to be process 1 of a container.

It starts the server as a child, reaps orphans, and turns SIGTERM into a drain: first the
service says on ``/readyz`` that it is leaving, while it still answers; after a few seconds,
when the proxies have noticed, the server is asked to finish its requests and end.

It runs as a file by itself and imports next to nothing: it is there as long as the service is.
"""

from __future__ import annotations

import os
import signal
import sys
import time

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


class Supervisor:
    """Watches one child. Signals are blocked and fetched, so none comes at a bad time."""

    def __init__(
        self,
        arguments: list[str],
        marker: str,
        drain_seconds: float,
        stop_seconds: float,
    ) -> None:
        self._arguments = arguments
        self._marker = marker
        self._drain_seconds = drain_seconds
        self._stop_seconds = stop_seconds
        self._child = 0

    def run(self) -> int:
        """Run the child until it ends or is told to; return its exit code."""
        if self._marker and os.path.exists(self._marker):  # noqa: PTH110 - pathlib is large
            os.unlink(self._marker)  # noqa: PTH108 - likewise
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
        if self._marker:
            os.close(os.open(self._marker, os.O_CREAT | os.O_WRONLY, 0o644))
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


if __name__ == "__main__":
    _, marker, drain_seconds, stop_seconds, *arguments = sys.argv
    sys.exit(Supervisor(arguments, marker, float(drain_seconds), float(stop_seconds)).run())

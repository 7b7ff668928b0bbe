"""A whole installation for tests: web, api and a worker as processes, as a deploy starts them.

Each runs under its supervisor by ``beanft serve`` and with the settings of the environment
``local``, on free ports of loopback, with a database and files in a folder of its own.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.browser.front import Front

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 90.0
STOP_SECONDS = 15.0


def _free_ports(count: int) -> list[int]:
    """Return ports that are free, below those that the kernel gives to whoever asks."""
    found: list[int] = []
    while len(found) < count:
        port = secrets.choice(range(20_000, 32_000))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


class LiveSite:
    """The processes, and the address that a browser goes to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.base = ""
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @contextlib.contextmanager
    def running(self) -> Iterator[LiveSite]:
        """Prepare and start everything; stop it afterwards, whatever happens."""
        web, api = _free_ports(2)
        front = Front(web, api)
        try:
            self._prepare()
            for service, port in (("web", web), ("api", api), ("worker", 0)):
                self._start(service, port)
            for service, port in (("web", web), ("api", api)):
                self._wait(service, port)
            front.start()
            self.base = f"http://127.0.0.1:{front.port}"
            yield self
        finally:
            self._stop()
            if self.base:
                front.stop()

    def log(self, service: str) -> str:
        """Return what a service has said."""
        return (self.folder / f"{service}.log").read_text(errors="replace")

    def _environment(self, service: str, port: int) -> dict[str, str]:
        folder = self.folder
        kept = {k: v for k, v in os.environ.items() if not k.startswith("BEANFT_")}
        return kept | {
            "PYTHONPATH": str(ROOT / "app"),
            "BEANFT_ENVIRONMENT": "local",
            "BEANFT_COOKIE_SECURE": "false",  # there is no TLS on loopback
            "BEANFT_SECRETS_DIR": str(folder / "secrets"),
            "BEANFT_DATABASE_URL": f"sqlite:///{folder}/db/beanft.sqlite3",
            "BEANFT_QUEUE_PATH": str(folder / "db" / "queue.sqlite3"),
            "BEANFT_STORAGE_PATH": str(folder / "files"),
            "BEANFT_RUN_DIR": str(folder / "run" / service),
            "BEANFT_HOST": "127.0.0.1",
            "BEANFT_PORT": str(port or 1),
            "BEANFT_DRAIN_SECONDS": "0",
            "BEANFT_WORKER_GRACE_SECONDS": "0",
            "TMPDIR": str(folder / "run"),
            "BEANFT_VERSION": (ROOT / "VERSION").read_text().strip(),
        }

    def _prepare(self) -> None:
        """Make the folders and a secret, then what a deploy's first tasks do."""
        for name in ("db", "files", "run", "secrets"):
            (self.folder / name).mkdir()
        secret = self.folder / "secrets" / "beanft_secret_key"
        secret.write_text(secrets.token_urlsafe(48))
        for command in (("db", "upgrade"), ("models", "ensure-sample")):
            subprocess.run(
                [sys.executable, "-m", "beanft", *command],
                env=self._environment("task", 0),
                cwd=self.folder,
                check=True,
                stdout=subprocess.DEVNULL,
            )

    def _start(self, service: str, port: int) -> None:
        # The kernel ends it with us, even if we are killed and can't.
        guard = ["setpriv", "--pdeathsig", "TERM"] if sys.platform == "linux" else []
        with (self.folder / f"{service}.log").open("wb") as log:
            self._processes[service] = subprocess.Popen(
                [*guard, sys.executable, "-m", "beanft", "serve", service],
                env=self._environment(service, port),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self, service: str, port: int) -> None:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end and self._processes[service].poll() is None:
            with contextlib.suppress(OSError):  # not there yet, or busy with its start
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).close()
                return
            time.sleep(0.1)
        raise RuntimeError(f"{service} did not become ready:\n{self.log(service)[-3000:]}")

    def _stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        end = time.monotonic() + STOP_SECONDS
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
            # Its own session, so this is the service and what it started, and nothing else.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

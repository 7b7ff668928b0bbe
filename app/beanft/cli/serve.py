"""Start a service under its supervisor."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from beanft.config import Settings
from beanft.health.marker import drain_marker

STOP_SECONDS = 20.0
WORKER_HAND_BACK_SECONDS = 10.0
SUPERVISOR = Path(__file__).with_name("supervise.py")


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
    seconds = str(int(STOP_SECONDS) - 2)
    return [sys.executable, "-m", "beanft.cli.api_server", *address, seconds]


def serve(settings: Settings, service: str) -> NoReturn:
    """Become a service's supervisor; its exit code is that of the server."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    stop_seconds, marker = STOP_SECONDS, str(drain_marker(settings.run_dir))
    if service == "worker":
        # Time to finish its job or, after its grace, to hand it back.
        stop_seconds = max(STOP_SECONDS, settings.worker_grace_seconds + WORKER_HAND_BACK_SECONDS)
        marker = ""
    # Another program in this process: what was imported to read the settings is given back.
    lean = (sys.executable, "-I", "-S", str(SUPERVISOR))
    seconds = (str(settings.drain_seconds), str(stop_seconds))
    arguments = [*lean, marker, *seconds, *command(settings, service)]
    os.execv(arguments[0], arguments)  # noqa: S606 - that there is no shell is meant

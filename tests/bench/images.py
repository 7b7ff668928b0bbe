#!/usr/bin/env python3
"""Sizes of the images, layer by layer where it matters, and what an api task takes to be ready.

Run by `make bench-images`. Writes build/reports/bench-images.json and prints its table.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = os.environ["BEANFT_CHECKOUT"]
BOUNDS = {"api": 250.0, "web": 300.0, "worker": 650.0, "edge": None, "registry": None}
STARTS = 5


def docker(*arguments: str) -> str:
    """Run the docker client and return what it printed."""
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def row(name: str, value: float, unit: str, bound: float | None = None) -> str:
    """Return a row of the report; a bound is an upper one."""
    holds = None if bound is None else value <= bound
    return json.dumps({"name": name, "value": value, "unit": unit, "bound": bound, "holds": holds})


def ready(port: int) -> bool:
    """Ask api whether it is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def memory(container: str) -> float:
    """Return a container's resident memory in MB, pages that its processes share counted once."""
    files = docker("exec", container, "sh", "-c", "cat /proc/[0-9]*/smaps_rollup").splitlines()
    pages = sum(int(line.split()[1]) for line in files if line.startswith("Pss:"))
    return round(pages * 1024 / 1e6, 1)


def start(volume: str) -> tuple[float, float]:
    """Start api on a prepared volume as a fleet would.

    Returns:
        The seconds until it is ready, which it is when it has predicted, and its memory in MB then.

    """
    begun = time.monotonic()
    container = docker(
        "run", "--detach", "--rm", "--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp",
        "--tmpfs", "/run/beanft", "--volume", f"{volume}:/var/lib/beanft", "--publish", "127.0.0.1::8000",
        "--env", "BEANFT_ENVIRONMENT=test", "--label", f"beanft.checkout={CHECKOUT}", f"{CHECKOUT}/api",
    )  # fmt: skip
    try:
        port = int(docker("port", container, "8000").rsplit(":", 1)[1])
        while not ready(port):
            if time.monotonic() - begun > 60:
                raise SystemExit(f"api was not ready after 60 s: {docker('logs', container)}")
            time.sleep(0.01)
        return round(time.monotonic() - begun, 2), memory(container)
    finally:
        docker("rm", "--force", container)


def main() -> None:
    """Measure, and report."""
    rows = []
    for name, bound in BOUNDS.items():
        size = int(docker("image", "inspect", "--format", "{{.Size}}", f"{CHECKOUT}/{name}"))
        rows.append(row(f"{name}, uncompressed", round(size / 1e6, 1), "MB", bound))
    layers = docker(
        "history", "--human=false", "--format", "{{.Size}}\t{{.CreatedBy}}", f"{CHECKOUT}/api"
    )
    for line in layers.splitlines():
        size, _, created = line.partition("\t")
        if int(size) > 100_000:
            what = {"COPY": "dependencies or code", "RUN": "Python"}.get(
                created.split(" ")[0], "base"
            )
            rows.append(row(f"  api layer: {what}", round(int(size) / 1e6, 1), "MB"))
    volume = f"{CHECKOUT}-bench-images"
    docker("volume", "create", "--label", f"beanft.checkout={CHECKOUT}", volume)
    try:
        for command in (["db", "upgrade"], ["models", "ensure-sample"]):
            docker(
                "run", "--rm", "--volume", f"{volume}:/var/lib/beanft", "--env", "BEANFT_ENVIRONMENT=test",
                f"{CHECKOUT}/worker", *command,
            )  # fmt: skip
        starts, weights = zip(*(start(volume) for _ in range(STARTS)), strict=True)
    finally:
        docker("volume", "rm", "--force", volume)
    rows.append(
        row("api ready, container included, median of 5", statistics.median(starts), "s", 2.0)
    )
    rows.append(row("api ready, slowest of 5", max(starts), "s"))
    rows.append(row("api resident when ready, median of 5", statistics.median(weights), "MB"))
    subprocess.run([str(ROOT / "bin/report"), "bench-images", *rows], check=True)


if __name__ == "__main__":
    main()

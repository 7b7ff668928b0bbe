#!/usr/bin/env python3
"""What weighs what in image cars, how long the analysis takes, and what two tasks of cars-api answer a second.

Run by `make bench-cars`. Writes build/reports/bench-cars.json and prints its table. Beside it two tasks of
the Python api on the same machine: by what it answers for everybody, since there is no data set of cars in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = os.environ["BEANFT_CHECKOUT"]
IMAGE = f"{CHECKOUT}/cars"
RIGHTS = (
    "--read-only",
    "--cap-drop",
    "ALL",
    "--tmpfs",
    "/tmp",
    "--label",
    f"beanft.checkout={CHECKOUT}",
)
RUNS, SECONDS, CONNECTIONS, TASKS = 5, 10, 8, 2
PACKAGES = 8


def docker(*arguments: str) -> str:
    """Run the docker client and return what it printed."""
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def row(
    name: str, value: float, unit: str, bound: float | None = None, *, least: bool = False
) -> str:
    """Return a row of the report; a bound is an upper one, or the least that is asked for."""
    holds = None if bound is None else value >= bound if least else value <= bound
    return json.dumps({"name": name, "value": value, "unit": unit, "bound": bound, "holds": holds})


def sizes() -> Iterator[str]:
    """Give rows on the image, its layers and its largest packages."""
    size = int(docker("image", "inspect", "--format", "{{.Size}}", IMAGE))
    yield row("image cars, uncompressed", round(size / 1e6, 1), "MB", 900.0)
    history = docker(
        "history", "--no-trunc", "--human=false", "--format", "{{.Size}}\t{{.CreatedBy}}", IMAGE
    )
    for line in history.splitlines():
        bytes_, _, created = line.partition("\t")
        what = "R and its packages" if "/media/install" in created else "code"
        if int(bytes_) > 1000:
            yield row(
                f"  layer: {what if 'RUN' in created else 'base'}",
                round(int(bytes_) / 1e6, 2),
                "MB",
            )
    query = ("dpkg-query", "-W", "-f", "${Installed-Size} ${Package}\\n")
    listed = [line.split() for line in docker("run", "--rm", IMAGE, *query).splitlines()]
    for kilobytes, name in sorted(listed, key=lambda line: -int(line[0]))[:PACKAGES]:
        yield row(f"  package: {name}", round(int(kilobytes) * 1024 / 1e6, 1), "MB")


def analysis() -> float:
    """Return the seconds of one analysis, the container included."""
    begun = time.monotonic()
    docker(
        "run",
        "--rm",
        *RIGHTS,
        "--network",
        "none",
        "--tmpfs",
        "/home/results:uid=10003,gid=10003",
        IMAGE,
        "analysis",
    )
    return round(time.monotonic() - begun, 2)


@contextlib.contextmanager
def tasks(*options: str, port: int) -> Iterator[list[str]]:
    """Give the addresses of some containers that are healthy."""
    containers: list[str] = []
    try:
        for _ in range(TASKS):
            containers.append(
                docker("run", "--detach", *RIGHTS, "--publish", f"127.0.0.1::{port}", *options)
            )
        for container in containers:
            until = time.monotonic() + 120
            while docker("inspect", "--format", "{{.State.Health.Status}}", container) != "healthy":
                if time.monotonic() > until:
                    raise SystemExit(f"not healthy after 120 s: {docker('logs', container)}")
                time.sleep(0.2)
        yield [docker("port", container, str(port)) for container in containers]
    finally:
        docker("rm", "--force", *containers)


def requests_a_second(addresses: list[str], path: str) -> float:
    """Ask all of them at once, and return how many requests a second they answer together, none with an error."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s"]
    running = [
        subprocess.Popen([*command, f"http://{address}{path}"], stdout=subprocess.PIPE, text=True)
        for address in addresses
    ]
    texts = [process.communicate()[0] for process in running]
    for text in texts:
        if "Non-2xx" in text or "Socket errors" in text:
            raise SystemExit(f"some requests failed: {text}")
    return round(sum(float(re.findall(r"Requests/sec:\s+([\d.]+)", text)[0]) for text in texts), 0)


def main() -> None:
    """Measure, and report."""
    rows = list(sizes())
    seconds = [analysis() for _ in range(RUNS)]
    rows.append(
        row(f"analysis, container included, median of {RUNS}", statistics.median(seconds), "s", 3.0)
    )
    rows.append(row(f"analysis, slowest of {RUNS}", max(seconds), "s"))
    with tasks(IMAGE, "cars-api", port=80) as addresses:
        name = f"cars-api, {TASKS} tasks, GET "
        for path, bound in (
            ("/cars?mpg_gt=20&cyl=4", 300.0),
            ("/cars/Mazda%20RX4", None),
            ("/summary", None),
        ):
            rows.append(
                row(name + path, requests_a_second(addresses, path), "1/s", bound, least=True)
            )
    volume = f"{CHECKOUT}-bench-cars"
    docker("volume", "create", "--label", f"beanft.checkout={CHECKOUT}", volume)
    options = ("--volume", f"{volume}:/var/lib/beanft", "--env", "BEANFT_ENVIRONMENT=test")
    try:
        for command in (["db", "upgrade"], ["models", "ensure-sample"]):
            docker("run", "--rm", *options, f"{CHECKOUT}/worker", *command)
        with tasks(*options, "--tmpfs", "/run/beanft", f"{CHECKOUT}/api", port=8000) as addresses:
            answered = requests_a_second(addresses, "/api/v1/version")
            rows.append(row(f"Python api, {TASKS} tasks, GET /api/v1/version", answered, "1/s"))
    finally:
        docker("volume", "rm", "--force", volume)
    subprocess.run([str(ROOT / "bin/report"), "bench-cars", *rows], check=True)


if __name__ == "__main__":
    main()

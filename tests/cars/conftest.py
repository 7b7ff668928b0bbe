"""The services of image cars, as containers with no more rights than a fleet gives them."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from beanft.training.sample import SAMPLES

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = os.environ["BEANFT_CHECKOUT"]
IMAGE = f"{CHECKOUT}/cars"
RIGHTS = ("--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp")  # noqa: S108 - a container's own
READY_SECONDS = 90


def docker(*arguments: str) -> str:
    """Run the docker client and return its stdout."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


@dataclass
class Answer:
    """What a service answered."""

    status: int
    type: str
    text: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.text)


@dataclass
class Service:
    """A container that serves."""

    container: str
    base: str

    def ask(self, path: str, method: str = "GET") -> Answer:
        """Ask it for something."""
        request = urllib.request.Request(self.base + path, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return self._read(answer)
        except urllib.error.HTTPError as error:
            with error:
                return self._read(error)

    def _read(self, answer: Any) -> Answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(
            answer.status, headers.get("content-type", ""), answer.read().decode(), headers
        )

    def health(self) -> str:
        """Return what the engine thinks of it."""
        return docker("inspect", "--format", "{{.State.Health.Status}}", self.container).strip()


def start(command: str, *options: str, port: str = "") -> Service:
    """Start a service, on a port of loopback that is free or is given, and wait until the engine calls it healthy."""
    container = docker(
        "run", "--detach", *RIGHTS, "--label", f"beanft.checkout={CHECKOUT}", *options,
        "--publish", f"127.0.0.1:{port}:80", IMAGE, command,
    ).strip()  # fmt: skip
    try:
        published = docker("port", container, "80").strip()
        service = Service(container, f"http://{published}")
        until = time.monotonic() + READY_SECONDS
        while service.health() != "healthy":
            assert time.monotonic() < until, docker("logs", container)
            time.sleep(0.2)
    except BaseException:
        docker("rm", "--force", container)
        raise
    return service


def running(command: str) -> Iterator[Service]:
    """Give a service, and remove it afterwards."""
    service = start(command)
    yield service
    docker("rm", "--force", service.container)


@pytest.fixture(scope="session")
def api() -> Iterator[Service]:
    """The API."""
    yield from running("cars-api")


@pytest.fixture(scope="session")
def dashboard() -> Iterator[Service]:
    """The dashboard."""
    yield from running("cars-dashboard")


@pytest.fixture(scope="session")
def mtcars() -> pd.DataFrame:
    """The same data by another way: the application's sample, read by pandas."""
    return pd.read_csv(SAMPLES / "mtcars.csv").rename(columns={"model": "car model"})

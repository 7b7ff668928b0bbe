"""The supervisor: drain, stop, and fail when the server does."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from beanft.config import Settings
from beanft.core.database import Database
from beanft.core.schema_revision import MIGRATIONS
from beanft.health.marker import drain_marker
from beanft.predictions.models import InputCount
from beanft.users import keys


class Served:
    """A service under its supervisor, on the loopback."""

    def __init__(
        self, settings: Settings, places: dict[str, str], service: str, drain: str
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        settings.run_dir.mkdir(parents=True, exist_ok=True)
        drain_marker(settings.run_dir).touch()  # left behind by the one before
        self.process = subprocess.Popen(
            [sys.executable, "-m", "beanft", "serve", service],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(MIGRATIONS.parent),
                "BEANFT_ENVIRONMENT": "test",
                "BEANFT_HOST": "127.0.0.1",
                "BEANFT_PORT": str(self.port),
                **places,
                "BEANFT_RUN_DIR": str(settings.run_dir),
                "BEANFT_DRAIN_SECONDS": drain,
            },
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def status(self, path: str) -> tuple[int, str]:
        """Fetch a path; 0 if nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_ready(self) -> None:
        """Wait until it is ready."""
        end = time.monotonic() + 30
        while self.status("/readyz")[0] != 200:
            assert time.monotonic() < end, "it didn't become ready"
            assert self.process.poll() is None
            time.sleep(0.05)

    def child(self) -> int:
        """Return the server's process id."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(path.read_text().split()[0])


@pytest.fixture
def served(
    settings: Settings, places: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[Served]:
    service, drain = request.param
    found = Served(settings, places, service, drain)
    yield found
    if found.process.poll() is None:
        found.process.terminate()
    found.process.wait(30)
    # Workers of a server that was killed: in a container they end with its first process.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(found.process.pid, signal.SIGKILL)


@pytest.mark.parametrize("served", [("web", "1.5"), ("api", "1.5")], indirect=True)
def test_sigterm_drains_first(served: Served) -> None:
    served.wait_ready()
    served.process.send_signal(signal.SIGTERM)
    end = time.monotonic() + 1
    while (answer := served.status("/readyz"))[0] == 200 and time.monotonic() < end:
        time.sleep(0.02)
    assert answer[0] == 503
    assert json.loads(answer[1])["check"] == "draining"
    assert served.status("/healthz")[0] == 200
    assert served.process.wait(20) == 0
    assert served.status("/healthz")[0] == 0


@pytest.mark.parametrize("served", [("api", "0")], indirect=True)
def test_a_request_in_flight_is_finished(
    served: Served, database: Database, make_user: Any, iris: Any, make_model: Any
) -> None:
    user = make_user("ada@example.org")
    _key, secret = keys.make_key(database, user.id, "test")
    model = make_model(iris, user.id)
    served.wait_ready()
    rows = 90_000
    content = b"sepal_length,sepal_width,petal_length,petal_width\n" + b"5.1,3.5,1.4,0.2\n" * rows
    request = urllib.request.Request(
        f"http://127.0.0.1:{served.port}/api/v1/models/{model.id}/predictions",
        content,
        {"Authorization": f"Bearer {secret}", "Content-Type": "text/csv"},
    )
    terminate = threading.Timer(0.05, served.process.send_signal, (signal.SIGTERM,))
    terminate.start()
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        found = json.loads(answer.read())["predictions"]
    assert terminate.finished.is_set(), "it answered too soon to show anything"
    assert len(found) == rows
    assert served.process.wait(20) == 0


@pytest.mark.parametrize("served", [("api", "0")], indirect=True)
def test_what_a_task_was_asked_is_counted_when_it_ends(
    served: Served, database: Database, make_user: Any, iris: Any, make_model: Any
) -> None:
    user = make_user("ada@example.org")
    _key, secret = keys.make_key(database, user.id, "test")
    features = tuple(
        dataclasses.replace(feature, edges=(3.0,), shares=(0.5, 0.5, 0.0))
        for feature in iris.schema.features
    )
    schema = dataclasses.replace(iris.schema, features=features)
    model = make_model(dataclasses.replace(iris, schema=schema), user.id)
    served.wait_ready()
    row = {feature.name: 2.0 for feature in features} | {"petal_width": None}
    request = urllib.request.Request(
        f"http://127.0.0.1:{served.port}/api/v1/models/{model.id}/predictions",
        json.dumps({"rows": [row]}).encode(),
        {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        assert answer.status == 200
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(20) == 0
    with database.reading() as session:
        counts = list(session.scalars(sa.select(InputCount.counts).order_by(InputCount.feature)))
    assert counts == [{"0": 1}, {"0": 1}, {"0": 1}, {"2": 1}]


@pytest.mark.parametrize("served", [("api", "0")], indirect=True)
def test_what_was_acknowledged_outlives_the_task(
    served: Served,
    settings: Settings,
    places: dict[str, str],
    database: Database,
    make_user: Any,
) -> None:
    _key, secret = keys.make_key(database, make_user("ada@example.org").id, "test")
    body = b"a,b\n1,x\n2,y\n"
    head = (
        "POST /api/v1/datasets?name=t.csv HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\n"
        f"Authorization: Bearer {secret}\r\nIdempotency-Key: k\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()

    def send(content: bytes) -> str:
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
            connection.sendall(head + content)
            if len(content) < len(body):
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while b"}" not in answer and (piece := connection.recv(4096)):
                answer += piece
        return answer.decode()

    served.wait_ready()
    # A client that dies in mid-sending stores nothing, and its key is still good.
    assert " 201 " not in send(body[:-4])
    first = send(body)
    assert " 201 " in first
    os.kill(served.child(), signal.SIGKILL)
    assert served.process.wait(20) != 0
    after = Served(settings, places, "api", "0")
    try:
        after.wait_ready()
        served.port = after.port
        again = send(body)
    finally:
        after.process.terminate()
        after.process.wait(30)
    assert "idempotent-replay: true" in again.lower()
    assert again.split("\r\n\r\n")[1] == first.split("\r\n\r\n")[1]


@pytest.mark.parametrize("served", [("web", "0")], indirect=True)
def test_a_dead_server_is_a_failure(served: Served) -> None:
    served.wait_ready()
    os.kill(served.child(), signal.SIGKILL)
    assert served.process.wait(20) != 0

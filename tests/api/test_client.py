"""The client against a running server: everything it can do, its errors, and lost answers."""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server

from beanft.config import Settings
from beanft.core.database import Database
from beanft.jobs.runner import Runner
from beanft.storage.files import Storage
from beanft.training.sample import SAMPLES
from beanft.users import keys

PATH = Path(__file__).parents[2] / "app" / "client" / "beanft_client.py"
ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": None}
NO_ID = "0" * 20


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("beanft_client", PATH)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["beanft_client"] = module
    spec.loader.exec_module(module)
    return module


beanft_client = _load()


@pytest.fixture
def base(api: Flask) -> Iterator[str]:
    """The address of a server of the API."""
    server = make_server("127.0.0.1", 0, api, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(base: str, caller: Any) -> Iterator[Any]:
    """Carol's client."""
    with beanft_client.Client(base, caller.key, timeout=20) as found:
        yield found


def test_it_is_one_small_file_without_dependencies() -> None:
    text = PATH.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 300
    names = {
        line.split()[1].split(".")[0]
        for line in text.splitlines()
        if line.startswith(("import ", "from "))
    }
    assert names <= sys.stdlib_module_names


def test_from_a_file_to_predictions(
    client: Any, settings: Settings, database: Database, storage: Storage
) -> None:
    assert client.version() == {"version": "1.2.3", "revision": "0123abcd"}
    dataset = client.upload(SAMPLES / "iris.csv")
    assert (dataset.name, dataset.rows, len(dataset.profile["columns"])) == ("iris.csv", 120, 5)
    assert [entry.id for entry in client.datasets()] == [dataset.id]
    assert client.dataset(dataset.id) == dataset
    assert client.download(dataset.id) == (SAMPLES / "iris.csv").read_bytes()
    cancelled = client.cancel(client.train(dataset.id, "species").id)
    assert not cancelled.active
    with pytest.raises(beanft_client.TrainingError, match="cancelled"):
        client.wait(cancelled)
    started = client.train(dataset.id, "species", estimators=["decision_tree"], name="flowers")
    with pytest.raises(beanft_client.TrainingError, match="more than 0 seconds"):
        client.wait(started, seconds=0, every=0.01)
    runner = Runner(settings, database, storage, lambda: False, lambda _job: None)
    worker = threading.Thread(target=runner.run, args=(started.id,))
    worker.start()
    try:
        trained = client.wait(started, seconds=120, every=0.1)
    finally:
        worker.join()
    assert trained.state == "succeeded"
    assert trained.estimators[0]["model"] == trained.model
    assert {entry.id for entry in client.trainings(state="succeeded")} == {trained.id}
    model = client.model(trained.model)
    assert (model.name, model.current, model.training) == ("flowers", True, trained.id)
    assert [entry.id for entry in client.models(series=model.series)] == [model.id]
    assert client.promote(model.id).current
    (answer,) = client.predict(model.series, [ROW], probabilities=True)
    assert answer.label == "setosa"
    assert set(answer.probabilities) == {"setosa", "versicolor", "virginica"}
    file = client.predict_csv(model.id, (SAMPLES / "iris_TEST.csv").read_bytes()).decode()
    assert "predicted_species" in file.splitlines()[0]
    client.delete(model)
    client.delete(dataset)
    with pytest.raises(beanft_client.NotFoundError):
        client.model(model.id)
    with pytest.raises(beanft_client.NotFoundError):
        client.dataset(dataset.id)


def test_lists_are_followed_to_their_end(client: Any, caller: Any) -> None:
    made = [client.upload(b"a,b\n1,2\n", f"{n}.csv").id for n in range(53)]
    assert [entry.id for entry in client.datasets()] == made[::-1]


def test_errors_have_types(client: Any, base: str, caller: Any, database: Database) -> None:
    with pytest.raises(beanft_client.InvalidError) as caught:
        client.upload(b"a,b\n1\n")
    assert caught.value.status == 422
    assert caught.value.errors[0]["line"] == 2
    assert caught.value.request_id
    assert str(caught.value).startswith("422: Line 2")
    with pytest.raises(beanft_client.InvalidError) as caught:
        client.train(NO_ID, "species")
    assert caught.value.errors[0]["field"] == "dataset"
    with pytest.raises(beanft_client.NotFoundError):
        client.predict(NO_ID, [ROW])
    with (
        beanft_client.Client(base, "bft_wrong") as stranger,
        pytest.raises(beanft_client.AccessError, match="401"),
    ):
        next(stranger.models())
    _key, secret = keys.make_key(database, caller.user.id, "one", ["predict"])
    with (
        beanft_client.Client(base, secret) as limited,
        pytest.raises(beanft_client.AccessError, match="datasets:read"),
    ):
        next(limited.datasets())
    for wrong in ("example.org", "ftp://example.org", ""):
        with pytest.raises(beanft_client.ClientError, match="must be such as"):
            beanft_client.Client(wrong, "key")


BUSY = b"HTTP/1.1 503 Busy\r\nConnection: close\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nBusy"
LOST = b""


def _read(connection: socket.socket) -> str:
    """Read a whole request; return what is before its body."""
    with connection.makefile("rb") as stream:
        lines = list(iter(stream.readline, b"\r\n"))
        lengths = [int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")]
        stream.read(sum(lengths))
    return b"".join(lines).decode()


@pytest.fixture
def scripted() -> Iterator[Callable[[list[bytes]], tuple[str, list[str]]]]:
    """Return a function that starts a server with these answers; one a connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def serve(answers: list[bytes], seen: list[str]) -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                seen.append(_read(connection))
                connection.sendall(answer)

    def start(answers: list[bytes]) -> tuple[str, list[str]]:
        seen: list[str] = []
        threads.append(threading.Thread(target=serve, args=(answers, seen), daemon=True))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}", seen

    yield start
    for thread in threads:
        thread.join(10)
    listener.close()


def test_what_may_be_sent_twice_is_sent_again(
    scripted: Callable[[list[bytes]], tuple[str, list[str]]],
) -> None:
    body = json.dumps({"id": "1", "name": "d", "rows": 1, "columns": 2, "created_at": "", "x": 1})
    stored = f"HTTP/1.1 201 Created\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    base, seen = scripted([LOST, BUSY, stored])
    with beanft_client.Client(base, "k") as client:
        assert client.upload(b"a,b\n1,2\n", "d").id == "1"  # and what is new is left out
    sent = [line for text in seen for line in text.splitlines() if "Idempotency-Key" in line]
    assert len(sent) == 3
    assert len(set(sent)) == 1


def test_it_gives_up(scripted: Callable[[list[bytes]], tuple[str, list[str]]]) -> None:
    base, seen = scripted([BUSY, BUSY, BUSY])
    with beanft_client.Client(base, "k") as client, pytest.raises(beanft_client.ApiError) as caught:
        client.version()
    assert (caught.value.status, caught.value.detail, len(seen)) == (503, "Busy", 3)


def test_it_says_that_nothing_answered(
    scripted: Callable[[list[bytes]], tuple[str, list[str]]],
) -> None:
    base, seen = scripted([LOST])
    with (
        beanft_client.Client(base, "k") as client,
        pytest.raises(beanft_client.ClientError, match="no answer"),
    ):
        client.cancel(NO_ID)  # whether it was done is not known: not sent again
    assert len(seen) == 1

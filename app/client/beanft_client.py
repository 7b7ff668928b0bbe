"""A client of beanft's API, of Python's standard library alone: copy this one file.

    with Client("https://example.org", key) as client:
        dataset = client.upload(Path("iris.csv"))
        training = client.wait(client.train(dataset.id, "species"))
        answers = client.predict(training.model, [{"petal_length": 1.4, "petal_width": 0.2}])

A client keeps one connection open; threads need one each.
"""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlencode, urlsplit

T = TypeVar("T")
Row = Mapping[str, float | str | None]
CSV = "text/csv"
AGAIN = (429, 502, 503, 504)
Headers = Mapping[str, str]
NONE: Headers = {}
AS_JSON = {"Content-Type": "application/json"}


class ClientError(Exception):
    """The API could not be asked, or its answer not be understood."""


class ApiError(ClientError):
    """The API refused or broke; ``errors`` says which field, or row and column, is wrong."""

    def __init__(self, status: int, said: Mapping[str, Any]) -> None:
        self.status = status
        self.detail = str(said.get("detail", ""))
        self.request_id = str(said.get("request_id", ""))
        self.errors: list[dict[str, Any]] = list(said.get("errors", ()))
        super().__init__(f"{status}: {self.detail}")


class AccessError(ApiError):
    """The key is unknown, expired or revoked (401), or lacks the scope (403)."""


class NotFoundError(ApiError):
    """There is no such thing, or it is somebody else's."""


class InvalidError(ApiError):
    """What was sent is wrong, or can't be done now (409); see ``errors``."""


ERRORS: dict[int, type[ApiError]] = {401: AccessError, 403: AccessError, 404: NotFoundError}
ERRORS |= dict.fromkeys((400, 409, 411, 413, 415, 422), InvalidError)


class TrainingError(ClientError):
    """A training failed, was cancelled, or took too long."""


@dataclass(frozen=True)
class Dataset:
    """A data set; ``sha256``, ``size`` and ``profile`` are not there in lists."""

    id: str
    name: str
    rows: int
    columns: int
    created_at: str
    sha256: str | None = None
    size: int | None = None
    profile: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Training:
    """A training; ``model`` is the best of its models. Lists have no features and estimators."""

    id: str
    name: str
    state: str
    progress: int
    message: str
    dataset: str
    target: str
    task: str
    model: str | None
    features: Sequence[str] = ()
    estimators: Sequence[Mapping[str, Any]] = ()

    @property
    def active(self) -> bool:
        """True while it waits or runs."""
        return self.state in {"queued", "running"}


@dataclass(frozen=True)
class Model:
    """A model; ``series`` works in place of ``id``. Lists have no schema and metrics."""

    id: str
    name: str
    series: str
    version: int
    current: bool
    task: str
    estimator: str
    target: str
    score: Mapping[str, Any]
    dataset: str | None
    training: str | None
    released: bool
    created_at: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prediction:
    """A classifier's ``label`` (and ``probabilities``, if asked for), or a regression's ``value``."""

    label: str | None = None
    value: float | None = None
    probabilities: Mapping[str, float] | None = None


def _made(kind: type[T], data: Mapping[str, Any]) -> T:
    """Make a dataclass; what a newer API says besides is left out."""
    known = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in data.items() if name in known})


class Client:
    """Speaks to one API with one key.

    Args:
        base: the site, such as ``https://example.org``.
        key: an API key.
        timeout: seconds to wait for an answer.
        tries: how often to send what may be sent twice: if nothing is answered, or 429 or 503.

    """

    def __init__(self, base: str, key: str, *, timeout: float = 30.0, tries: int = 3) -> None:
        parts = urlsplit(base)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ClientError(f"The base must be such as https://example.org, not {base!r}.")
        self._root = parts.path.rstrip("/")
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = kind(parts.netloc, timeout=timeout)
        self._key = key
        self._tries = tries

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def version(self) -> Mapping[str, str]:
        """Return the version and revision that run there."""
        return dict(self._json("GET", "/api/v1/version"))

    def upload(self, content: bytes | Path, name: str | None = None) -> Dataset:
        """Store a CSV file; sent again after a lost answer, it is stored once."""
        if isinstance(content, Path):
            name, content = name or content.name, content.read_bytes()
        path = "/api/v1/datasets?" + urlencode({"name": name or "data.csv"})
        headers = {"Content-Type": CSV, "Idempotency-Key": uuid.uuid4().hex}
        return _made(Dataset, self._json("POST", path, content, headers))

    def datasets(self) -> Iterator[Dataset]:
        """Yield all data sets, the latest first."""
        return self._all(Dataset, "datasets")

    def dataset(self, id_: str) -> Dataset:
        """Return a data set with its profile."""
        return _made(Dataset, self._json("GET", f"/api/v1/datasets/{id_}"))

    def download(self, id_: str) -> bytes:
        """Return a data set's file."""
        return self._send("GET", f"/api/v1/datasets/{id_}/content")[1]

    def train(self, dataset: str, target: str, **more: Any) -> Training:
        """Start a training; ``features``, ``estimators``, ``task`` and ``name`` may be said."""
        body = json.dumps({"dataset": dataset, "target": target, **more}).encode()
        return _made(Training, self._json("POST", "/api/v1/trainings", body, AS_JSON))

    def trainings(self, **filters: str) -> Iterator[Training]:
        """Yield all trainings, the latest first, of one ``dataset`` or ``state`` if that is said."""
        return self._all(Training, "trainings", filters)

    def training(self, id_: str) -> Training:
        """Return a training."""
        return _made(Training, self._json("GET", f"/api/v1/trainings/{id_}"))

    def cancel(self, id_: str) -> Training:
        """Cancel a training."""
        return _made(Training, self._json("POST", f"/api/v1/trainings/{id_}/cancel"))

    def wait(self, training: Training, seconds: float = 600.0, every: float = 0.5) -> Training:
        """Return a training when it has succeeded; a ``TrainingError`` says why it hasn't."""
        end, tag = time.monotonic() + seconds, ""
        path = f"/api/v1/trainings/{training.id}"
        while training.active:
            if time.monotonic() > end:
                raise TrainingError(f"The training took more than {seconds:g} seconds.")
            time.sleep(every)
            answer, content = self._send("GET", path, headers={"If-None-Match": tag})
            if answer.status != 304:
                tag = answer.headers["ETag"]
                training = _made(Training, json.loads(content))
        if training.state != "succeeded":
            raise TrainingError(f"The training {training.state}: {training.message}")
        return training

    def models(self, **filters: str) -> Iterator[Model]:
        """Yield models, the latest first: of one ``series``, ``training``, ``task``, and so on."""
        return self._all(Model, "models", filters)

    def model(self, id_: str) -> Model:
        """Return a model, or the current one of a series, with schema and metrics."""
        return _made(Model, self._json("GET", f"/api/v1/models/{id_}"))

    def promote(self, id_: str) -> Model:
        """Make a model the current one of its series."""
        return _made(Model, self._json("POST", f"/api/v1/models/{id_}/promote"))

    def delete(self, thing: Dataset | Model) -> None:
        """Delete a model, or a data set and its trainings, whose models stay."""
        kind = "datasets" if isinstance(thing, Dataset) else "models"
        self._send("DELETE", f"/api/v1/{kind}/{thing.id}")

    def predict(
        self, model: str, rows: Sequence[Row], *, probabilities: bool = False
    ) -> list[Prediction]:
        """Predict rows of columns and values; None is a missing value."""
        body = json.dumps({"rows": rows}, allow_nan=False).encode()
        path = f"/api/v1/models/{model}/predictions?probabilities={int(probabilities)}"
        found = self._json("POST", path, body, AS_JSON)
        return [Prediction(**entry) for entry in found["predictions"]]

    def predict_csv(self, model: str, content: bytes) -> bytes:
        """Predict a CSV file; returns it with the predictions beside the rows."""
        sent = {"Content-Type": CSV, "Accept": CSV}
        return self._send("POST", f"/api/v1/models/{model}/predictions", content, sent)[1]

    def _all(self, kind: type[T], name: str, filters: Headers = NONE) -> Iterator[T]:
        path: str | None = f"/api/v1/{name}?{urlencode(filters)}"
        while path is not None:
            page = self._json("GET", path)
            yield from (_made(kind, entry) for entry in page[name])
            path = page["next"]

    def _json(self, *request: Any) -> Any:
        return json.loads(self._send(*request)[1])

    def _send(
        self, method: str, path: str, body: bytes | None = None, headers: Headers = NONE
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a request, again if that does no harm; return the answer and its body, or raise."""
        sent = {"Authorization": f"Bearer {self._key}", **headers}
        again = method == "GET" or "Idempotency-Key" in sent or "/predictions" in path
        if not again:
            self._connection.close()  # one that was idle may be dead, and this can't be repeated
        for left in range(self._tries - 1 if again else 0, -1, -1):
            try:
                with suppress(BrokenPipeError):  # refused before all was read; the answer says why
                    self._connection.request(method, self._root + path, body, sent)
                answer = self._connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if not left:
                    raise ClientError(f"{method} {path}: no answer: {error!r}") from error
                time.sleep(0.2)
                continue
            if answer.status < 400:
                return answer, content
            if not left or answer.status not in AGAIN:
                break
            time.sleep(min(float(answer.headers.get("Retry-After", 1)), 10.0))
        raise _error(answer.status, content)


def _error(status: int, content: bytes) -> ApiError:
    try:
        said = dict(json.loads(content))
    except (ValueError, TypeError):  # it is a proxy's page
        said = {"detail": content[:200].decode(errors="replace")}
    return ERRORS.get(status, ApiError)(status, said)

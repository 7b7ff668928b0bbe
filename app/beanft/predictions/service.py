"""Predictions by stored models: what pages, API and readiness share."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from beanft.config import Limits
from beanft.core.cache import ExpiringCache
from beanft.core.database import Database
from beanft.core.errors import NotFoundError, UnavailableError
from beanft.ml.cells import safe_cell
from beanft.ml.columns import Columns, read_file, safe_column, write_file
from beanft.ml.csv_text import CsvLimits, sniff
from beanft.ml.golden import golden_difference
from beanft.ml.predict import OnnxModel, Predictions, sha256_hex
from beanft.ml.rows import Inputs
from beanft.ml.schema import Schema
from beanft.storage.files import Storage
from beanft.training.models import Model
from beanft.training.service import resolve_model

CATALOG_SECONDS = 3.0
MOST_CACHED_BYTES = 24_000_000  # with what else a process needs, in 384 MB


class Artefacts:
    """Loaded models, the least recently used of which are dropped; checksums are verified.

    A loaded model takes 0.1 MB and some six times the size of its file.

    Args:
        storage: where the ONNX files are.
        size: most models kept loaded.
        most_bytes: most bytes that the files of several of them may have together.

    """

    def __init__(self, storage: Storage, size: int, most_bytes: int = MOST_CACHED_BYTES) -> None:
        self._storage = storage
        self._size = size
        self._most_bytes = most_bytes
        self._bytes = 0
        self._loaded: OrderedDict[str, tuple[OnnxModel, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, model: Model) -> OnnxModel:
        """Return a model ready to predict.

        Raises:
            UnavailableError: its file is gone or isn't the one that was stored.

        """
        key = model.sha256 + model.id
        with self._lock:
            found = self._loaded.get(key)
            if found is not None:
                self._loaded.move_to_end(key)
                return found[0]
        loaded = self.load(model)
        with self._lock:
            if key not in self._loaded:
                self._bytes += model.size
            self._loaded[key] = loaded, model.size
            self._shrink()
        return loaded

    def _shrink(self) -> None:
        """Drop what was used longest ago until the rest is within the bounds, or is one model."""
        while len(self._loaded) > 1 and (
            len(self._loaded) > self._size or self._bytes > self._most_bytes
        ):
            _key, (_model, size) = self._loaded.popitem(last=False)
            self._bytes -= size

    def load(self, model: Model) -> OnnxModel:
        """Read, verify and load a model's file, past the cache."""
        try:
            with self._storage.open(model.storage_key) as stream:
                content = stream.read()
        except NotFoundError:
            raise UnavailableError(
                "The model's file is gone. Train the model again, or tell the operator."
            ) from None
        if sha256_hex(content) != model.sha256:
            raise UnavailableError(
                "The model's file is damaged: its checksum differs. "
                "Train the model again, or tell the operator."
            )
        return OnnxModel(content, model.schema)

    def golden_problem(self, model: Model) -> str | None:
        """Verify a released model from its file on; None, or what is wrong with it."""
        if model.golden_key is None:
            return "it has no golden predictions"
        try:
            with self._storage.open(model.golden_key) as stream:
                golden = json.loads(stream.read())
            return golden_difference(self.load(model), model.sha256, golden)
        except (NotFoundError, UnavailableError) as error:
            return error.detail
        except (ValueError, KeyError, TypeError) as error:
            return f"its golden predictions can't be read: {error}"

    def stamp(self, model: Model) -> tuple[tuple[int, ...] | None, ...]:
        """Return something cheap that changes when one of a released model's files does."""
        keys = (model.storage_key, model.golden_key or "")
        return tuple(self._storage.stamp(key) if key else None for key in keys)


class Predictor:
    """Predicts for somebody: finds the model they may use, checks rows, answers.

    A model's row is remembered for 3 seconds, so a deleted model answers that long, and so
    does the version of a series that was current before.

    Args:
        database: where models are on record.
        artefacts: where they are loaded.
        limits: what is too much.
        note: told the model's id, its schema and the inputs of what was predicted.

    """

    def __init__(
        self,
        database: Database,
        artefacts: Artefacts,
        limits: Limits,
        note: Callable[[str, Schema, Inputs], None],
    ) -> None:
        self._database = database
        self._artefacts = artefacts
        self._note = note
        self._csv_limits = CsvLimits(
            limits.predict_max_rows, limits.upload_max_columns, limits.cell_max_chars
        )
        self._catalog: ExpiringCache[tuple[str | None, str], Model] = ExpiringCache(
            CATALOG_SECONDS, size=1024
        )

    def model(self, user_id: str | None, model_id: str) -> Model:
        """Return a model that a person may use; a series' id means its current version.

        Raises:
            NotFoundError: there is none, or it is somebody else's.

        """
        found = self._catalog.get(
            (user_id, model_id), lambda: resolve_model(self._database, user_id, model_id)
        )
        if found is None:  # resolve_model raises instead
            raise NotFoundError("There is no such model.")
        return found

    def predict_objects(self, model: Model, rows: Sequence[Any]) -> Predictions:
        """Predict n JSON rows.

        Raises:
            DataError: with row and column of what is wrong.
            UnavailableError: the model's file is gone or damaged.

        """
        loaded = self._artefacts.get(model)
        return self._predict(model, loaded, loaded.rows.objects(rows))

    def predict_cells(
        self, model: Model, header: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> Predictions:
        """Predict n rows of cells that came as text.

        Raises:
            DataError: with row and column of what is wrong.
            UnavailableError: the model's file is gone or damaged.

        """
        loaded = self._artefacts.get(model)
        return self._predict(model, loaded, loaded.rows.cells(header, rows))

    def predict_csv(self, model: Model, stream: BinaryIO) -> tuple[Columns, Predictions]:
        """Predict the rows of a CSV file.

        Returns:
            The file's columns, and the predictions of its rows.

        Raises:
            DataError: with row and column of what is wrong.
            UnavailableError: the model's file is gone or damaged.

        """
        loaded = self._artefacts.get(model)
        table = read_file(stream, sniff(stream), self._csv_limits)
        inputs = loaded.rows.columns(table.header, table.columns)
        return table, self._predict(model, loaded, inputs)

    def _predict(self, model: Model, loaded: OnnxModel, inputs: Inputs) -> Predictions:
        answer = loaded.predict(inputs)
        self._note(model.id, loaded.schema, inputs)
        return answer


def predictions_csv(model: Model, table: Columns, answer: Predictions) -> Iterator[str]:
    """Yield a CSV file: the columns as sent, the prediction, and one probability a class."""
    schema = model.schema
    numbers = {feature.name for feature in schema.numbers}
    sent = [
        # What was taken for a number is no formula.
        cells if name in numbers else safe_column(cells)
        for name, cells in zip(table.header, table.columns, strict=True)
    ]
    if schema.task == "regression":
        classes: tuple[str, ...] = ()
        predicted = [f"{value:.7g}" for value in answer.values]  # float32 has no more digits
    else:
        classes = schema.classes
        safe = {name: safe_cell(name) for name in classes}
        predicted = [safe[label] for label in answer.labels]
    names = [
        *table.header,
        f"predicted_{schema.target}",
        *(f"probability_{name}" for name in classes),
    ]
    chances = [
        [f"{chance:.6f}" for chance in answer.probabilities[:, index].tolist()]
        for index in range(len(classes))
    ]
    return write_file([safe_cell(name) for name in names], [*sent, predicted, *chances])

"""Predictions by stored models: what pages, API and readiness share."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from beanft.config import Limits
from beanft.core.cache import ExpiringCache
from beanft.core.database import Database
from beanft.core.errors import NotFoundError, UnavailableError
from beanft.ml.csv_text import CsvLimits, read_columns, sniff, write_csv
from beanft.ml.golden import golden_difference
from beanft.ml.predict import OnnxModel, Predictions, sha256_hex
from beanft.ml.rows import inputs_from_cells, inputs_from_objects
from beanft.storage.files import Storage
from beanft.training.models import Model
from beanft.training.service import get_model

CATALOG_SECONDS = 3.0


class Artefacts:
    """Loaded models, the least recently used of which is dropped; checksums are verified.

    Args:
        storage: where the ONNX files are.
        size: most models kept loaded.

    """

    def __init__(self, storage: Storage, size: int) -> None:
        self._storage = storage
        self._size = size
        self._loaded: OrderedDict[str, OnnxModel] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, model: Model) -> OnnxModel:
        """Return a model ready to predict.

        Raises:
            UnavailableError: its file is gone or isn't the one that was stored.

        """
        with self._lock:
            found = self._loaded.get(model.sha256 + model.id)
            if found is not None:
                self._loaded.move_to_end(model.sha256 + model.id)
                return found
        loaded = self.load(model)
        with self._lock:
            self._loaded[model.sha256 + model.id] = loaded
            while len(self._loaded) > self._size:
                self._loaded.popitem(last=False)
        return loaded

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

    A model's row is remembered for 3 seconds, so a deleted model answers that long.
    """

    def __init__(self, database: Database, artefacts: Artefacts, limits: Limits) -> None:
        self._database = database
        self._artefacts = artefacts
        self._csv_limits = CsvLimits(
            limits.predict_max_rows, limits.upload_max_columns, limits.cell_max_chars
        )
        self._catalog: ExpiringCache[tuple[str | None, str], Model] = ExpiringCache(
            CATALOG_SECONDS, size=1024
        )

    def model(self, user_id: str | None, model_id: str) -> Model:
        """Return a model that a person may use.

        Raises:
            NotFoundError: there is none, or it is somebody else's.

        """
        found = self._catalog.get(
            (user_id, model_id), lambda: get_model(self._database, user_id, model_id)
        )
        if found is None:  # get_model raises instead
            raise NotFoundError("There is no such model.")
        return found

    def predict_objects(self, model: Model, rows: Sequence[Any]) -> Predictions:
        """Predict n JSON rows.

        Raises:
            DataError: with row and column of what is wrong.
            UnavailableError: the model's file is gone or damaged.

        """
        loaded = self._artefacts.get(model)
        return loaded.predict(inputs_from_objects(loaded.schema, rows))

    def predict_cells(
        self, model: Model, header: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> Predictions:
        """Predict n rows of cells that came as text.

        Raises:
            DataError: with row and column of what is wrong.
            UnavailableError: the model's file is gone or damaged.

        """
        loaded = self._artefacts.get(model)
        return loaded.predict(inputs_from_cells(loaded.schema, header, rows))

    def predict_csv(
        self, model: Model, stream: BinaryIO
    ) -> tuple[list[str], list[list[str]], Predictions]:
        """Predict the rows of a CSV file.

        Returns:
            The file's header and rows of cells, and their predictions.

        Raises:
            DataError: with row and column of what is wrong.
            UnavailableError: the model's file is gone or damaged.

        """
        loaded = self._artefacts.get(model)
        header, rows = read_columns(stream, sniff(stream), self._csv_limits)
        return header, rows, loaded.predict(inputs_from_cells(loaded.schema, header, rows))


def predictions_csv(
    model: Model, header: Sequence[str], rows: Sequence[Sequence[str]], answer: Predictions
) -> Iterator[str]:
    """Yield a CSV file: the rows as sent, the prediction, and one probability a class."""
    schema = model.schema
    names = [
        *header,
        f"predicted_{schema.target}",
        *(f"probability_{name}" for name in schema.classes),
    ]
    probabilities = answer.probabilities.tolist()

    def lines() -> Iterator[list[str]]:
        for row, label, chances in zip(rows, answer.labels, probabilities, strict=True):
            yield [*row, label, *(f"{chance:.6f}" for chance in chances)]

    return write_csv(names, lines())

"""Predict with a model in the ONNX format. Never with a pickle: a model is data here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from beanft.ml.errors import MOST_PROBLEMS, DataError, Problem
from beanft.ml.rows import Inputs, RowReader
from beanft.ml.schema import Schema

CHUNK_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Predictions:
    """The answers to n rows.

    Of a classifier, ``labels`` are n of the schema's classes and ``probabilities`` float32 of
    shape (n, c). Of a regression, ``values`` are n numbers, and the others are empty.
    """

    labels: list[str] = field(default_factory=list)
    probabilities: npt.NDArray[np.float32] = field(
        default_factory=lambda: np.empty((0, 0), np.float32)
    )
    values: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.labels) or len(self.values)

    def outputs(self) -> list[str] | list[float]:
        """Return n labels, or n numbers."""
        return self.labels or self.values


def sha256_hex(content: bytes) -> str:
    """Return the checksum that artefacts are stored under."""
    return hashlib.sha256(content).hexdigest()


def _overflows(answer: Predictions) -> list[Problem]:
    numbers = answer.probabilities if answer.labels else np.asarray(answer.values)
    finite = np.isfinite(numbers).reshape(len(answer), -1).all(axis=1)
    return [
        Problem(f"Row {row} has values that are too large to predict from.", row=row)
        for row in (np.flatnonzero(~finite)[:MOST_PROBLEMS] + 1).tolist()
    ]


class OnnxModel:
    """A model ready to predict, on one thread: more threads make small batches slower."""

    def __init__(self, content: bytes, schema: Schema) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.schema = schema
        self.rows = RowReader(schema)
        self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._inputs = [entry.name for entry in self._session.get_inputs()]

    def predict(self, inputs: Inputs) -> Predictions:
        """Predict n rows.

        Raises:
            DataError: values are so far from any in training that sums of them overflow.

        """
        answer = self._predict_chunks(inputs)
        chances = answer.probabilities.ravel()
        # A dot product is the quickest way to find one that isn't finite among a few.
        if not isfinite(chances.dot(chances)) or not all(map(isfinite, answer.values)):
            raise DataError(_overflows(answer))
        return answer

    def _predict_chunks(self, inputs: Inputs) -> Predictions:
        if len(inputs) <= CHUNK_ROWS:
            return self._predict(inputs)
        labels: list[str] = []
        values: list[float] = []
        parts = []
        for start in range(0, len(inputs), CHUNK_ROWS):
            end = start + CHUNK_ROWS
            part = self._predict(Inputs(inputs.numbers[start:end], inputs.texts[start:end]))
            labels.extend(part.labels)
            values.extend(part.values)
            parts.append(part.probabilities)
        return Predictions(labels, np.concatenate(parts), values)

    def _predict(self, inputs: Inputs) -> Predictions:
        if not len(inputs):
            return Predictions([], np.empty((0, len(self.schema.classes)), np.float32))
        feed: dict[str, Any] = {
            name: inputs.numbers if name == "number" else inputs.texts for name in self._inputs
        }
        if self.schema.task == "regression":
            (values,) = self._session.run(None, feed)
            return Predictions(values=values.ravel().tolist())
        labels, probabilities = self._session.run(None, feed)
        return Predictions(labels.tolist(), probabilities)

"""The least that could answer: a bare WSGI callable with onnxruntime and orjson, no framework, no key."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnxruntime
import orjson

COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(
    os.environ["BENCH_MODEL"], options, providers=["CPUExecutionProvider"]
)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Predict rows."""
    body = orjson.loads(environ["wsgi.input"].read())
    numbers = np.array([[row[name] for name in COLUMNS] for row in body["rows"]], dtype=np.float32)
    labels = session.run(None, {"number": numbers})[0].tolist()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [orjson.dumps({"predictions": [{"label": label} for label in labels]})]

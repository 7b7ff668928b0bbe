"""The model served by BentoML, as its documentation shows; BENCH_MODEL names the pipeline's file."""

from __future__ import annotations

import os
from typing import Any

import bentoml
import joblib
import pandas as pd


@bentoml.service(workers=1)
class Iris:
    """One pipeline."""

    def __init__(self) -> None:
        self._pipeline = joblib.load(os.environ["BENCH_MODEL"])

    @bentoml.api
    def predict(self, rows: list[dict[str, Any]]) -> list[str]:
        """Predict rows."""
        labels: list[str] = self._pipeline.predict(pd.DataFrame(rows)).tolist()
        return labels

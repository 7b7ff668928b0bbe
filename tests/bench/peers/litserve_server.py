"""The model served by LitServe, as its documentation shows: litserve_server.py PORT."""

import os
import sys
from typing import Any

import joblib
import litserve
import pandas as pd


class Iris(litserve.LitAPI):
    """One pipeline."""

    def setup(self, device: str) -> None:
        """Load it."""
        self._pipeline = joblib.load(os.environ["BENCH_MODEL"])

    def decode_request(self, request: dict[str, Any]) -> pd.DataFrame:
        """Make a data frame of the rows."""
        return pd.DataFrame(request["rows"])

    def predict(self, rows: pd.DataFrame) -> list[str]:
        """Predict them."""
        labels: list[str] = self._pipeline.predict(rows).tolist()
        return labels

    def encode_response(self, labels: list[str]) -> dict[str, list[str]]:
        """Make the answer."""
        return {"predictions": labels}


if __name__ == "__main__":
    server = litserve.LitServer(Iris(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
    )

"""The model served by FastAPI, as tutorials show; BENCH_MODEL names the pipeline's file."""

from __future__ import annotations

import os
from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
pipeline = joblib.load(os.environ["BENCH_MODEL"])


class Request(BaseModel):
    """What is sent."""

    rows: list[dict[str, float]]


@app.post("/predict")
async def predict(request: Request) -> dict[str, Any]:
    """Predict rows; async, since without it each waits for a thread and it is slower."""
    return {"predictions": pipeline.predict(pd.DataFrame(request.rows)).tolist()}

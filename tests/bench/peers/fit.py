"""Fit what beanft and its peers serve, once, by beanft's own training code.

Run in the peers' environment with app/ on the path: fit.py FOLDER. Writes FOLDER/ESTIMATOR.joblib,
FOLDER/ESTIMATOR.onnx and FOLDER/mlflow-ESTIMATOR, and prints the columns and classes as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import joblib
import mlflow.sklearn
import pandas as pd

from beanft.ml.convert import to_onnx
from beanft.ml.estimators import build_pipeline
from beanft.ml.plan import Plan

SAMPLE = Path(__file__).resolve().parents[3] / "app/beanft/samples/iris.csv"
TARGET = "species"
ESTIMATORS = ("logistic_regression", "random_forest")


def main() -> None:
    """Fit both on a data frame, so that no peer warns about the names of columns at every request."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    table = pd.read_csv(SAMPLE)
    rows = table.drop(columns=TARGET).astype("float32")
    labels = table[TARGET].to_numpy(dtype=str)
    for name in ESTIMATORS:
        plan = Plan(TARGET, tuple(rows.columns), (name,))
        pipeline = build_pipeline(plan, name, len(rows.columns), 0, len(rows))
        pipeline.fit(rows, labels)
        if name == "random_forest":
            pipeline.named_steps[
                "estimator"
            ].n_jobs = 1  # more make every peer several times slower
        joblib.dump(pipeline, folder / f"{name}.joblib")
        (folder / f"{name}.onnx").write_bytes(to_onnx(pipeline, len(rows.columns), 0))
        model = folder / f"mlflow-{name}"
        if not model.exists():
            mlflow.sklearn.save_model(
                pipeline,
                str(model),
                serialization_format="cloudpickle",
                pip_requirements=["scikit-learn"],
            )
    print(json.dumps({"columns": list(rows.columns), "classes": sorted(set(labels))}))


if __name__ == "__main__":
    main()

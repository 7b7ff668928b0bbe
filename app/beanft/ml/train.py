"""Split, fit, convert, evaluate: from a CSV file to an ONNX model with its measures.

Needs scikit-learn, so only the worker imports it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from beanft.ml.convert import check_parity, to_onnx
from beanft.ml.csv_text import CsvLimits, Dialect, read_columns
from beanft.ml.errors import DataError
from beanft.ml.evaluate import evaluate
from beanft.ml.plan import TEST_FRACTION, Plan, check_plan
from beanft.ml.predict import OnnxModel
from beanft.ml.profile import TableProfile
from beanft.ml.rows import Inputs, inputs_from_cells
from beanft.ml.schema import Feature, Schema

Report = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished model: the ONNX file's bytes, its schema and its measures (JSON)."""

    content: bytes
    schema: Schema
    metrics: dict[str, Any]


def build_pipeline(plan: Plan, numbers: int, texts: int) -> Pipeline:
    """Return an unfitted pipeline for ``numbers`` numeric columns and then ``texts`` text ones.

    Missing numbers become the median of the training rows; text becomes one column a value,
    and a value not seen in training none of them.
    """
    parts: list[tuple[str, Any, list[int]]] = []
    if numbers:
        steps: list[tuple[str, Any]] = [("impute", SimpleImputer(strategy="median"))]
        if plan.estimator == "logistic_regression":
            steps.append(("scale", StandardScaler()))
        parts.append(("number", Pipeline(steps), list(range(numbers))))
    if texts:
        encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        parts.append(("text", encoder, list(range(numbers, numbers + texts))))
    estimator: Any
    if plan.estimator == "logistic_regression":
        estimator = LogisticRegression(max_iter=2000)
    elif plan.estimator == "random_forest":
        estimator = RandomForestClassifier(100, random_state=plan.seed, n_jobs=-1)
    else:
        estimator = DecisionTreeClassifier(max_depth=12, random_state=plan.seed)
    return Pipeline([("prepare", ColumnTransformer(parts)), ("estimator", estimator)])


def matrix(inputs: Inputs) -> npt.NDArray[Any]:
    """Put numbers and texts side by side, as scikit-learn takes them: shape (n, k + m)."""
    if not inputs.texts.shape[1]:
        return inputs.numbers
    if not inputs.numbers.shape[1]:
        return inputs.texts
    return np.hstack([inputs.numbers.astype(object), inputs.texts])


def _features(
    plan: Plan, profile: TableProfile, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[Feature, ...]:
    features = []
    for name in header:
        if name not in plan.features:
            continue
        column = profile.column(name)
        if column is None:
            raise DataError(f"The file has no column {name!r} any more.")
        if column.kind == "text":
            features.append(Feature(name, "text", values=tuple(sorted(column.counts or ()))))
        else:
            features.append(Feature(name, "number", column.least, column.most))
    return tuple(features)


def _with_medians(schema: Schema, numbers: npt.NDArray[np.float32]) -> Schema:
    medians = {
        feature.name: round(float(np.nanmedian(numbers[:, index])), 6)
        for index, feature in enumerate(schema.numbers)
    }
    features = tuple(
        Feature(f.name, f.kind, f.least, f.most, medians.get(f.name), f.values)
        for f in schema.features
    )
    return Schema(features, schema.target, schema.classes)


def _pick(inputs: Inputs, rows: npt.NDArray[np.intp]) -> Inputs:
    return Inputs(inputs.numbers[rows], inputs.texts[rows])


def train(
    stream: BinaryIO, profile: TableProfile, plan: Plan, limits: CsvLimits, report: Report
) -> Trained:
    """Train on a file.

    A fifth of the rows, stratified by class, is held out; the measures are those of the
    *converted* model on them, since that is the one that answers.

    Args:
        stream: the file that ``profile`` describes.
        profile: its profile, which decides the types of columns.
        plan: what to train.
        limits: as for the profile.
        report: called with percent done (0 to 100) and a short sentence.

    Raises:
        DataError: the data can't be trained on.
        ConversionError: the converted model disagrees with scikit-learn's.

    """
    check_plan(plan, profile)
    report(5, "Reading the data")
    header, cells = read_columns(stream, Dialect(**profile.dialect.to_dict()), limits)
    keep = [index for index, name in enumerate(header) if name in plan.features]
    target_at = header.index(plan.target)
    labels = np.array([row[target_at] for row in cells])
    classes = tuple(sorted(set(labels.tolist())))
    schema = Schema(_features(plan, profile, header, cells), plan.target, classes)
    inputs = inputs_from_cells(
        schema, [header[index] for index in keep], [[row[i] for i in keep] for row in cells]
    )
    report(20, "Holding rows out")
    test_rows = max(math.ceil(TEST_FRACTION * len(labels)), len(classes))
    learn, check = train_test_split(
        np.arange(len(labels)), test_size=test_rows, random_state=plan.seed, stratify=labels
    )
    known, held_out = _pick(inputs, learn), _pick(inputs, check)
    if bool(np.isnan(known.numbers).all(axis=0).any()):
        raise DataError("A column has values in so few rows that none is left to learn from.")
    schema = _with_medians(schema, known.numbers)
    report(35, "Fitting")
    pipeline = build_pipeline(plan, known.numbers.shape[1], known.texts.shape[1])
    pipeline.fit(matrix(known), labels[learn])
    report(70, "Converting")
    content = to_onnx(pipeline, known.numbers.shape[1], known.texts.shape[1])
    report(85, "Checking the converted model")
    model = OnnxModel(content, schema)
    answer = model.predict(held_out)
    parity = check_parity(pipeline, matrix(held_out), answer)
    metrics = evaluate(classes, labels[check].tolist(), answer.labels)
    metrics["train_rows"] = len(learn)
    metrics["seed"] = plan.seed
    metrics["parity"] = parity
    report(95, "Storing")
    return Trained(content, schema, metrics)

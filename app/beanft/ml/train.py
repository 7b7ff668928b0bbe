"""From a CSV file to ONNX models with their measures: one for each estimator of a plan.

Needs scikit-learn, so only the worker imports it.
"""

from __future__ import annotations

import copy
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from beanft.ml.convert import check_parity, to_onnx
from beanft.ml.csv_text import CsvLimits
from beanft.ml.errors import ConversionError, DataError, NoModelError
from beanft.ml.estimators import build_pipeline, matrix, most_rows
from beanft.ml.evaluate import accuracy, calibration, evaluate, evaluate_numbers, r2
from beanft.ml.feature_statistics import with_statistics
from beanft.ml.importance import importance_rows, permutation_importance
from beanft.ml.plan import ESTIMATOR_NAMES, Plan, check_plan
from beanft.ml.predict import OnnxModel, Predictions
from beanft.ml.profile import TableProfile
from beanft.ml.results import Results, failures, of_estimator, waiting
from beanft.ml.rows import Inputs
from beanft.ml.schema import Schema
from beanft.ml.training_data import (
    Rows,
    TrainingData,
    encoded_width,
    held_out_rows,
    pick_from,
    read_training_data,
)
from beanft.ml.validation import cross_validate, learning_curve, score_of

# Validation fits up to nine times, each on a part of the rows that the model is fitted on.
VALIDATION_SHARE = 4
MOST_VALIDATION_ROWS = 20_000
# Rows that parity, importance and the curve look at; the measures look at all.
MOST_CHECKED_ROWS = 5_000
NO_MEMORY = "There was not enough memory for it."
OUR_FAULT = "Something went wrong on our side; it has been logged."
UNSETTLED = "Its weights had not settled when it stopped; more rows or fewer columns may help."

Report = Callable[[int, str, Results], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished model: its estimator, the ONNX file's bytes, its schema and measures (JSON)."""

    estimator: str
    content: bytes
    schema: Schema
    metrics: dict[str, Any]


@dataclass(frozen=True, slots=True)
class TrainedSet:
    """How a training ended.

    ``results`` are those of every estimator, ``best`` is the one with the highest mean in
    cross-validation, and ``traces`` are tracebacks of those that failed by our fault.
    """

    results: Results
    best: str
    traces: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Split:
    """The rows to learn from and those held out; all estimators share them."""

    plan: Plan
    data: TrainingData
    schema: Schema
    learn: Rows
    check: Rows
    width: int

    def inputs(self, rows: Rows) -> Inputs:
        return Inputs(self.data.inputs.numbers[rows], self.data.inputs.texts[rows])

    def labels(self, rows: Rows) -> npt.NDArray[Any] | None:
        return self.data.target[rows] if self.plan.task == "classification" else None

    def some(self, rows: Rows, most: int) -> Rows:
        return pick_from(rows, self.labels(rows), most, self.plan.seed)


def _split(plan: Plan, data: TrainingData, width: int) -> _Split:
    every = np.arange(len(data.target))
    stratify = data.target if plan.task == "classification" else None
    learn, check = train_test_split(
        every, test_size=held_out_rows(data), random_state=plan.seed, stratify=stratify
    )
    known = Inputs(data.inputs.numbers[learn], data.inputs.texts[learn])
    empty = np.isnan(known.numbers).all(axis=0)
    if empty.any():
        name = data.schema.numbers[int(empty.argmax())].name
        raise DataError(
            f"{name!r} has values in so few rows that none is left to learn from. Leave it out."
        )
    return _Split(plan, data, with_statistics(data.schema, known), learn, check, width)


def _measures(split: _Split, answer: Predictions) -> dict[str, Any]:
    """Compare the answers to the held-out rows with the truth and with the simplest guess."""
    truth, learned = split.data.target[split.check], split.data.target[split.learn]
    if split.plan.task == "regression":
        found = evaluate_numbers(truth, np.asarray(answer.values, dtype=np.float64))
        found["score"] = {"name": "r2", "value": found["r2"]}
        found["baseline"] = r2(truth, np.full(len(truth), learned.mean()))
        return found
    classes = split.schema.classes
    found = evaluate(classes, truth.tolist(), answer.labels)
    found["score"] = {"name": "accuracy", "value": found["accuracy"]}
    names, counts = np.unique(learned, return_counts=True)
    found["baseline"] = accuracy(truth.tolist(), [names[counts.argmax()]] * len(truth))
    names, counts = np.unique(split.data.target, return_counts=True)
    found["balance"] = [
        {"name": name, "rows": count}
        for name, count in zip(names.tolist(), counts.tolist(), strict=True)
    ]
    hits = truth == np.asarray(answer.labels, dtype=object)
    found["calibration"] = calibration(answer.probabilities.max(axis=1), hits)
    return found


def _score(truth: npt.NDArray[Any]) -> Callable[[Predictions], float]:
    return lambda answer: score_of(truth, np.asarray(answer.outputs(), dtype=truth.dtype))


class _Fitting:
    """One estimator's way from rows to a model."""

    def __init__(self, split: _Split, estimator: str, entry: dict[str, Any], say: Any) -> None:
        self._split = split
        self._estimator = estimator
        self._entry = entry
        self._say = say
        most = most_rows(estimator, split.width, len(split.schema.classes))
        self._learn = split.some(split.learn, most)
        most = min(MOST_VALIDATION_ROWS, max(1_000, most // VALIDATION_SHARE))
        self._validate = split.some(self._learn, most)
        self._few = split.some(split.check, MOST_CHECKED_ROWS)

    def _build(self, rows: int) -> Any:
        schema = self._split.schema
        numbers, texts = len(schema.numbers), len(schema.texts)
        return build_pipeline(self._split.plan, self._estimator, numbers, texts, rows)

    def _rows(self, rows: Rows) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        return matrix(self._split.inputs(rows)), self._split.data.target[rows]

    def run(self) -> Trained:
        """Validate, fit, convert, check, measure; say if it did not settle."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.filterwarnings("always", category=ConvergenceWarning)
            # Fifty classes of two rows are few rows a class, and were allowed.
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            trained = self._run()
        if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
            self._entry["message"] = UNSETTLED
        return trained

    def _run(self) -> Trained:
        split, seed = self._split, self._split.plan.seed
        rows, target = self._rows(self._validate)
        cv = cross_validate(
            self._build,
            rows,
            target,
            seed,
            lambda fold, folds: self._say((fold - 1) / folds * 0.5, f"fold {fold} of {folds}"),
        )
        self._entry["cv"] = {name: cv[name] for name in ("scores", "mean", "std")}
        self._say(0.5, "fitting")
        pipeline = self._build(len(self._learn))
        pipeline.fit(*self._rows(self._learn))
        self._say(0.65, "converting")
        schema = split.schema
        content = to_onnx(pipeline, len(schema.numbers), len(schema.texts))
        self._say(0.7, "checking the converted model")
        model = OnnxModel(content, schema)
        few, truth = self._rows(self._few)
        few_inputs = split.inputs(self._few)
        parity = check_parity(pipeline, few, model.predict(few_inputs))
        metrics = _measures(split, model.predict(split.inputs(split.check)))
        metrics.update(train_rows=len(self._learn), seed=seed, parity=parity, cv=cv)
        if split.data.sampled or len(self._learn) < len(split.learn):
            metrics["sampled_from"] = split.data.file_rows
        self._say(0.75, "learning curve")
        order = np.random.default_rng(seed).permutation(len(rows))
        metrics["learning_curve"] = learning_curve(
            self._build, rows[order], target[order], (few, truth)
        )
        self._say(0.9, "importance of columns")
        some = split.some(self._few, importance_rows(len(schema.features)))
        metrics["importance"] = permutation_importance(
            model, split.inputs(some), _score(split.data.target[some]), seed
        )
        return Trained(self._estimator, content, schema, metrics)


def train(
    stream: BinaryIO,
    profile: TableProfile,
    plan: Plan,
    limits: CsvLimits,
    report: Report,
    keep: Callable[[Trained], None],
) -> TrainedSet:
    """Train every estimator of a plan on a file.

    A fifth of the rows, stratified by class, is held out. Each estimator is cross-validated on
    the others and fitted on them; its measures are those of the *converted* model on the
    held-out rows, since that is the one that answers. One that fails doesn't fail the others.

    Args:
        stream: the file that ``profile`` describes.
        profile: its profile, which decides the types of columns.
        plan: what to train.
        limits: as for the profile.
        report: called with percent done (0 to 100), a short sentence and the results so far.
        keep: called with each model as soon as it is finished.

    Raises:
        DataError: the data can't be trained on.
        NoModelError: every estimator failed.

    """
    check_plan(plan, profile)
    results = waiting(plan.estimators)
    report(2, "Reading the data", results)
    data = read_training_data(stream, profile, plan, limits)
    report(8, "Holding rows out", results)
    split = _split(plan, data, encoded_width(plan, profile))
    traces: dict[str, str] = {}
    part = 88 / len(plan.estimators)
    for index, estimator in enumerate(plan.estimators):
        entry = of_estimator(results, estimator)
        start = 10 + index * part

        def say(done: float, what: str, start: float = start, estimator: str = estimator) -> None:
            percent = int(start + done * part)
            report(percent, f"{ESTIMATOR_NAMES[estimator]}: {what}", copy.deepcopy(results))

        entry["state"] = "running"
        began = time.monotonic()
        try:
            trained = _Fitting(split, estimator, entry, say).run()
            keep(trained)
        except (ConversionError, DataError) as error:
            entry.update(state="failed", message=str(error))
        except MemoryError:
            entry.update(state="failed", message=NO_MEMORY)
        except Exception:
            traces[estimator] = traceback.format_exc()
            entry.update(state="failed", message=OUR_FAULT)
        else:
            entry.update(state="done", score=trained.metrics["score"]["value"])
        entry["seconds"] = round(time.monotonic() - began, 2)
        say(1.0, entry["state"])
    done = [entry for entry in results["estimators"] if entry["state"] == "done"]
    if not done:
        raise NoModelError(failures(results), traces)
    best = max(done, key=lambda entry: float(entry["cv"]["mean"]))["estimator"]
    return TrainedSet(results, best, traces)

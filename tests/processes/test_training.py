"""One training, many estimators: validated, converted, measured, for classes and for numbers."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from beanft.ml import train as training
from beanft.ml.csv_text import CsvLimits
from beanft.ml.errors import ConversionError, DataError, NoModelError
from beanft.ml.estimators import build_pipeline
from beanft.ml.golden import golden_difference, make_golden
from beanft.ml.plan import ESTIMATORS, Plan, suggest_task
from beanft.ml.predict import OnnxModel
from beanft.ml.profile import profile_csv
from beanft.ml.rows import inputs_from_objects
from beanft.ml.schema import Task
from beanft.ml.train import Trained, TrainedSet, train
from beanft.ml.training_data import pick_from, read_training_data
from beanft.training.sample import SAMPLES

IRIS = (SAMPLES / "iris.csv").read_bytes()


def quiet(_percent: int, _message: str, _results: Any) -> None:
    """Report to nobody."""


def run(
    table: bytes, target: str, *estimators: str, task: Task | None = None
) -> tuple[dict[str, Trained], TrainedSet, list[tuple[int, str, Any]]]:
    profile = profile_csv(io.BytesIO(table), CsvLimits())
    column = profile.column(target)
    assert column is not None
    task = task or suggest_task(column, profile.rows)
    features = tuple(c.name for c in profile.columns if c.name != target)
    plan = Plan(target, features, estimators or tuple(ESTIMATORS[task]), task)
    models: list[Trained] = []
    said: list[tuple[int, str, Any]] = []
    done = train(
        io.BytesIO(table),
        profile,
        plan,
        CsvLimits(),
        lambda *what: said.append(what),
        models.append,
    )
    return {model.estimator: model for model in models}, done, said


def diabetes() -> bytes:
    data = load_diabetes(scaled=False)
    lines = [",".join([*data.feature_names, "progression"])]
    lines += [",".join(f"{x:g}" for x in (*row, y)) for row, y in zip(*data_of(data), strict=True)]
    return "\n".join(lines).encode()


def data_of(data: Any) -> tuple[Any, Any]:
    return data.data, data.target


def mixed(rows: int = 200) -> bytes:
    """Numbers on a grid with gaps, text with gaps, a column named 0; a number to predict."""
    chance = random.Random(1)  # noqa: S311 - data, not a secret
    lines = ["size,colour,0,y"]
    for _ in range(rows):
        size, colour, zero = (
            round(chance.uniform(0, 10), 1),
            chance.choice(["red", "green", ""]),
            chance.randint(0, 3),
        )
        y = size * 2 + (colour == "red") * 9 + zero + chance.gauss(0, 0.1)
        lines.append(f"{'' if chance.random() < 0.1 else size},{colour},{zero},{y:.3f}")
    return "\n".join(lines).encode()


@pytest.fixture(scope="module")
def iris_set() -> tuple[dict[str, Trained], TrainedSet, list[tuple[int, str, Any]]]:
    return run(IRIS, "species")


@pytest.fixture(scope="module")
def diabetes_set() -> tuple[dict[str, Trained], TrainedSet, list[tuple[int, str, Any]]]:
    return run(diabetes(), "progression")


def test_every_estimator_becomes_a_model_and_a_result(iris_set: Any) -> None:
    models, done, _ = iris_set
    assert list(models) == list(ESTIMATORS["classification"])
    entries = {entry["estimator"]: entry for entry in done.results["estimators"]}
    for key, model in models.items():
        entry, metrics = entries[key], model.metrics
        assert (entry["state"], entry["message"], entry["model_id"]) == ("done", "", None)
        assert entry["score"] == metrics["score"]["value"] == metrics["accuracy"] > 0.85
        assert entry["cv"]["mean"] == metrics["cv"]["mean"] > 0.85
        assert len(metrics["cv"]["scores"]) == metrics["cv"]["folds"] == 5
        assert np.isclose(np.mean(metrics["cv"]["scores"]), metrics["cv"]["mean"])
        assert metrics["baseline"] == pytest.approx(1 / 3)
        assert [part["rows"] for part in metrics["balance"]] == [40, 40, 40]
        assert len(metrics["learning_curve"]) == 5
        assert metrics["learning_curve"][-1]["rows"] == metrics["train_rows"] == 96
        assert sum(part["rows"] for part in metrics["calibration"]) == metrics["rows"] == 24
        assert {part["feature"] for part in metrics["importance"][:2]} & {
            "petal_length",
            "petal_width",
        }
        assert "sampled_from" not in metrics
        assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    best = max(entries.values(), key=lambda entry: entry["cv"]["mean"])
    assert done.best == best["estimator"]


def test_progress_tells_the_fold_and_never_goes_back(iris_set: Any) -> None:
    _, _, said = iris_set
    assert any(message == "Random forest: fold 3 of 5" for _, message, _ in said)
    percents = [percent for percent, _, _ in said]
    assert percents == sorted(percents)
    assert percents[-1] <= 99
    first = next(results for _, message, results in said if "fold 1" in message)
    states = [entry["state"] for entry in first["estimators"]]
    assert states == ["running", "waiting", "waiting", "waiting", "waiting"]


def test_diabetes_is_predicted_as_a_number(diabetes_set: Any) -> None:
    models, done, _ = diabetes_set
    assert list(models) == list(ESTIMATORS["regression"])
    assert done.best in {"linear_regression", "random_forest", "gradient_boosting"}
    metrics = models["linear_regression"].metrics
    assert 0.3 < metrics["r2"] == metrics["score"]["value"] < 0.7
    assert 40 < metrics["mae"] < metrics["rmse"] < 65
    assert metrics["baseline"] <= 0
    assert metrics["score"]["name"] == "r2"
    assert len(metrics["scatter"]) == metrics["rows"] == 89
    assert sum(metrics["residuals"]["counts"]) == 89
    assert len(metrics["residuals"]["edges"]) == len(metrics["residuals"]["counts"]) + 1
    assert not {"accuracy", "confusion", "classes", "calibration", "balance"} & metrics.keys()
    json.dumps(metrics, allow_nan=False)
    for model in models.values():
        assert (model.schema.task, model.schema.classes) == ("regression", ())


def test_golden_predictions_of_a_regression(diabetes_set: Any) -> None:
    found = diabetes_set[0]["random_forest"]
    model = OnnxModel(found.content, found.schema)
    header, *rows = [line.split(",") for line in diabetes().decode().splitlines()[:10]]
    golden = json.loads(json.dumps(make_golden(model, "abc", header, rows)))
    assert len(golden["values"]) == 9
    assert golden_difference(model, "abc", golden) is None
    assert "number of values" in str(
        golden_difference(model, "abc", {**golden, "values": golden["values"][1:]})
    )
    assert "number of probabilities" in str(
        golden_difference(model, "abc", {**golden, "probabilities": [[1.0]]})
    )
    golden["values"][3] += 1
    assert "differs by" in str(golden_difference(model, "abc", golden))


@pytest.mark.parametrize("estimator", ESTIMATORS["regression"])
def test_every_regression_converts_text_gaps_and_ties(estimator: str) -> None:
    models, _, _ = run(mixed(), "y", estimator)
    found = models[estimator]
    assert found.metrics["r2"] > 0.7
    assert found.metrics["importance"][0]["feature"] == "size"
    model = OnnxModel(found.content, found.schema)
    unseen = [{"size": None, "colour": "mauve", "0": 3}]
    (value,) = model.predict(inputs_from_objects(found.schema, unseen)).values
    assert np.isfinite(value)


def test_a_missing_text_is_a_value_of_its_own() -> None:
    table = b"a,b\n" + b",yes\nx,no\ny,no\n" * 10
    found = run(table, "b", "decision_tree")[0]["decision_tree"]
    model = OnnxModel(found.content, found.schema)
    rows = inputs_from_objects(found.schema, [{"a": None}, {"a": "x"}])
    assert model.predict(rows).labels == ["yes", "no"]


TINY = {
    "ten rows": "".join(f"{i},{'xy'[i % 2]},{'pq'[i % 2]}\n" for i in range(10)),
    "a class of two": "".join(f"{i},{'xy'[i % 3 // 2]},{'pq'[i > 9]}\n" for i in range(12)),
    "fifty classes": "".join(f"{i},{'xy'[i % 2]},c{i // 2}\n" for i in range(100)),
    "ten numbers": "".join(f"{i},{'xy'[i % 2]},{i * 1.5}\n" for i in range(10)),
}


@pytest.mark.parametrize("name", TINY)
def test_tiny_tables_give_finite_measures(name: str) -> None:
    table = ("a,b,y\n" + TINY[name]).encode()
    models, done, _ = run(table, "y")
    assert [entry["state"] for entry in done.results["estimators"]] == ["done"] * 5, done.traces
    for model in models.values():
        json.dumps(model.metrics, allow_nan=False)
        assert model.metrics["cv"]["folds"] >= 2


def test_an_estimator_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    real = training.to_onnx

    def some(pipeline: Any, numbers: int, texts: int) -> bytes:
        kind = type(pipeline.steps[-1][1]).__name__
        if kind == "LogisticRegression":
            raise ConversionError("A label differs after conversion.")
        if kind == "KNeighborsClassifier":
            raise MemoryError
        if kind == "GradientBoostingClassifier":
            raise RuntimeError("secret")
        return real(pipeline, numbers, texts)

    monkeypatch.setattr(training, "to_onnx", some)
    asked = ("logistic_regression", "nearest_neighbors", "gradient_boosting")
    models, done, said = run(IRIS, "species", *asked, "decision_tree")
    assert list(models) == [done.best] == ["decision_tree"]
    messages = {e["estimator"]: e["message"] for e in done.results["estimators"]}
    assert "label differs" in messages["logistic_regression"]
    assert "memory" in messages["nearest_neighbors"]
    assert "logged" in messages["gradient_boosting"]
    assert "secret" not in json.dumps(said)
    assert "secret" in done.traces["gradient_boosting"]
    with pytest.raises(NoModelError, match="Logistic regression: A label differs") as caught:
        run(IRIS, "species", *asked)
    assert list(caught.value.traces) == ["gradient_boosting"]


def test_weights_that_do_not_settle_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.linear_model import LogisticRegression

    monkeypatch.setattr(
        "beanft.ml.estimators.LogisticRegression", lambda max_iter: LogisticRegression(max_iter=1)
    )
    _, done, _ = run(IRIS, "species", "logistic_regression")
    assert "had not settled" in done.results["estimators"][0]["message"]


def test_a_column_that_is_empty_where_it_is_learned_from_is_named() -> None:
    table = "a,b,y\n" + "".join(f"{i},{'7' if i == 3 else ''},{i * 1.5}\n" for i in range(40))
    profile = profile_csv(io.BytesIO(table.encode()), CsvLimits())

    def said(seed: int) -> str:
        plan = Plan("y", ("a", "b"), ("decision_tree",), "regression", seed)
        try:
            train(io.BytesIO(table.encode()), profile, plan, CsvLimits(), quiet, lambda _: None)
        except DataError as error:
            return str(error)
        return ""

    # The only row with a value is held out with some seeds, and with most it isn't.
    found = {said(seed)[:40] for seed in range(30)}
    assert found == {"", "'b' has values in so few rows that none "}


def test_large_tables_are_sampled_by_class_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beanft.ml.training_data.MOST_ROWS", 300)
    lines = [f"{i},{'abc'[i % 97 == 0] if i % 500 else 'rare'}\n" for i in range(3000)]
    table = ("x,y\n" + "".join(lines)).encode()
    profile = profile_csv(io.BytesIO(table), CsvLimits())
    plan = Plan("y", ("x",), ("decision_tree",))
    data = read_training_data(io.BytesIO(table), profile, plan, CsvLimits())
    again = read_training_data(io.BytesIO(table), profile, plan, CsvLimits())
    assert np.array_equal(data.inputs.numbers, again.inputs.numbers)
    names, counts = np.unique(data.target, return_counts=True)
    assert dict(zip(names, counts, strict=True)) == {"a": 296, "b": 10, "rare": 6}
    for x, label in zip(data.inputs.numbers[:, 0], data.target, strict=True):
        assert lines[int(x)] == f"{int(x)},{label}\n"
    model = run(table, "y", "decision_tree")[0]["decision_tree"]
    assert model.metrics["sampled_from"] == 3000
    assert model.metrics["train_rows"] + model.metrics["rows"] == 312
    numbers = ("x,y\n" + "".join(f"{i},{i}.5\n" for i in range(3000))).encode()
    assert run(numbers, "y", "linear_regression")[0]["linear_regression"].metrics["rows"] == 60


def test_a_file_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = profile_csv(io.BytesIO(mixed()), CsvLimits())
    plan = Plan("y", ("0", "colour", "size"), ("decision_tree",), "regression")
    whole = read_training_data(io.BytesIO(mixed()), profile, plan, CsvLimits())
    monkeypatch.setattr("beanft.ml.training_data.CHUNK_ROWS", 50)
    pieces = read_training_data(io.BytesIO(mixed()), profile, plan, CsvLimits())
    assert np.array_equal(whole.inputs.numbers, pieces.inputs.numbers, equal_nan=True)
    assert whole.inputs.texts.tolist() == pieces.inputs.texts.tolist()
    assert whole.target.tolist() == pieces.target.tolist()
    assert len(whole.target) == 200
    assert [feature.name for feature in whole.schema.features] == ["size", "colour", "0"]


def test_a_file_that_changed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = profile_csv(io.BytesIO(IRIS), CsvLimits())
    plan = Plan("species", ("petal_length",), ("decision_tree",))

    def refused(table: bytes, said: str) -> None:
        with pytest.raises(DataError, match=said):
            train(io.BytesIO(table), profile, plan, CsvLimits(), quiet, lambda _: None)

    refused(b"a,b\n1,2\n", "other columns")
    refused(IRIS.splitlines()[0] + b"\n1,2,x,4,setosa\n", "must be a number")
    monkeypatch.setattr("beanft.ml.training_data.MOST_ROWS", 50)
    refused(IRIS.replace(b"setosa", b"rosa"), "other values")


def test_boosting_of_many_rows_and_numbers_looks_at_samples() -> None:
    plan = Plan("y", ("a",), ("gradient_boosting",), "regression")
    assert build_pipeline(plan, "gradient_boosting", 1, 0, 100)[-1].subsample == 1
    assert build_pipeline(plan, "gradient_boosting", 1, 0, 9000)[-1].subsample == 0.5
    forest = build_pipeline(plan, "random_forest", 1, 0, 50_000)[-1]
    assert forest.min_samples_leaf == 10
    rows = np.arange(100)
    assert len(pick_from(rows, None, 30, 1)) == 30


def test_nearest_neighbors_keep_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beanft.ml.estimators.MOST_NEIGHBOR_ROWS", 50)
    found = run(IRIS, "species", "nearest_neighbors")[0]["nearest_neighbors"]
    assert 40 <= found.metrics["train_rows"] <= 51
    assert found.metrics["sampled_from"] == 120


def test_neighbors_that_are_all_equally_near_are_refused() -> None:
    table = b"a,y\n" + b"x,p\nz,q\nx,q\nz,p\n" * 20
    with pytest.raises(NoModelError, match="equally near"):
        run(table, "y", "nearest_neighbors")


def test_a_file_may_call_a_column_0(train: Callable[..., Any]) -> None:
    schema = train(mixed(), "y", "linear_regression").schema
    assert [feature.name for feature in schema.features] == ["size", "colour", "0"]
    assert schema.features[2].integer

"""A plan is checked by field before any work is queued, and old ones can still be read."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest

from beanft.ml.csv_text import CsvLimits
from beanft.ml.errors import DataError
from beanft.ml.pipeline import SCALED, describe_pipeline, describe_steps
from beanft.ml.plan import (
    ESTIMATOR_NAMES,
    ESTIMATORS,
    Plan,
    check_plan,
    suggest_task,
    target_problem,
)
from beanft.ml.profile import ColumnProfile, TableProfile, profile_csv
from beanft.ml.schema import Feature, Schema, Task


def profile_of(**columns: Sequence[object]) -> TableProfile:
    lines = [",".join(columns)]
    lines += [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    return profile_csv(io.BytesIO("\n".join(lines).encode()), CsvLimits())


def column_of(values: Sequence[object]) -> ColumnProfile:
    found = profile_of(y=values, z=range(len(values))).column("y")
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"] * 20, "classification"),
        ([0, 1] * 20, "classification"),
        (["0.0", "1.0"] * 20, "classification"),
        ([0.5, 2.5] * 20, "classification"),  # two values are a yes and a no
        ([4, 6, 8] * 10, "classification"),
        (list(range(10)) * 4, "classification"),
        (list(range(11)) * 4, "regression"),
        ([0.5, 1, 2] * 10, "regression"),  # doses
        ([1, 2, 3, 4] * 8 + [6], "regression"),  # a value that comes up once
        (list(range(10)) * 2, "regression"),  # each too seldom
        (range(100), "regression"),
        ([7] * 20, "regression"),
        ([f"name{i}" for i in range(80)], "classification"),
    ],
)
def test_the_task_is_recognised(values: Sequence[object], task: Task) -> None:
    assert suggest_task(column_of(values), len(values)) == task


@pytest.mark.parametrize(
    ("values", "task", "said"),
    [
        (["a", "b"] * 10, "regression", "is text"),
        ([3] * 20, "regression", "the same value"),
        (["1", "2", ""] * 10, "regression", "10 of 30 rows have no value"),
        ([1e39, 2e39] * 10, "regression", "larger unit"),
        (range(80), "classification", "choose regression"),
        (range(80), "regression", None),
        (range(80), None, None),
        ([0, 1] * 10, "regression", None),
        ([f"n{i}" for i in range(80)], None, "Choose a column with a few values"),
        (["a"] * 20, None, "one class only"),
    ],
)
def test_a_target_is_judged_by_its_task(
    values: Sequence[object], task: Task | None, said: str | None
) -> None:
    problem = target_problem(column_of(values), len(values), task)
    assert problem is None if said is None else said in str(problem)


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (Plan("y", ("a",), ()), "estimators"),
        (Plan("y", ("a",), ("linear_regression",)), "estimators"),
        (Plan("y", ("a",), ("decision_tree", "decision_tree")), "estimators"),
        (Plan("y", ("a",), ("decision_tree",), "clustering"), "task"),  # type: ignore[arg-type]
        (Plan("y", ("a",), ("decision_tree",), "regression"), "target"),
        (Plan("y", ("a",), ("decision_tree",), name="n" * 121), "name"),
        (Plan("", ("a",), ("decision_tree",)), "target"),
        (Plan("y", (), ("decision_tree",)), "features"),
    ],
)
def test_problems_carry_the_field(plan: Plan, field: str) -> None:
    profile = profile_of(a=range(20), y="pq" * 10)
    check_plan(Plan("y", ("a",), tuple(ESTIMATORS["classification"])), profile)
    with pytest.raises(DataError) as caught:
        check_plan(plan, profile)
    assert [problem.field for problem in caught.value.problems] == [field]


def test_old_and_new_plans_can_be_read_by_old_and_new_releases() -> None:
    old = {"target": "y", "features": ["a"], "estimator": "decision_tree", "seed": 1}
    assert Plan.from_dict(old) == Plan("y", ("a",), ("decision_tree",), "classification", 1)
    plan = Plan("y", ("a",), ("random_forest", "decision_tree"), "regression", 3, "Mine")
    assert Plan.from_dict(plan.to_dict()) == plan
    assert plan.to_dict()["estimator"] == plan.estimator == "random_forest"
    assert Plan("y", (), ()).estimator == ""


@pytest.mark.parametrize("estimator", ESTIMATOR_NAMES)
def test_the_description_names_every_step(estimator: str) -> None:
    schema = Schema((Feature("0", "number"), Feature("colour", "text")), "y", ("a", "b"))
    steps = describe_pipeline(schema, estimator)
    names = [step.name for step in steps]
    scale = ["Scale"] if estimator in SCALED else []
    assert names == ["Fill in", *scale, "Encode", ESTIMATOR_NAMES[estimator]]
    assert all(step.detail for step in steps)
    assert steps[0].columns == ("0",)
    assert steps[-2].columns == ("colour",)
    assert describe_steps((), ("colour",), estimator)[0].name == "Encode"

"""The picture of a pipeline: a lane for each kind of column, and the estimator at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from beanft.ml.pipeline import Step, describe_pipeline, describe_steps
from beanft.ml.plan import Plan
from beanft.ml.profile import TableProfile
from beanft.ml.schema import Schema, Task


@dataclass(frozen=True, slots=True)
class Lane:
    """Columns, and the steps that they all go through, one after another."""

    columns: tuple[str, ...]
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class Picture:
    """Lanes side by side, the estimator that takes what comes out of them, and its target."""

    lanes: list[Lane]
    estimator: Step
    target: str


def _picture(steps: Sequence[Step], target: str) -> Picture:
    *prepare, estimator = steps
    lanes: dict[tuple[str, ...], list[Step]] = {}
    for step in prepare:
        lanes.setdefault(step.columns, []).append(step)
    return Picture([Lane(*pair) for pair in lanes.items()], estimator, target)


def picture_of_schema(schema: Schema, estimator: str) -> Picture:
    """Return the picture of a model."""
    return _picture(describe_pipeline(schema, estimator), schema.target)


def pictures_of_plan(
    profile: TableProfile, plan: Plan, estimators: dict[Task, dict[str, str]]
) -> dict[Task, dict[str, Picture]]:
    """Return a picture of each estimator of each task, over the columns that are planned."""
    chosen = [column for column in profile.columns if column.name in plan.features]
    numbers = [column.name for column in chosen if column.kind == "number"]
    texts = [column.name for column in chosen if column.kind == "text"]
    return {
        task: {key: _picture(describe_steps(numbers, texts, key), plan.target) for key in choices}
        for task, choices in estimators.items()
    }

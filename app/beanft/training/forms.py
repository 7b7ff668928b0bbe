"""The form that plans a training. Its choices come from the data set, so it is read by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from werkzeug.datastructures import MultiDict

from beanft.core.sent import meant
from beanft.ml.errors import DataError
from beanft.ml.plan import ESTIMATORS, Plan, feature_problem, suggest_task, target_problem
from beanft.ml.profile import ColumnProfile, TableProfile
from beanft.ml.schema import Task

TASK_NAMES: dict[Task, str] = {"classification": "classes", "regression": "a number"}


@dataclass(slots=True)
class Choice:
    """A column, what predicting it would be, and why it can't be a feature, if so."""

    column: ColumnProfile
    task: Task
    feature_problem: str | None


@dataclass(slots=True)
class TrainForm:
    """What the page shows: choices, what is chosen, and errors by field.

    ``task`` is what was chosen over what is recognised, or empty; ``ticked`` are the
    estimators ticked for each task.
    """

    choices: list[Choice]
    plan: Plan
    task: str
    ticked: dict[Task, tuple[str, ...]]
    errors: dict[str, list[str]] = field(default_factory=dict)

    def show(self, error: DataError) -> None:
        """Put a plan's problems beside their fields."""
        for problem in error.problems:
            self.errors.setdefault(problem.field or "target", []).append(problem.message)


def choices_of(profile: TableProfile) -> list[Choice]:
    """Return what each column can be."""
    return [
        Choice(column, suggest_task(column, profile.rows), feature_problem(column, profile.rows))
        for column in profile.columns
    ]


def all_estimators() -> dict[Task, tuple[str, ...]]:
    """Return the estimators that are ticked at first: of each task all."""
    return {task: tuple(choices) for task, choices in ESTIMATORS.items()}


def suggest(profile: TableProfile) -> TrainForm:
    """Return a form with a sensible choice: the last column with classes, from all others."""
    choices = choices_of(profile)
    possible = [
        choice
        for choice in choices
        if target_problem(choice.column, profile.rows, choice.task) is None
    ]
    words = [choice for choice in possible if choice.column.kind == "text"]
    target = (words or possible or choices)[-1]
    features = tuple(
        choice.column.name
        for choice in choices
        if choice.feature_problem is None and choice is not target
    )
    ticked = all_estimators()
    plan = Plan(target.column.name, features, ticked[target.task], target.task)
    return TrainForm(choices, plan, "", ticked)


def one_line(text: str) -> str:
    """Return a name without line breaks and other characters that can't be seen."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def read(profile: TableProfile, sent: MultiDict[str, str]) -> TrainForm:
    """Return the form as it was sent.

    The target's own tick is dropped: the page shows every column, and without JavaScript it
    can't untick one when the target changes. The same goes for the estimators of the other
    task. A page that was opened before there was a comparison sends one ``estimator``.
    """
    names = [column.name for column in profile.columns]
    target = meant(names, sent.get("target", ""))
    column = profile.column(target)
    chosen = sent.get("task", "")
    recognised = "classification" if column is None else suggest_task(column, profile.rows)
    # A task that there is none of is said by the plan's check.
    task = cast("Task", chosen) if chosen else recognised
    ticked_names = (meant(names, name) for name in sent.getlist("features"))
    features = tuple(name for name in ticked_names if name != target)
    ticked = {key: tuple(sent.getlist(f"estimators_{key}")) for key in ESTIMATORS}
    named = tuple(sent.getlist("estimators") or sent.getlist("estimator"))
    if named and task in ticked:
        ticked[task] = named
    name = one_line(sent.get("name", ""))
    plan = Plan(target, features, ticked.get(task, ()), task, name=name)
    return TrainForm(choices_of(profile), plan, chosen, ticked)

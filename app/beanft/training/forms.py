"""The form that plans a training. Its choices come from the data set, so it is read by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from werkzeug.datastructures import MultiDict

from beanft.ml.errors import DataError
from beanft.ml.plan import ESTIMATORS, Plan, feature_problem, target_problem
from beanft.ml.profile import ColumnProfile, TableProfile


@dataclass(slots=True)
class Choice:
    """A column, and why it can't be the target or a feature, if so."""

    column: ColumnProfile
    target_problem: str | None
    feature_problem: str | None


@dataclass(slots=True)
class TrainForm:
    """What the page shows: choices, what is chosen, and errors by field."""

    choices: list[Choice]
    plan: Plan
    errors: dict[str, list[str]] = field(default_factory=dict)

    def show(self, error: DataError) -> None:
        """Put a plan's problems beside their fields."""
        for problem in error.problems:
            self.errors.setdefault(problem.field or "target", []).append(problem.message)


def choices_of(profile: TableProfile) -> list[Choice]:
    """Return what each column can be."""
    return [
        Choice(column, target_problem(column, profile.rows), feature_problem(column, profile.rows))
        for column in profile.columns
    ]


def suggest(profile: TableProfile) -> TrainForm:
    """Return a form with a sensible choice: the last column with classes, from all others."""
    choices = choices_of(profile)
    possible = [c.column for c in choices if c.target_problem is None]
    words = [column for column in possible if column.kind == "text"]
    target = (words or possible)[-1].name if possible else profile.columns[-1].name
    features = tuple(
        c.column.name for c in choices if c.feature_problem is None and c.column.name != target
    )
    return TrainForm(choices, Plan(target, features, next(iter(ESTIMATORS))))


def read(profile: TableProfile, sent: MultiDict[str, str]) -> TrainForm:
    """Return the form as it was sent.

    The target's own tick is dropped: the page shows every column, and without JavaScript it
    can't untick one when the target changes.
    """
    target = sent.get("target", "")
    features = tuple(name for name in sent.getlist("features") if name != target)
    return TrainForm(choices_of(profile), Plan(target, features, sent.get("estimator", "")))

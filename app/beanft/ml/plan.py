"""What to train, checked against what the data holds before any work is queued.

Pure Python over a profile, so a page can name the wrong field at once; scikit-learn isn't
needed for it, and isn't there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from beanft.ml.errors import DataError, Problem
from beanft.ml.profile import ColumnProfile, TableProfile

ESTIMATORS = {
    "logistic_regression": "Logistic regression",
    "random_forest": "Random forest",
    "decision_tree": "Decision tree",
}
MIN_ROWS = 10
MIN_CLASS_ROWS = 2
TEST_FRACTION = 0.2
SEED = 7


@dataclass(frozen=True, slots=True)
class Plan:
    """One training: the column to predict, the columns to predict from, and how.

    ``estimator`` is a key of ``ESTIMATORS``; ``seed`` fixes the split and the fit.
    """

    target: str
    features: tuple[str, ...]
    estimator: str
    seed: int = SEED

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can hold."""
        return {
            "target": self.target,
            "features": list(self.features),
            "estimator": self.estimator,
            "seed": self.seed,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Plan:
        """Undo :meth:`to_dict`."""
        return cls(data["target"], tuple(data["features"]), data["estimator"], data["seed"])


def target_problem(column: ColumnProfile, rows: int) -> str | None:
    """Return why a column can't be the target, or None."""
    if column.missing:
        return (
            f"{column.missing} of {rows} rows have no value for {column.name!r}. "
            "Fill them in or remove the rows."
        )
    if column.counts is None:
        hint = " It looks like a measurement." if column.kind == "number" else ""
        return (
            f"{column.name!r} has more than 50 different values, too many to be classes.{hint} "
            "Choose a column with a few values."
        )
    if len(column.counts) < 2:
        return f"{column.name!r} has one class only: there is nothing to tell apart."
    single = [value for value, count in column.counts.items() if count < MIN_CLASS_ROWS]
    if single:
        return (
            f"The class {single[0]!r} of {column.name!r} has one row. Every class needs at "
            "least two: one to learn from and one to check with."
        )
    return None


def feature_problem(column: ColumnProfile, rows: int) -> str | None:
    """Return why a column can't be a feature, or None."""
    if column.missing == rows:
        return f"{column.name!r} has no values."
    if column.kind == "text" and column.counts is None:
        return (
            f"{column.name!r} is text with more than 50 different values, such as names or "
            "free text. Leave it out, or group its values."
        )
    if column.counts is not None and len(column.counts) == 1 and not column.missing:
        return f"{column.name!r} has the same value in every row: leave it out."
    return None


def check_plan(plan: Plan, profile: TableProfile) -> None:
    """Check that the data can be trained on as planned.

    Raises:
        DataError: with the form's field (``target``, ``features`` or ``estimator``) and the
            column of each problem.

    """
    problems: list[Problem] = []
    if plan.estimator not in ESTIMATORS:
        problems.append(Problem("Choose one of the estimators.", field="estimator"))
    if profile.rows < MIN_ROWS:
        message = f"The data set has {profile.rows} rows; at least {MIN_ROWS} are needed."
        problems.append(Problem(message, field="target"))
    target = profile.column(plan.target)
    if target is None:
        problems.append(Problem("Choose the column to predict.", field="target"))
    elif message_ := target_problem(target, profile.rows):
        problems.append(Problem(message_, field="target", column=plan.target))
    if not plan.features:
        problems.append(Problem("Choose at least one column to predict from.", field="features"))
    for name in plan.features:
        column = profile.column(name)
        if column is None:
            problems.append(Problem(f"There is no column {name!r}.", field="features"))
        elif name == plan.target:
            message = f"{name!r} is the column to predict: it can't be predicted from itself."
            problems.append(Problem(message, field="features", column=name))
        elif message_ := feature_problem(column, profile.rows):
            problems.append(Problem(message_, field="features", column=name))
    if problems:
        raise DataError(problems)

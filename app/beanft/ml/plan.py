"""What to train, checked against what the data holds before any work is queued.

Pure Python over a profile, so a page can name the wrong field at once; scikit-learn isn't
needed for it, and isn't there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from beanft.ml.csv_text import parse_number
from beanft.ml.errors import DataError, Problem
from beanft.ml.profile import ColumnProfile, TableProfile
from beanft.ml.schema import Task

TASKS: tuple[Task, ...] = get_args(Task)
ESTIMATORS: dict[Task, dict[str, str]] = {
    "classification": {
        "logistic_regression": "Logistic regression",
        "random_forest": "Random forest",
        "decision_tree": "Decision tree",
        "gradient_boosting": "Gradient boosting",
        "nearest_neighbors": "Nearest neighbors",
    },
    "regression": {
        "linear_regression": "Linear regression",
        "random_forest": "Random forest",
        "decision_tree": "Decision tree",
        "gradient_boosting": "Gradient boosting",
        "nearest_neighbors": "Nearest neighbors",
    },
}
ESTIMATOR_NAMES = {key: name for names in ESTIMATORS.values() for key, name in names.items()}
MOST_NUMBER = 1e30  # models compute in float32, and sum up
MIN_ROWS = 10
MIN_CLASS_ROWS = 2
MOST_WHOLE_CLASSES = 10  # a column of whole numbers with more different ones is a measurement
NAME_MAX_CHARS = 120
TEST_FRACTION = 0.2
SEED = 7


@dataclass(frozen=True, slots=True)
class Plan:
    """One training: the column to predict, the columns to predict from, and how.

    ``estimators`` are keys of ``ESTIMATORS[task]``, to be compared; ``seed`` fixes the split and
    the fits; ``name`` is that of the models, or empty.
    """

    target: str
    features: tuple[str, ...]
    estimators: tuple[str, ...]
    task: Task = "classification"
    seed: int = SEED
    name: str = ""

    @property
    def estimator(self) -> str:
        """The first estimator, or nothing."""
        return self.estimators[0] if self.estimators else ""

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can hold.

        It holds ``estimator`` too: a worker of a release that knew only one reads that.
        """
        return {
            "target": self.target,
            "features": list(self.features),
            "estimator": self.estimator,
            "estimators": list(self.estimators),
            "task": self.task,
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Plan:
        """Undo :meth:`to_dict`, of this release or of one that knew a single estimator."""
        return cls(
            target=data["target"],
            features=tuple(data["features"]),
            estimators=tuple(data.get("estimators") or (data["estimator"],)),
            task=data.get("task", "classification"),
            seed=data["seed"],
            name=data.get("name", ""),
        )


def suggest_task(column: ColumnProfile, rows: int) -> Task:
    """Return what a column is most likely to be predicted as.

    Text is classes. So are numbers with two values, and whole numbers with ten at most, if each
    comes up often enough to learn it (three times on average and never once). Other numbers
    are measured: whole ones of many values, and few that are not whole, such as doses of 0.5, 1
    and 2, whose order and distance would be lost in classes.
    """
    if column.kind == "text":
        return "classification"
    counts = column.counts
    if counts is None or not 2 <= len(counts) <= MOST_WHOLE_CLASSES:
        return "regression"
    if min(counts.values()) < MIN_CLASS_ROWS or rows - column.missing < 3 * len(counts):
        return "regression"
    whole = all((parse_number(value) or 0.0).is_integer() for value in counts)
    return "classification" if whole or len(counts) == 2 else "regression"


def target_problem(column: ColumnProfile, rows: int, task: Task | None = None) -> str | None:
    """Return why a column can't be the target, or None.

    Args:
        column: the column.
        rows: how many rows the table has.
        task: what it is to be predicted as; else what suits it.

    """
    if column.missing:
        return (
            f"{column.missing} of {rows} rows have no value for {column.name!r}. "
            "Fill them in or remove the rows."
        )
    if (task or suggest_task(column, rows)) == "regression":
        return _number_problem(column)
    return _class_problem(column)


def _number_problem(column: ColumnProfile) -> str | None:
    if column.kind != "number":
        return f"{column.name!r} is text. Choose a column of numbers, or classification."
    least, most = column.least or 0.0, column.most or 0.0
    if least == most:
        return f"{column.name!r} has the same value in every row: there is nothing to predict."
    if max(abs(least), abs(most)) > MOST_NUMBER:
        return f"{column.name!r} has numbers above {MOST_NUMBER:g}. Write it in a larger unit."
    return None


def _class_problem(column: ColumnProfile) -> str | None:
    if column.counts is None:
        mend = "Choose a column with a few values."
        if column.kind == "number":
            mend = "It looks like a measurement: choose regression, or another column."
        return f"{column.name!r} has more than 50 different values, too many to be classes. {mend}"
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


def _estimator_problems(plan: Plan) -> list[Problem]:
    if plan.task not in TASKS:
        return [Problem("Choose classification or regression.", field="task")]
    if not plan.estimators:
        return [Problem("Choose at least one estimator.", field="estimators")]
    known = ESTIMATORS[plan.task]
    problems = [
        Problem(f"{key!r} is no estimator for {plan.task}.", field="estimators")
        for key in plan.estimators
        if key not in known
    ]
    if len(set(plan.estimators)) < len(plan.estimators):
        problems.append(Problem("Choose each estimator once.", field="estimators"))
    return problems


def check_plan(plan: Plan, profile: TableProfile) -> None:
    """Check that the data can be trained on as planned.

    Raises:
        DataError: with the form's field (``target``, ``features``, ``estimators``, ``task`` or
            ``name``) and the column of each problem.

    """
    problems = _estimator_problems(plan)
    if len(plan.name) > NAME_MAX_CHARS:
        message = f"The name has over {NAME_MAX_CHARS} characters: shorten it."
        problems.append(Problem(message, field="name"))
    if profile.rows < MIN_ROWS:
        message = f"The data set has {profile.rows} rows; at least {MIN_ROWS} are needed."
        problems.append(Problem(message, field="target"))
    target = profile.column(plan.target)
    if target is None:
        problems.append(Problem("Choose the column to predict.", field="target"))
    elif message_ := target_problem(target, profile.rows, plan.task):
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

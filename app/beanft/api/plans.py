"""From the body of a request to the plan of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from beanft.core.errors import InvalidError
from beanft.ml.plan import ESTIMATORS, Plan, feature_problem, suggest_task
from beanft.ml.profile import TableProfile
from beanft.ml.schema import Task

FIELDS = ("dataset", "target", "features", "estimators", "task", "name")
TASKS: tuple[Task, ...] = ("classification", "regression")
NAME_MAX_CHARS = 120


def _text_problem(value: Any) -> str | None:
    return None if isinstance(value, str) and value else "must be text"


def _texts_problem(value: Any) -> str | None:
    if not isinstance(value, list) or not value:
        return "must be a list of at least one text"
    if not all(isinstance(entry, str) for entry in value):
        return "must be a list of texts"
    return "has an entry twice" if len(set(value)) < len(value) else None


def _name_problem(value: Any) -> str | None:
    if isinstance(value, str) and len(value) <= NAME_MAX_CHARS and value.isprintable():
        return None
    return f"must be text of at most {NAME_MAX_CHARS} printable characters"


def _task_problem(value: Any) -> str | None:
    return None if value in TASKS else f"must be one of {', '.join(TASKS)}"


_CHECKS = {
    "dataset": _text_problem,
    "target": _text_problem,
    "features": _texts_problem,
    "estimators": _texts_problem,
    "task": _task_problem,
    "name": _name_problem,
}
_NEEDED = ("dataset", "target")


def check_body(body: Mapping[str, Any]) -> None:
    """Check the types of all fields; null is the same as leaving a field out.

    Raises:
        InvalidError: with each field that is missing, unknown or of another type.

    """
    problems = {name: "is missing" for name in _NEEDED if body.get(name) is None}
    for name, value in body.items():
        if name not in _CHECKS:
            problems[name[:80]] = f"is unknown; there are: {', '.join(FIELDS)}"
        elif value is not None and (problem := _CHECKS[name](value)):
            problems[name] = problem
    if problems:
        name, message = next(iter(problems.items()))
        raise InvalidError(
            f"{name} {message}.",
            errors=[{"field": name, "message": problem} for name, problem in problems.items()],
        )


def make_plan(body: Mapping[str, Any], profile: TableProfile) -> Plan:
    """Return the plan that a checked body asks for.

    What it leaves out is: the task that suits the target, every column that can be a feature,
    and all estimators of the task. Whether the data can be trained on so is for ``check_plan``.
    """
    target: str = body["target"]
    column = profile.column(target)
    task: Task = body.get("task") or (
        "classification" if column is None else suggest_task(column, profile.rows)
    )
    features = body.get("features")
    if features is None:
        features = [
            other.name
            for other in profile.columns
            if other.name != target and feature_problem(other, profile.rows) is None
        ]
    estimators = body.get("estimators") or list(ESTIMATORS[task])
    name = (body.get("name") or "").strip()
    return Plan(target, tuple(features), tuple(estimators), task, name=name)

"""What is known of each estimator while a training runs, and after: ``job.results``."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from beanft.ml.plan import ESTIMATOR_NAMES

Results = dict[str, Any]

UNREACHED = "It was not reached."


def waiting(estimators: Sequence[str]) -> Results:
    """Return the results of a training that begins.

    Returns:
        ``estimators``, a list in the plan's order of objects with ``estimator`` (its key),
        ``state`` (waiting, running, done or failed), ``cv`` (None, or ``scores``, ``mean`` and
        ``std``), ``score`` (None, or that on held-out rows), ``seconds`` (None, or how long it
        took), ``message`` (why it failed) and ``model_id`` (None until the model is stored).

    """
    return {
        "estimators": [
            {
                "estimator": key,
                "state": "waiting",
                "cv": None,
                "score": None,
                "seconds": None,
                "message": "",
                "model_id": None,
            }
            for key in estimators
        ]
    }


def of_estimator(results: Results, estimator: str) -> dict[str, Any]:
    """Return the entry of one estimator, to be read or changed."""
    found: dict[str, Any] = next(
        entry for entry in results["estimators"] if entry["estimator"] == estimator
    )
    return found


def ended(results: Results, message: str) -> Results:
    """Return results in which nothing runs or waits any more.

    Args:
        results: as they were last.
        message: why it ended before its time.

    """
    last = copy.deepcopy(results)
    for entry in last["estimators"]:
        if entry["state"] in ("running", "waiting"):
            ran = entry["state"] == "running"
            entry.update(state="failed", message=message if ran else f"{UNREACHED} {message}")
    return last


def failures(results: Results) -> str:
    """Return a sentence that names each estimator that failed and says why."""
    parts = [
        f"{ESTIMATOR_NAMES.get(entry['estimator'], entry['estimator'])}: {entry['message']}"
        for entry in results["estimators"]
        if entry["state"] == "failed"
    ]
    return " ".join(parts)

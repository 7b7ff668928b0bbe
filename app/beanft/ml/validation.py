"""Fit again and again on parts of the training rows: cross-validation and the learning curve."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold, StratifiedKFold

from beanft.ml.evaluate import accuracy, r2

FOLDS = 5
CURVE_SIZES = (0.1, 0.325, 0.55, 0.775, 1.0)

Build = Callable[[int], Any]
Matrix = npt.NDArray[Any]


def score_of(expected: Matrix, predicted: Matrix) -> float:
    """Return the accuracy of labels, or the R2 of numbers (float64)."""
    if expected.dtype == np.float64:
        return r2(expected, np.asarray(predicted, dtype=np.float64))
    return accuracy(expected.tolist(), predicted.tolist())


def fit_and_score(build: Build, rows: Matrix, target: Matrix, checks: list[Any]) -> list[float]:
    """Fit on n rows and return the score on each of ``checks``, pairs of rows and their target.

    If all n have one class there is nothing to fit: a model of them answers that class.
    """
    if target.dtype != np.float64 and len(set(target.tolist())) == 1:
        return [score_of(truth, np.full(len(truth), target[0])) for _, truth in checks]
    pipeline = build(len(rows)).fit(rows, target)
    return [score_of(truth, pipeline.predict(some)) for some, truth in checks]


def fold_count(target: Matrix) -> int:
    """Return the number of folds: five, or as many as the smallest class has rows, but two.

    Folds of numbers have two rows at least, since R2 needs them.
    """
    if target.dtype == np.float64:
        return min(FOLDS, len(target) // 2)
    return max(2, min(FOLDS, int(np.unique(target, return_counts=True)[1].min())))


def cross_validate(
    build: Build, rows: Matrix, target: Matrix, seed: int, report: Callable[[int, int], None]
) -> dict[str, Any]:
    """Cross-validate on n rows, by class where there are classes.

    Args:
        build: returns an unfitted pipeline for so many rows.
        rows: shape (n, k).
        target: n labels, or n numbers (float64).
        seed: of the shuffling.
        report: called with the fold, from 1, and the number of folds, before each.

    Returns:
        ``folds``, ``scores`` (one a fold: accuracy or R2), their ``mean`` and ``std``, and
        ``rows`` (n).

    """
    folds = fold_count(target)
    kind = KFold if target.dtype == np.float64 else StratifiedKFold
    if kind is StratifiedKFold and np.unique(target, return_counts=True)[1].max() < folds:
        kind = KFold  # one row a class: there is nothing to share out
    splitter = kind(folds, shuffle=True, random_state=seed)
    scores = []
    with warnings.catch_warnings():
        # A class with one row is in one fold; that can't be helped and is no fault.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        parts = list(splitter.split(rows, target))
    for number, (learn, check) in enumerate(parts, start=1):
        report(number, folds)
        checks = [(rows[check], target[check])]
        scores += fit_and_score(build, rows[learn], target[learn], checks)
    mean, std = float(np.mean(scores)), float(np.std(scores))
    return {"folds": folds, "scores": scores, "mean": mean, "std": std, "rows": len(target)}


def learning_curve(
    build: Build, rows: Matrix, target: Matrix, held_out: tuple[Matrix, Matrix]
) -> list[dict[str, Any]]:
    """Fit on a tenth to all of n rows, in the order they are in, which has to be by chance.

    Returns:
        For each size ``rows``, and the scores on those rows (``train``) and on the held-out
        ones (``test``).

    """
    found = []
    for size in sorted({max(2, round(share * len(rows))) for share in CURVE_SIZES}):
        some, truth = rows[:size], target[:size]
        train, test = fit_and_score(build, some, truth, [(some, truth), held_out])
        found.append({"rows": size, "train": train, "test": test})
    return found

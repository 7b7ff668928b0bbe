"""Build scikit-learn pipelines: what ``pipeline.py`` says in words.

Only estimators that convert to ONNX and answer alike afterwards are offered.
Histogram-based gradient boosting does not convert.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from skl2onnx.sklapi import CastTransformer
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from beanft.ml.pipeline import SCALED
from beanft.ml.plan import Plan
from beanft.ml.rows import Inputs

TREES = 100
NEIGHBORS = 5
# From this many rows on, threads are worth starting and boosting looks at samples.
MANY_ROWS = 2_000
# A tree of a forest gets at most this many leaves; a file of a hundred stays below 50 MB.
MOST_LEAVES = 5_000
# The cells (rows x encoded columns) that an estimator learns from: a minute's work, or for
# nearest neighbors, which keep their rows and compare each with each, no work and 80 MB.
MOST_CELLS = {"random_forest": 600_000, "gradient_boosting": 1_000_000}
MOST_CELLS_ELSE = 50_000_000
MOST_NEIGHBOR_ROWS = 1_000


def most_rows(estimator: str, width: int, classes: int) -> int:
    """Return how many rows an estimator should learn from.

    Args:
        estimator: a key of ``ESTIMATORS``.
        width: the number of columns after text was encoded.
        classes: the number of classes, 0 for a regression. Boosting grows trees for each.

    """
    if estimator == "nearest_neighbors":
        return MOST_NEIGHBOR_ROWS
    cells = MOST_CELLS.get(estimator, MOST_CELLS_ELSE)
    if estimator == "gradient_boosting" and classes > 2:
        cells //= classes
    return max(1_000, cells // max(1, width))


def _make(plan: Plan, estimator: str, rows: int) -> Any:
    classify = plan.task == "classification"
    if estimator == "logistic_regression":
        return LogisticRegression(max_iter=2000)
    if estimator == "linear_regression":
        return Ridge()
    if estimator == "nearest_neighbors":
        count = min(NEIGHBORS, rows)
        return KNeighborsClassifier(count) if classify else KNeighborsRegressor(count)
    if estimator == "decision_tree":
        tree = DecisionTreeClassifier if classify else DecisionTreeRegressor
        return tree(max_depth=12, random_state=plan.seed)
    many = rows >= MANY_ROWS
    if estimator == "random_forest":
        options = {
            "min_samples_leaf": max(1, rows // MOST_LEAVES),
            "random_state": plan.seed,
            "n_jobs": -1 if many else None,
        }
        if classify:
            return RandomForestClassifier(TREES, **options)
        # A third of the columns at a split: Hastie, Tibshirani, Friedman, The Elements of
        # Statistical Learning, 2nd edition, 15.3.
        return RandomForestRegressor(TREES, max_features=1 / 3, **options)
    boosting = GradientBoostingClassifier if classify else GradientBoostingRegressor
    # Friedman, Stochastic gradient boosting (2002): half of the rows a tree.
    sampled = {"subsample": 0.5, "max_features": "sqrt"} if many else {}
    return boosting(n_estimators=TREES, random_state=plan.seed, **sampled)


def build_pipeline(plan: Plan, estimator: str, numbers: int, texts: int, rows: int) -> Pipeline:
    """Return an unfitted pipeline over ``numbers`` numeric columns and then ``texts`` text ones.

    Missing numbers become the median of the training rows; text becomes one column a value,
    of which a missing one is one, and a value not seen in training none of them. Trees get
    float32, as the converted model does, so that both go the same way at every split.

    Args:
        plan: the task and the seed.
        estimator: a key of ``ESTIMATORS[plan.task]``.
        numbers: how many numeric columns.
        texts: how many text columns.
        rows: how many rows it will be fitted on.

    """
    scaled = estimator in SCALED
    parts: list[tuple[str, Any, list[int]]] = []
    if numbers:
        impute = SimpleImputer(strategy="median", keep_empty_features=True)
        steps: list[tuple[str, Any]] = [("impute", impute)]
        if scaled:
            steps.append(("scale", StandardScaler()))
        else:
            steps.insert(0, ("cast", CastTransformer(dtype=np.float32)))
        parts.append(("number", Pipeline(steps), list(range(numbers))))
    if texts:
        encoder = OneHotEncoder(
            handle_unknown="ignore",
            sparse_output=False,
            dtype=np.float64 if scaled else np.float32,
        )
        parts.append(("text", encoder, list(range(numbers, numbers + texts))))
    made = _make(plan, estimator, rows)
    return Pipeline([("prepare", ColumnTransformer(parts)), ("estimator", made)])


def matrix(inputs: Inputs) -> npt.NDArray[Any]:
    """Put numbers and texts side by side, as scikit-learn takes them: shape (n, k + m)."""
    if not inputs.texts.shape[1]:
        return inputs.numbers
    if not inputs.numbers.shape[1]:
        return inputs.texts
    return np.hstack([inputs.numbers.astype(object), inputs.texts])

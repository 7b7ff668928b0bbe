"""From scikit-learn to ONNX, and the proof that both answer the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType

from beanft.ml.errors import ConversionError
from beanft.ml.predict import Predictions

OPSET = 17
PROBABILITY_TOLERANCE = 1e-4
SPREAD_TOLERANCE = 1e-3
DISTANCE_TOLERANCE = 1e-3
FLOAT32_STEP = 1e-6  # a few roundings, relative


def _options(pipeline: Any) -> dict[Any, Any]:
    estimator = pipeline.steps[-1][1]
    options: dict[str, Any] = {}
    if hasattr(estimator, "predict_proba"):
        options["zipmap"] = False  # probabilities as an array
    if "KNeighbors" in type(estimator).__name__:
        options["optim"] = "cdist"  # onnxruntime's own distances: eight times faster
    return {id(estimator): options} if options else {}


def to_onnx(pipeline: Any, numbers: int, texts: int) -> bytes:
    """Convert a fitted pipeline over ``numbers`` numeric and ``texts`` text columns.

    Returns:
        An ONNX file. Its inputs are ``number`` (float32, n by numbers) and ``text`` (string,
        n by texts), where there are any; its outputs are labels and probabilities, or numbers.

    """
    inputs: list[tuple[str, Any]] = []
    if numbers:
        inputs.append(("number", FloatTensorType([None, numbers])))
    if texts:
        inputs.append(("text", StringTensorType([None, texts])))
    converted = convert_sklearn(
        pipeline,
        name="beanft",  # without a name it is random, and equal models differ in their checksum
        initial_types=inputs,
        options=_options(pipeline),
        target_opset=OPSET,
    )
    content: bytes = converted.SerializeToString()
    return content


def _equally_near(pipeline: Any, rows: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell for which of n rows the last neighbor that counts is as near as the first that doesn't.

    Which of the two answers is chance then, in scikit-learn as after conversion.
    """
    estimator = getattr(pipeline, "steps", [(None, None)])[-1][1]
    count = getattr(estimator, "n_neighbors", None)
    if count is None or count >= estimator.n_samples_fit_:
        return np.zeros(len(rows), dtype=bool)
    distances, _ = estimator.kneighbors(pipeline[:-1].transform(rows), count + 1)
    near: npt.NDArray[np.bool_] = np.diff(distances[:, -2:], axis=1)[:, 0] <= DISTANCE_TOLERANCE * (
        1 + distances[:, -1]
    )
    return near


def check_parity(pipeline: Any, rows: npt.NDArray[Any], answer: Predictions) -> dict[str, Any]:
    """Compare scikit-learn's answers for n rows with the converted model's.

    Labels must be equal, but where scikit-learn's own two best classes are closer than the
    tolerance: a tie, which float32 may break either way. Numbers may differ by a thousandth of
    the standard deviation of scikit-learn's. Of nearest neighbors, rows with ties among the
    neighbors are left out.

    Returns:
        ``rows``, how many were compared, and ``worst``, the largest difference of a probability
        or a number.

    Raises:
        ConversionError: they differ, or no row can be compared.

    """
    clear = ~_equally_near(pipeline, rows)
    if not clear.any():
        raise ConversionError(
            "In every row some neighbors are equally near, so its answers are a matter of chance."
        )
    rows = rows[clear]
    if answer.values:
        expected = np.asarray(pipeline.predict(rows), dtype=np.float64)
        worst = _number_difference(expected, np.asarray(answer.values)[clear])
    else:
        labels = np.asarray(answer.labels, dtype=object)[clear]
        worst = _class_difference(pipeline, rows, labels, answer.probabilities[clear])
    return {"rows": len(rows), "worst": worst}


def _class_difference(
    pipeline: Any,
    rows: npt.NDArray[Any],
    labels: npt.NDArray[np.object_],
    probabilities: npt.NDArray[np.float32],
) -> float:
    expected = pipeline.predict_proba(rows)
    worst = float(np.abs(expected - probabilities).max())
    if not worst <= PROBABILITY_TOLERANCE:
        raise ConversionError(f"A probability differs by {worst:.2g} after conversion.")
    best = np.sort(expected, axis=1)
    tied = best[:, -1] - best[:, -2] <= PROBABILITY_TOLERANCE
    different = np.asarray(pipeline.predict(rows)) != labels
    if bool((different & ~tied).any()):
        raise ConversionError("A label differs after conversion.")
    return worst


def _number_difference(expected: npt.NDArray[np.float64], answer: npt.NDArray[np.float64]) -> float:
    worst = float(np.abs(expected - answer).max())
    spread = float(expected.std())
    # Equal answers have no spread; then it is float32's own precision that counts.
    allowed = max(SPREAD_TOLERANCE * spread, FLOAT32_STEP * float(np.abs(expected).max()))
    if not worst <= allowed:
        raise ConversionError(f"A number differs by {worst:.2g} after conversion.")
    return worst

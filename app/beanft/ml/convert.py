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


def to_onnx(pipeline: Any, numbers: int, texts: int) -> bytes:
    """Convert a fitted pipeline over ``numbers`` numeric and ``texts`` text columns.

    Returns:
        An ONNX file. Its inputs are ``number`` (float32, n by numbers) and ``text`` (string,
        n by texts), where there are any; its outputs are labels and probabilities.

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
        options={"zipmap": False},
        target_opset=OPSET,
    )
    content: bytes = converted.SerializeToString()
    return content


def check_parity(pipeline: Any, rows: npt.NDArray[Any], answer: Predictions) -> dict[str, Any]:
    """Compare scikit-learn's answers for n rows with the converted model's.

    Labels must be equal, but where scikit-learn's own two best classes are closer than the
    tolerance: a tie, which float32 may break either way.

    Returns:
        ``rows`` and ``worst``, the largest difference of a probability.

    Raises:
        ConversionError: they differ.

    """
    expected = pipeline.predict_proba(rows)
    worst = float(np.abs(expected - answer.probabilities).max())
    if not worst <= PROBABILITY_TOLERANCE:
        raise ConversionError(f"A probability differs by {worst:.2g} after conversion.")
    best = np.sort(expected, axis=1)
    tied = best[:, -1] - best[:, -2] <= PROBABILITY_TOLERANCE
    different = np.asarray(pipeline.predict(rows)) != np.asarray(answer.labels)
    if bool((different & ~tied).any()):
        raise ConversionError("A label differs after conversion.")
    return {"rows": len(answer.labels), "worst": worst}

"""Golden predictions: what a released model must go on answering, bit for bit of meaning.

They are stored beside the artefact with its checksum, so a service can tell a damaged file or
a runtime that computes something else from a healthy one before it takes requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from beanft.ml.predict import OnnxModel
from beanft.ml.rows import inputs_from_cells

# On a probability absolute, on a number relative to the golden ones' largest; float32 sums
# differ by 1e-6 between CPUs.
TOLERANCE = 1e-4


def versions() -> dict[str, str]:
    """Return the versions of the libraries that compute predictions."""
    return {"onnxruntime": ort.__version__, "numpy": np.__version__}


def make_golden(
    model: OnnxModel, sha256: str, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Predict n rows of cells and return what to store."""
    answer = model.predict(inputs_from_cells(model.schema, header, rows))
    return {
        "sha256": sha256,
        "versions": versions(),
        "tolerance": TOLERANCE,
        "header": list(header),
        "rows": [list(row) for row in rows],
        "labels": answer.labels,
        "probabilities": answer.probabilities.astype(float).round(6).tolist(),
        "values": answer.values,
    }


def golden_difference(model: OnnxModel, sha256: str, golden: dict[str, Any]) -> str | None:
    """Predict the golden rows again; return None, or a sentence that says what differs.

    Other versions of the libraries may compute the same. Where they don't, they are named.
    """
    problem = _difference(model, sha256, golden)
    recorded = golden.get("versions", {})
    if problem is None or recorded == versions():
        return problem
    other = [f"{name} {recorded.get(name)} and not {here}" for name, here in versions().items()]
    return f"{problem}; it was released with {', '.join(other)}"


def _difference(model: OnnxModel, sha256: str, golden: dict[str, Any]) -> str | None:
    if golden["sha256"] != sha256:
        return "the golden predictions belong to another artefact"
    inputs = inputs_from_cells(model.schema, golden["header"], golden["rows"])
    answer = model.predict(inputs)
    if answer.labels != golden["labels"]:
        return "a golden row gets another label"
    values = np.asarray(golden.get("values", []), dtype=np.float64)
    if len(values) != len(answer.values):
        return "the golden rows get another number of values"
    off = float(np.abs(np.asarray(answer.values) - values).max(initial=0.0))
    if not off <= golden["tolerance"] * max(1.0, float(np.abs(values).max(initial=0.0))):
        return f"a golden value differs by {off:.2g}"
    expected = np.asarray(golden["probabilities"], dtype=np.float64)
    if not expected.size:  # JSON doesn't know how wide an empty table is
        expected = expected.reshape(0, len(model.schema.classes))
    if expected.shape != answer.probabilities.shape:
        return "the golden rows get another number of probabilities"
    worst = float(np.abs(answer.probabilities - expected).max(initial=0.0))
    if not worst <= golden["tolerance"]:
        return f"a golden probability differs by {worst:.2g}"
    return None

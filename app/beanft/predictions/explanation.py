"""Why a model gave an answer, as bars: what each value did, the largest effect first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from beanft.ml.explain import explain
from beanft.predictions.service import Artefacts
from beanft.training.models import Model

MOST_PUSHES = 12


@dataclass(frozen=True, slots=True)
class Push:
    """One value's effect: a bar from the middle (50) of 0 to 100, and as text.

    ``kind`` is ``for`` the answer, which a number that is raised counts as, or ``against``.
    """

    feature: str
    value: str
    kind: str
    start: float
    width: float
    text: str


def pushes(artefacts: Artefacts, model: Model, values: Mapping[str, str]) -> list[Push]:
    """Return the twelve largest effects on the answer to one row.

    Args:
        artefacts: loaded models.
        model: the model.
        values: the row as it was typed, by column; it was predicted, so it is right.

    """
    loaded = artefacts.get(model)
    effects = explain(loaded, loaded.rows.cells(list(values), [list(values.values())]))
    most = max((abs(effect) for _name, effect in effects), default=0.0) or 1.0
    return [
        _push(model, name, values[name], effect, most) for name, effect in effects[:MOST_PUSHES]
    ]


def _push(model: Model, name: str, value: str, effect: float, most: float) -> Push:
    width = round(50 * abs(effect) / most, 2)
    text = f"{effect:+.4g}" if model.task == "regression" else f"{effect * 100:+.1f} %"
    if effect < 0:
        return Push(name, value or "missing", "against", 50 - width, width, text)
    return Push(name, value or "missing", "for", 50, width, text)

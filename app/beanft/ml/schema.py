"""What a model takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from beanft.ml.profile import Kind

Task = Literal["classification", "regression"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One input column.

    For a number, ``least``, ``most`` and ``median`` are those of the training rows, ``integer``
    says that all were whole, and ``edges`` are the bounds between its bins (b - 1 of them,
    rising). For text, ``values`` are the values seen in training, and there is a bin for each
    and then one for others. ``shares`` are the training rows' shares of the b bins and, last,
    of missing values; they add up to 1. It is empty for models that were trained before there
    were any.
    """

    name: str
    kind: Kind
    least: float | None = None
    most: float | None = None
    median: float | None = None
    values: tuple[str, ...] = ()
    integer: bool = False
    edges: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can hold, without what doesn't apply."""
        if self.kind == "text":
            return {
                "name": self.name,
                "kind": "text",
                "values": list(self.values),
                "shares": list(self.shares),
            }
        return {
            "name": self.name,
            "kind": "number",
            "least": self.least,
            "most": self.most,
            "median": self.median,
            "integer": self.integer,
            "edges": list(self.edges),
            "shares": list(self.shares),
        }


@dataclass(frozen=True, slots=True)
class Schema:
    """A model's input columns in order, its target and the target's classes in order.

    A regression has no classes.
    """

    features: tuple[Feature, ...]
    target: str
    classes: tuple[str, ...]
    task: Task = "classification"

    @property
    def numbers(self) -> tuple[Feature, ...]:
        """The numeric features, in the order the model takes them."""
        return tuple(feature for feature in self.features if feature.kind == "number")

    @property
    def texts(self) -> tuple[Feature, ...]:
        """The text features, in the order the model takes them."""
        return tuple(feature for feature in self.features if feature.kind == "text")

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can hold."""
        return {
            "features": [feature.to_dict() for feature in self.features],
            "target": self.target,
            "classes": list(self.classes),
            "task": self.task,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Schema:
        """Undo :meth:`to_dict`."""
        lists = ("values", "edges", "shares")
        features = tuple(
            Feature(**{**feature, **{name: tuple(feature.get(name, ())) for name in lists}})
            for feature in data["features"]
        )
        task = data.get("task", "classification")
        return cls(features, data["target"], tuple(data["classes"]), task)

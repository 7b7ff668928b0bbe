"""What a model takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from beanft.ml.profile import Kind


@dataclass(frozen=True, slots=True)
class Feature:
    """One input column.

    For a number, ``least``, ``most`` and ``median`` are those of the training rows; for text,
    ``values`` are the values seen in training.
    """

    name: str
    kind: Kind
    least: float | None = None
    most: float | None = None
    median: float | None = None
    values: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can hold, without what doesn't apply."""
        if self.kind == "text":
            return {"name": self.name, "kind": "text", "values": list(self.values)}
        return {
            "name": self.name,
            "kind": "number",
            "least": self.least,
            "most": self.most,
            "median": self.median,
        }


@dataclass(frozen=True, slots=True)
class Schema:
    """A model's input columns in order, its target and the target's classes in order."""

    features: tuple[Feature, ...]
    target: str
    classes: tuple[str, ...]

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
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Schema:
        """Undo :meth:`to_dict`."""
        features = tuple(
            Feature(**{**feature, "values": tuple(feature.get("values", ()))})
            for feature in data["features"]
        )
        return cls(features, data["target"], tuple(data["classes"]))

"""A model card: what the measures of a model mean and where its limits are, said from facts.

What a card holds follows Mitchell and others, *Model Cards for Model Reporting* (FAT* 2019);
every sentence here is about the model's own measures and schema, nothing is a matter of taste.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from beanft.charts import scatter
from beanft.ml.schema import Feature, Schema
from beanft.training.models import Model
from beanft.training.picture import picture_of_schema
from beanft.training.series import held_out_score

FEW_ROWS = 200
RARE_ROWS = 20
LEAST_GAIN = 0.05  # over the baseline, of accuracy or R2
MOST_GAP = 0.1  # between the score on learned rows and on others
WEAK_RECALL = 0.5
MUCH_MISSING = 0.2
MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure: its name, its value as text, and what it means."""

    name: str
    value: str
    meaning: str


def score_name(task: str) -> str:
    """Return what the score of a task is called."""
    return "R2" if task == "regression" else "Accuracy"


def score_text(value: float | None, task: str) -> str:
    """Return a score for people: accuracy in percent, R2 as a number."""
    if value is None:
        return "-"
    return f"{value:.3f}" if task == "regression" else f"{value * 100:.1f} %"


def spread_text(mean: float | None, std: float | None, task: str) -> str:
    """Return a mean with its standard deviation, for people."""
    if mean is None:
        return "-"
    if std is None:
        return score_text(mean, task)
    if task == "regression":
        return f"{mean:.3f} ± {std:.3f}"
    return f"{mean * 100:.1f} ± {std * 100:.1f} %"


def cv_text(model: Model) -> str:
    """Return a model's score in cross-validation, for people."""
    std = model.metrics.get("cv", {}).get("std")
    mean = model.metrics.get("cv", {}).get("mean", model.cv_score)
    return spread_text(mean, std, model.task)


def facts(model: Model) -> dict[str, Any]:
    """Return what a page about a model says whoever looks at it."""
    return {
        "model": model,
        "schema": model.schema,
        "measures": measures(model),
        "limits": limits(model),
        "picture": picture_of_schema(model.schema, model.estimator),
        "scatter": scatter(model.metrics.get("scatter") or ()),
    }


def measures(model: Model) -> list[Measure]:
    """Return a model's measures, the score first; what an older model lacks is left out."""
    found, task = model.metrics, model.task
    rows = found.get("rows")
    where = f"on {rows} rows that it did not learn from" if rows else "on held-out rows"
    regression = task == "regression"
    what = (
        "the share of the target's variance that it explains; 1 is best"
        if regression
        else "the share of rows that it gets right"
    )
    score = score_text(held_out_score(model), task)
    entries = [Measure(score_name(task), score, f"{what[0].upper()}{what[1:]}, {where}.")]
    if "baseline" in found:
        always = "the mean" if regression else "the most frequent class"
        value = score_text(found["baseline"], task)
        entries.append(Measure("Baseline", value, f"The same for always answering {always}."))
    if cv := found.get("cv"):
        value = spread_text(cv.get("mean"), cv.get("std"), task)
        meaning = f"Mean and standard deviation over {cv.get('folds', 5)} ways to hold rows out."
        entries.append(Measure("Cross-validation", value, meaning))
    if "mae" in found:
        meaning = "Mean absolute error: how far it is off, in the target's own unit."
        entries.append(Measure("MAE", f"{found['mae']:.6g}", meaning))
    if "rmse" in found:
        meaning = "Root of the mean squared error: as MAE, with large errors counting for more."
        entries.append(Measure("RMSE", f"{found['rmse']:.6g}", meaning))
    return entries


def limits(model: Model) -> list[str]:
    """Return what to keep in mind, a sentence or two each, the weightiest first."""
    schema = model.schema
    return [
        *_against_chance(model),
        *_steadiness(model),
        *_weak_classes(model),
        *_overfit(model),
        *_reach(schema),
        *_gaps(schema),
        "It was measured on rows of the same table. Rows from another place or time may differ.",
    ]


def _against_chance(model: Model) -> list[str]:
    score, baseline = held_out_score(model), model.metrics.get("baseline")
    if score is None or baseline is None or score - baseline >= LEAST_GAIN:
        return []
    always = "the mean" if model.task == "regression" else "the most frequent class"
    return [f"It is hardly better than always answering {always}. Don't rely on it."]


def _steadiness(model: Model) -> list[str]:
    found: list[str] = []
    learned = model.metrics.get("train_rows")
    if learned is not None and learned < FEW_ROWS:
        found.append(f"It learned from {learned} rows. That is few: more would make it steadier.")
    std = model.metrics.get("cv", {}).get("std")
    if std is not None and std > LEAST_GAIN:
        span = f"{std:.2f}" if model.task == "regression" else f"{std * 100:.0f} points"
        found.append(f"Its score depends on which rows are held out: it varies by {span}.")
    return found


def _weak_classes(model: Model) -> list[str]:
    weak: list[str] = []
    rare: list[str] = []
    for entry in model.metrics.get("classes", []):
        recall = entry.get("recall")
        if recall is not None and recall < WEAK_RECALL:
            weak.append(f"{entry['name']} ({recall * 100:.0f} %)")
    for entry in model.metrics.get("balance", []):
        if entry["rows"] < RARE_ROWS:
            rare.append(f"{entry['name']} ({entry['rows']})")
    found: list[str] = []
    if weak:
        found.append(f"It misses more than half of the rows of some classes: {_named(weak)}.")
    if rare:
        found.append(f"Some classes have few rows: {_named(rare)}. Their measures are rough.")
    return found


def _overfit(model: Model) -> list[str]:
    curve = model.metrics.get("learning_curve") or []
    if not curve:
        return []
    last = curve[-1]
    if last.get("train") is None or last.get("test") is None:
        return []
    if last["train"] - last["test"] <= MOST_GAP:
        return []
    learned, others = (score_text(last[key], model.task) for key in ("train", "test"))
    return [f"It does better on rows it learned from ({learned}) than on others ({others})."]


def _reach(schema: Schema) -> list[str]:
    found: list[str] = []
    ranges = [
        f"{feature.name} {feature.least:.6g} to {feature.most:.6g}"
        for feature in schema.numbers
        if feature.least is not None and feature.most is not None
    ]
    if ranges:
        found.append(f"Outside of what it has seen it guesses. It has seen {_named(ranges)}.")
    if schema.texts:
        names = _named([feature.name for feature in schema.texts])
        found.append(f"Values of {names} that it has not seen count as unknown.")
    return found


def _gaps(schema: Schema) -> list[str]:
    def share(feature: Feature) -> float:
        return feature.shares[-1] if feature.shares else 0.0

    gaps = [
        f"{f.name} ({share(f) * 100:.0f} %)" for f in schema.features if share(f) > MUCH_MISSING
    ]
    if not gaps:
        return []
    return [f"Many training rows had no value for {_named(gaps)}."]


def _named(entries: list[str]) -> str:
    """Return the first few entries, and how many more there are."""
    more = len(entries) - MOST_NAMED
    shown = ", ".join(entries[:MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown

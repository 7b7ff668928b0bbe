"""A model's figures, from what its training measured; what wasn't measured is left out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from beanft.ml.schema import Schema
from beanft.plots.figures import Figure, Table, number_or_dash, rounded
from beanft.plots.summaries import balance

Metrics = Mapping[str, Any]
MOST_IMPORTANT = 20
MOST_HEAT_CLASSES = 30


def score_name(metrics: Metrics) -> str:
    """Return what the model is judged by, for people."""
    name = (metrics.get("score") or {}).get("name", "r2" if "r2" in metrics else "accuracy")
    return {"r2": "R²"}.get(name, str(name))


def _balance(metrics: Metrics, schema: Schema) -> Figure | None:
    found = metrics.get("balance")
    if not found:
        return None
    return balance(schema.target, {entry["name"]: entry["rows"] for entry in found})


def _confusion(metrics: Metrics, schema: Schema) -> Figure | None:
    counts = metrics.get("confusion")
    if not counts or len(counts) > MOST_HEAT_CLASSES:
        return None
    names = list(schema.classes)
    shares = [[round(n / (sum(line) or 1), 4) for n in line] for line in counts]
    right = sum(line[index] for index, line in enumerate(counts))
    return Figure(
        key="confusion",
        shape="heat",
        title="Confusion",
        alt=f"Heat map: what each class is taken for. {right} of {sum(map(sum, counts))} rows right.",
        table=Table(
            ["is \\ says", *names],
            [[name, *map(str, line)] for name, line in zip(names, counts, strict=True)],
            frozenset(range(1, len(names) + 1)),
        ),
        x="what the model says",
        y="what it is",
        labels=names,
        series=[{"name": "rows", "rows": names, "values": shares, "texts": counts}],
        options={"least": 0, "most": 1, "confusion": True},
        notes=["On the diagonal it is right."],
    )


def _learning_curve(metrics: Metrics, _schema: Schema) -> Figure | None:
    found = metrics.get("learning_curve")
    if not found:
        return None
    score = score_name(metrics)
    rows = [[str(p["rows"]), *map(number_or_dash, (p["train"], p["test"]))] for p in found]
    names = {"train": "on rows it learned from", "test": "on other rows"}
    return Figure(
        key="learning_curve",
        shape="lines",
        title="Learning curve",
        alt=f"Lines: {score} as the model learns from more rows, on rows that it learned from "
        "and on others.",
        table=Table(["rows", *names.values()], rows, frozenset({0, 1, 2})),
        x="rows it learned from",
        y=score,
        series=[
            {"name": name, "points": [[p["rows"], rounded(p[key])] for p in found]}
            for key, name in names.items()
        ],
        notes=["Still rising on other rows: more data would help. Far apart: it learns by heart."],
    )


def _importance(metrics: Metrics, _schema: Schema) -> Figure | None:
    found = metrics.get("importance")
    if not found:
        return None
    ordered = sorted(found, key=lambda entry: -entry["mean"])
    shown = ordered[:MOST_IMPORTANT]
    rows = [[e["feature"], *map(number_or_dash, (e["mean"], e["std"]))] for e in ordered]
    score = score_name(metrics)
    notes = [f"How much {score} is lost when a column's values are shuffled."]
    if len(shown) < len(ordered):
        notes.append(f"The first {len(shown)} of {len(ordered)} columns.")
    return Figure(
        key="importance",
        shape="bars",
        title="Importance",
        alt=f"Bars with ±: loss of {score} without each column. First: {shown[0]['feature']}.",
        table=Table(["column", f"loss of {score}", "±"], rows, frozenset({1, 2})),
        y=f"loss of {score}",
        labels=[entry["feature"] for entry in shown],
        series=[
            {
                "name": f"loss of {score}",
                "values": [rounded(entry["mean"]) for entry in shown],
                "errors": [rounded(entry["std"]) for entry in shown],
            }
        ],
        options={"horizontal": True},
        notes=notes,
    )


def _calibration(metrics: Metrics, _schema: Schema) -> Figure | None:
    found = [bin_ for bin_ in metrics.get("calibration") or () if bin_.get("rows")]
    if not found:
        return None
    rows = [
        [*(f"{bin_[key] * 100:.1f} %" for key in ("predicted", "observed")), str(bin_["rows"])]
        for bin_ in found
    ]
    return Figure(
        key="calibration",
        shape="lines",
        title="Calibration",
        alt="Line: how often the model is right where it says that it is sure to some percentage. "
        "On the diagonal it is as right as it says.",
        table=Table(["it says", "it is", "rows"], rows, frozenset({0, 1, 2})),
        x="how sure it says it is",
        y="how often it is right",
        series=[
            {
                "name": "this model",
                "points": [[rounded(b["predicted"]), rounded(b["observed"])] for b in found],
                "sizes": [b["rows"] for b in found],
            }
        ],
        options={"diagonal": "as right as it says", "percent": True, "least": 0, "most": 1},
        notes=["On the diagonal it is right as often as it says."],
    )


def _folds(metrics: Metrics, _schema: Schema) -> Figure | None:
    cv = metrics.get("cv") or {}
    scores = cv.get("scores")
    if not scores:
        return None
    names = [f"part {number}" for number in range(1, len(scores) + 1)]
    said = f"mean {number_or_dash(cv.get('mean'))} ± {number_or_dash(cv.get('std'))}"
    score = score_name(metrics)
    return Figure(
        key="cross_validation",
        shape="bars",
        title="Cross-validation",
        alt=f"Bars: {score} on each part that was held out in turn; {said}.",
        table=Table(
            ["held out", score],
            [[name, number_or_dash(value)] for name, value in zip(names, scores, strict=True)],
            frozenset({1}),
        ),
        y=score,
        labels=names,
        series=[{"name": score, "values": [rounded(value) for value in scores]}],
        notes=[f"Each part held out in turn: {said}."],
    )


def _truth(metrics: Metrics, schema: Schema) -> Figure | None:
    found = metrics.get("scatter")
    if not found:
        return None
    rows = [[number_or_dash(truth), number_or_dash(guess)] for truth, guess in found]
    return Figure(
        key="truth",
        shape="points",
        title="Truth and prediction",
        alt=f"Points: predicted over true {schema.target} of {len(found)} rows held out. "
        "On the diagonal the prediction is right.",
        table=Table(["truth", "prediction"], rows, frozenset({0, 1})),
        x=f"true {schema.target}",
        y="predicted",
        series=[{"name": "rows held out", "points": [[rounded(a), rounded(b)] for a, b in found]}],
        options={"diagonal": "right"},
    )


def _residuals(metrics: Metrics, _schema: Schema) -> Figure | None:
    found = metrics.get("residuals") or {}
    edges, counts = found.get("edges"), found.get("counts")
    if not edges or not counts:
        return None
    titles = [
        f"{number_or_dash(low)} to {number_or_dash(high)}"
        for low, high in itertools.pairwise(edges)
    ]
    return Figure(
        key="residuals",
        shape="bars",
        title="Residuals",
        alt="Bars: how far the predictions are from the truth, in how many rows.",
        table=Table(
            ["truth less prediction", "rows"],
            [[title, str(count)] for title, count in zip(titles, counts, strict=True)],
            frozenset({1}),
        ),
        x="truth less prediction",
        y="rows",
        labels=[number_or_dash(low) for low in edges[:-1]],
        titles=titles,
        series=[{"name": "rows", "values": list(counts)}],
        options={"edges": [rounded(edge) for edge in edges]},
    )


MAKERS: tuple[Callable[[Metrics, Schema], Figure | None], ...] = (
    *(_confusion, _truth, _residuals, _balance, _importance),
    *(_learning_curve, _folds, _calibration),
)


def model_figures(metrics: Metrics, schema: Schema) -> list[Figure]:
    """Return a model's figures; those whose figures its training didn't measure are left out."""
    return [figure for make in MAKERS if (figure := make(metrics, schema)) is not None]

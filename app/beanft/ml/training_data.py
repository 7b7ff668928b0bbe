"""Read what a training needs of a file, and no more of it than fits into memory and minutes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from beanft.ml.csv_text import CsvLimits, CsvTable, Dialect
from beanft.ml.errors import DataError
from beanft.ml.plan import TEST_FRACTION, Plan
from beanft.ml.profile import TableProfile
from beanft.ml.rows import Inputs, inputs_from_cells
from beanft.ml.schema import Feature, Schema

MOST_ROWS = 100_000
# Rows x columns after text was encoded; 400 MB in double precision.
MOST_CELLS = 50_000_000
CLASS_ROWS_KEPT = 10  # a rare class keeps this many rows of a sample, if it has them
CHUNK_ROWS = 5_000

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """A table to learn from, of n rows.

    ``schema`` names the columns, without statistics. ``target`` is n labels (an object array of
    str, since one long label must not widen all) or n numbers (float64). ``file_rows`` is how
    many rows the file has.
    """

    schema: Schema
    inputs: Inputs
    target: npt.NDArray[Any]
    file_rows: int

    @property
    def sampled(self) -> bool:
        """True if not all rows of the file are in it."""
        return len(self.target) < self.file_rows


def encoded_width(plan: Plan, profile: TableProfile) -> int:
    """Return how many columns the features become when each value of a text becomes one."""
    width = 0
    for name in plan.features:
        column = profile.column(name)
        text = column is not None and column.kind == "text"
        width += len(column.counts or ()) + bool(column.missing) if column and text else 1
    return width


def pick_rows(groups: dict[str, int], most: int, seed: int) -> dict[str, Rows]:
    """Choose ``most`` of the rows by chance, and of each group its share.

    Args:
        groups: the number of rows of each group.
        most: how many rows to choose. A small group gets ten, so it may become some more.
        seed: of the choice.

    Returns:
        For each group the chosen ones, rising, counted from 0 within the group.

    """
    generator = np.random.default_rng(seed)
    whole = sum(groups.values())
    chosen: dict[str, Rows] = {}
    for name, count in groups.items():
        share = count if whole <= most else round(count * most / whole)
        wanted = min(count, max(share, CLASS_ROWS_KEPT))
        if wanted == count:
            chosen[name] = np.arange(count)
        else:
            chosen[name] = np.sort(generator.choice(count, wanted, replace=False))
    return chosen


def pick_from(rows: Rows, labels: npt.NDArray[Any] | None, most: int, seed: int) -> Rows:
    """Choose ``most`` of ``rows`` by chance, and of each label its share; all if they are few.

    Args:
        rows: positions.
        labels: of each of ``rows``, or None for a regression.
        most: how many.
        seed: of the choice.

    """
    if len(rows) <= most:
        return rows
    if labels is None:
        return rows[pick_rows({"": len(rows)}, most, seed)[""]]
    members = {str(name): rows[labels == name] for name in np.unique(labels)}
    chosen = pick_rows({name: len(found) for name, found in members.items()}, most, seed)
    return np.sort(np.concatenate([members[name][chosen[name]] for name in members]))


def _schema(plan: Plan, profile: TableProfile, header: list[str]) -> Schema:
    features = []
    for name in header:
        if name in plan.features:
            column = profile.column(name)
            if column is None:
                raise DataError(f"The file has no column {name!r} any more.")
            features.append(Feature(name, column.kind))
    if len(features) < len(plan.features) or plan.target not in header:
        raise DataError("The file has other columns than it had when it was uploaded.")
    return Schema(tuple(features), plan.target, (), plan.task)


def _chosen_cells(
    table: CsvTable, positions: list[int], target_at: int, chosen: dict[str, Rows] | None
) -> Iterator[tuple[int, list[str], str]]:
    """Yield the row, the cells and the target's cell of each chosen row; None chooses all."""
    wanted = {name: iter(rows.tolist()) for name, rows in (chosen or {}).items()}
    following = {name: next(rows, -1) for name, rows in wanted.items()}
    seen = dict.fromkeys(wanted, 0)
    for row, cells in enumerate(table, start=1):
        label = cells[target_at]
        if chosen is not None:
            group = label if label in seen else ""
            if group not in seen:
                raise DataError("The file has other values than it had when it was uploaded.")
            seen[group] += 1
            if following[group] != seen[group] - 1:
                continue
            following[group] = next(wanted[group], -1)
        yield row, [cells[position] for position in positions], label


def read_training_data(
    stream: BinaryIO, profile: TableProfile, plan: Plan, limits: CsvLimits
) -> TrainingData:
    """Read a file that was checked against the plan.

    Of a large one, a sample: 100 000 rows, or as many as make 50 million encoded cells. Chosen
    by chance from the plan's seed, of each class its share.

    Raises:
        DataError: a row is ragged or a cell is no number.

    """
    most = min(MOST_ROWS, max(1_000, MOST_CELLS // max(1, encoded_width(plan, profile))))
    chosen = None
    if profile.rows > most:
        column = profile.column(plan.target)
        counts = column.counts if column else None
        groups = counts if counts and plan.task == "classification" else {"": profile.rows}
        chosen = pick_rows(groups, most, plan.seed)
    table = CsvTable(stream, Dialect(**profile.dialect.to_dict()), limits)
    try:
        schema = _schema(plan, profile, table.header)
        header = [feature.name for feature in schema.features]
        positions = [table.header.index(name) for name in header]
        target_at = table.header.index(plan.target)
        numbers, texts, labels = [], [], []
        cells: list[list[str]] = []
        known: dict[str, str] = {}  # equal texts are one object: a column has few values
        first = 1

        def take() -> None:
            inputs = inputs_from_cells(schema, header, cells, row_start=first)
            for text in range(inputs.texts.shape[1]):
                column = inputs.texts[:, text]
                column[:] = [known.setdefault(value, value) for value in column]
            numbers.append(inputs.numbers)
            texts.append(inputs.texts)

        for row, found, label in _chosen_cells(table, positions, target_at, chosen):
            if not cells:
                first = row
            cells.append(found)
            labels.append(known.setdefault(label, label))
            if len(cells) >= CHUNK_ROWS:
                take()
                cells = []
        if cells:
            take()
    finally:
        table.close()
    inputs = Inputs(np.concatenate(numbers), np.concatenate(texts))
    if plan.task == "regression":
        return TrainingData(schema, inputs, np.array(labels, dtype=np.float64), profile.rows)
    classes = tuple(sorted(set(labels)))
    schema = Schema(schema.features, schema.target, classes, schema.task)
    return TrainingData(schema, inputs, np.array(labels, dtype=object), profile.rows)


def held_out_rows(data: TrainingData) -> int:
    """Return how many rows to hold out: a fifth, and one a class at least."""
    return max(math.ceil(TEST_FRACTION * len(data.target)), len(data.schema.classes))

"""Small pictures of columns."""

from __future__ import annotations

import dataclasses
import json

import pytest

from beanft.ml.profile import ColumnProfile
from beanft.uploader.sparks import histogram, share_below, spark


def test_a_histogram_from_deciles() -> None:
    even = [float(step) for step in range(11)]
    assert histogram(even, 5) == pytest.approx([0.2] * 5)
    assert share_below(even, -1) == 0
    assert share_below(even, 0) == 0
    assert share_below(even, 2.5) == pytest.approx(0.25)
    assert share_below(even, 11) == 1
    # Nine of ten numbers are 0: they lie in the first bin.
    heap = [0.0] * 10 + [100.0]
    assert histogram(heap, 4) == pytest.approx([0.925, 0.025, 0.025, 0.025])
    assert sum(histogram(heap)) == pytest.approx(1)


def test_a_column_is_drawn() -> None:
    text = spark(ColumnProfile("t", "text", 0, {"a": 30, "b": 10}))
    assert text
    assert [(bar.x, bar.height) for bar in text.bars] == [(0, 24), (14, 8)]
    assert text.label == "2 values, most often a: 30 rows"
    number = spark(ColumnProfile("n", "number", 0, {"10": 1, "9": 3}))
    assert number
    assert [bar.height for bar in number.bars] == [24, 8]
    for scale in (1.0, 1e307):
        middles = [step + 0.5 for step in range(16)]  # of the bins, and so in none two
        counted = {str((value - 8) * scale): 1 for value in (0, *middles, 16)}
        binned = spark(ColumnProfile("n", "number", 0, counted))
        assert binned
        assert [bar.height for bar in binned.bars] == [24, *[12] * 14, 24]
    deciles = [float(step) for step in range(11)]
    many = spark(ColumnProfile("m", "number", 0, None, 0, 10, quantiles=deciles))
    assert many
    assert len(many.bars) == 16
    assert "below 5" in many.label
    for column in (
        ColumnProfile("free text", "text", 0, None),
        ColumnProfile("nothing", "text", 9, {}),
        ColumnProfile("names", "text", 0, {"Ada": 1, "Bob": 1}),
        ColumnProfile("old", "number", 0, None, 0, 1),
        ColumnProfile("same", "number", 0, None, 1, 1, quantiles=[1.0] * 11),
    ):
        assert spark(column) is None
    json.dumps(dataclasses.asdict(many))

"""What models are asked is counted beside the requests: all of it or a sample, and never in their way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from beanft.core.database import Database
from beanft.core.metrics import Metrics
from beanft.ml.drift import bin_counts
from beanft.ml.rows import Inputs, inputs_from_objects
from beanft.ml.schema import Feature, Schema
from beanft.predictions import recorder as module
from beanft.predictions.models import InputCount
from beanft.predictions.recorder import Recorder
from beanft.training.models import Model

SCHEMA = Schema(
    (
        Feature("colour", "text", values=("blue", "red"), shares=(0.5, 0.5, 0, 0)),
        Feature("size", "number", edges=(1.0, 2.0), shares=(0.2, 0.3, 0.5, 0.0)),
        Feature("old", "number"),
    ),
    "y",
    ("a", "b"),
)


def inputs(*rows: tuple[str | None, float | None]) -> Inputs:
    objects = [{"colour": colour, "size": size, "old": 1} for colour, size in rows]
    return inputs_from_objects(SCHEMA, objects)


@pytest.fixture
def model(iris: Any, make_model: Any) -> Model:
    found: Model = make_model(iris, None)
    return found


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test")


@pytest.fixture
def recorder(database: Database, metrics: Metrics) -> Iterator[Recorder]:
    found = Recorder(database, metrics, every=3600)
    yield found
    found.close()


def counted(database: Database, model_id: str) -> dict[int, dict[str, int]]:
    with database.reading() as session:
        rows = session.scalars(sa.select(InputCount).where(InputCount.model_id == model_id))
        return {row.feature: row.counts for row in rows}


def skipped(metrics: Metrics) -> float:
    (line,) = [
        line
        for line in metrics.text().decode().splitlines()
        if line.startswith("beanft_skipped_rows_total")
    ]
    return float(line.split()[-1])


def test_bins_have_their_lower_bound_others_and_missing_values() -> None:
    rows = [("red", 1.0), ("blue", 1.5), ("green", 2.0), (None, 9), ("red", None), (" NA", -3)]
    counts = bin_counts(SCHEMA, inputs(*rows))
    assert [column.tolist() for column in counts] == [[1, 2, 1, 2], [1, 2, 2, 1], [6, 0]]


def test_counts_add_up(recorder: Recorder, database: Database, model: Model) -> None:
    recorder.note(model.id, SCHEMA, inputs(("red", 5)))
    recorder.note(model.id, SCHEMA, inputs(("red", 5), ("blue", None)))
    recorder.flush()
    assert counted(database, model.id) == {0: {"0": 1, "1": 2}, 1: {"2": 2, "3": 1}}
    recorder.note(model.id, SCHEMA, inputs(("red", 1)))
    recorder.flush()
    recorder.flush()
    assert counted(database, model.id) == {0: {"0": 1, "1": 3}, 1: {"1": 1, "2": 2, "3": 1}}


def test_its_thread_counts_and_the_end_counts_the_rest(
    database: Database, metrics: Metrics, model: Model
) -> None:
    # An application of another test may have one, too.
    before = set(threading.enumerate())
    recorder = Recorder(database, metrics, every=0.05)
    recorder.note(model.id, SCHEMA, inputs(("red", 5)))
    end = time.monotonic() + 20
    while not counted(database, model.id) and time.monotonic() < end:
        time.sleep(0.02)
    assert counted(database, model.id)[0] == {"1": 1}
    (thread,) = [it for it in set(threading.enumerate()) - before if it.name == "recorder"]
    recorder.note(model.id, SCHEMA, inputs(("red", 5)))
    recorder.close()
    recorder.note(model.id, SCHEMA, inputs(("red", 5)))  # too late, and no error
    assert counted(database, model.id)[0] == {"1": 2}
    assert not thread.is_alive()


def test_many_rows_are_sampled_evenly(
    recorder: Recorder, database: Database, metrics: Metrics, model: Model
) -> None:
    rows = [("red", 0.0)] * 500 + [("red", 9.0)] * 500
    recorder.note(model.id, SCHEMA, inputs(*rows))
    recorder.flush()
    half = module.MOST_ROWS // 2
    assert counted(database, model.id)[1] == {"0": half, "2": half}
    assert skipped(metrics) == 1000 - module.MOST_ROWS


def test_a_full_recorder_skips(
    recorder: Recorder, database: Database, metrics: Metrics, model: Model
) -> None:
    for _ in range(module.MOST_REQUESTS + 3):
        recorder.note(model.id, SCHEMA, inputs(("red", 1)))
    recorder.flush()
    assert counted(database, model.id)[0] == {"1": module.MOST_REQUESTS}
    assert skipped(metrics) == 3


def test_a_deleted_model_takes_nobody_elses_counts_along(
    recorder: Recorder, database: Database, model: Model
) -> None:
    recorder.note("gone", SCHEMA, inputs(("red", 1)))
    recorder.note(model.id, SCHEMA, inputs(("red", 1)))
    recorder.flush()
    assert counted(database, model.id)[0] == {"1": 1}
    assert counted(database, "gone") == {}


def test_what_goes_wrong_is_logged_and_does_not_end_it(
    recorder: Recorder, database: Database, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Inputs(np.empty((1, 0), np.float32), np.empty((1, 0), object))
    recorder.note(model.id, SCHEMA, broken)
    recorder.flush()
    assert "inputs_not_counted" in capsys.readouterr().out
    recorder.note(model.id, SCHEMA, inputs(("red", 1)))
    recorder.flush()
    assert counted(database, model.id)[0] == {"1": 1}

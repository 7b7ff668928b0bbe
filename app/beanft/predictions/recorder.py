"""Count what models are asked, for drift, beside the requests and not within them.

A request only leaves its rows; a thread bins them every few seconds and adds to the day's counts
in one short transaction. When more comes in than is kept until then, the rest is not looked at:
these are shares, and a sample has the same ones.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from beanft.core.database import Database, utcnow
from beanft.core.logs import logger
from beanft.ml.drift import bin_counts
from beanft.ml.rows import Inputs
from beanft.ml.schema import Schema
from beanft.predictions.models import InputCount
from beanft.training.models import Model

if TYPE_CHECKING:
    from beanft.core.metrics import Metrics

EVERY_SECONDS = 10.0
MOST_REQUESTS = 4_096
MOST_ROWS = 50  # of one request, so that together they stay small
# By model: a feature's place in the schema, and rows by bin.
Counts = dict[str, dict[int, dict[str, int]]]


class Recorder:
    """Keeps inputs until its thread has counted them; the first input starts the thread.

    Args:
        database: where counts go.
        metrics: where rows are counted that were not looked at.
        every: seconds between two countings.

    """

    def __init__(self, database: Database, metrics: Metrics, every: float = EVERY_SECONDS) -> None:
        self._database = database
        self._metrics = metrics
        self._every = every
        self._waiting: deque[tuple[str, Schema, Inputs]] = deque()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def note(self, model_id: str, schema: Schema, inputs: Inputs) -> None:
        """Keep a request's rows, or as many of them as there is room for; never waits or fails."""
        rows = len(inputs)
        if len(self._waiting) >= MOST_REQUESTS:
            self._metrics.skipped(rows)
            return
        if rows > MOST_ROWS:
            # Copied, or the whole request would stay.
            places = np.linspace(0, rows - 1, MOST_ROWS).astype(int)
            inputs = Inputs(inputs.numbers[places], inputs.texts[places])
            self._metrics.skipped(rows - MOST_ROWS)
        self._waiting.append((model_id, schema, inputs))
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._ending.is_set():
                # A daemon, and ended by hand: the interpreter waits for others before it asks
                # anybody to end.
                self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
                self._thread.start()
                # Not atexit: a server's worker that was forked by multiprocessing ends without it.
                self._at_exit = Finalize(None, self.close, exitpriority=10)

    def _run(self) -> None:
        while not self._ending.wait(self._every):
            self.flush()

    def flush(self) -> None:
        """Count what is waiting; what goes wrong is logged, and those rows are not counted."""
        try:
            if counts := self._count():
                self._store(counts)
        except Exception as error:
            # Drift is no reason to trouble anybody, and the thread has to go on.
            logger().warning("inputs_not_counted", reason=f"{type(error).__name__}: {error}")

    def _count(self) -> Counts:
        schemas: dict[str, Schema] = {}
        found: defaultdict[str, list[Inputs]] = defaultdict(list)
        # As many as there are now: more may come in for as long as this goes on.
        for _ in range(len(self._waiting)):
            model_id, schema, inputs = self._waiting.popleft()
            schemas[model_id] = schema
            found[model_id].append(inputs)
        return {model_id: _bins(schemas[model_id], parts) for model_id, parts in found.items()}

    def _store(self, counts: Counts) -> None:
        day = utcnow().date().isoformat()
        with self._database.writing() as session:
            there = set(session.scalars(sa.select(Model.id).where(Model.id.in_(counts))))
            rows = session.scalars(
                sa.select(InputCount).where(InputCount.model_id.in_(there), InputCount.day == day)
            )
            known = {(row.model_id, row.feature): row for row in rows}
            for model_id in there:
                for feature, more in counts[model_id].items():
                    row = known.get((model_id, feature))
                    if row is not None:
                        row.counts = _sum(row.counts, more)
                    else:
                        session.add(
                            InputCount(model_id=model_id, day=day, feature=feature, counts=more)
                        )

    def close(self) -> None:
        """Count what is left, and end the thread."""
        self._ending.set()
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._at_exit.cancel()
            thread.join()
        self.flush()


def _bins(schema: Schema, parts: list[Inputs]) -> dict[int, dict[str, int]]:
    """Count inputs by bin; features without bins, of older models, are left out."""
    together = Inputs(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.texts for part in parts]),
    )
    return {
        place: {str(bin_): int(count) for bin_, count in enumerate(counts) if count}
        for place, counts in enumerate(bin_counts(schema, together))
        if schema.features[place].shares
    }


def _sum(known: dict[str, int], more: dict[str, int]) -> dict[str, int]:
    return {place: known.get(place, 0) + more.get(place, 0) for place in {**known, **more}}

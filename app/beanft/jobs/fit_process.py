"""The fit, in a process of its own: it can be killed, and its memory goes back.

Processes come from a fork server that has scikit-learn loaded, so one starts in
milliseconds and inherits neither threads nor database connections.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import traceback
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from beanft.ml.csv_text import CsvLimits
from beanft.ml.errors import ConversionError, DataError
from beanft.ml.plan import Plan
from beanft.ml.profile import TableProfile

NO_TRACE = "The fit ended without an answer; it may have run out of memory."


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(70)


def _fit(connection: Connection, order: str, source: str, target: str) -> None:
    """Run in the child: train from ``source`` to ``target``, send JSON messages."""
    threading.Thread(target=_die_with_parent, daemon=True).start()

    def send(kind: str, **values: Any) -> None:
        connection.send_bytes(json.dumps({"kind": kind, **values}).encode())

    try:
        from beanft.ml.train import train

        asked = json.loads(order)
        with Path(source).open("rb") as stream:
            trained = train(
                stream,
                TableProfile.from_dict(asked["profile"]),
                Plan.from_dict(asked["plan"]),
                CsvLimits(**asked["limits"]),
                lambda percent, message: send("progress", percent=percent, message=message),
            )
        Path(target).write_bytes(trained.content)
        send("done", schema=trained.schema.to_dict(), metrics=trained.metrics)
    except DataError as error:
        send("refused", message=str(error))
    except ConversionError as error:
        send("refused", message=f"{error} Try another estimator.")
    except MemoryError:
        send("refused", message="There was not enough memory to train on this data set.")
    except Exception:
        send("broken", message=traceback.format_exc())


def _context() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["beanft.ml.train"])
    return context


_warming = threading.Lock()
_warm = threading.Event()


def warm_up() -> None:
    """Start the fork server, unless that was done; returns when it has scikit-learn loaded."""
    with _warming:
        if not _warm.is_set():
            process = _context().Process(target=_nothing)
            process.start()
            process.join()
            _warm.set()


def _nothing() -> None:
    """Do nothing, in a child."""


@dataclass(slots=True)
class FitProcess:
    """A running fit. Poll it; ``outcome`` is None until it ends."""

    source: Path
    target: Path
    percent: int = 0
    message: str = "Starting"
    outcome: dict[str, Any] | None = None
    _process: Any = field(default=None, repr=False)
    _connection: Any = field(default=None, repr=False)

    def start(self, profile: TableProfile, plan: Plan, limits: CsvLimits) -> None:
        """Start the child."""
        order = json.dumps(
            {
                "profile": profile.to_dict(),
                "plan": plan.to_dict(),
                "limits": {
                    "rows": limits.rows,
                    "columns": limits.columns,
                    "cell_chars": limits.cell_chars,
                },
            }
        )
        self._connection, theirs = multiprocessing.Pipe(duplex=False)
        self._process = _context().Process(
            target=_fit, args=(theirs, order, str(self.source), str(self.target))
        )
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return int(self._process.pid)

    def poll(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for a message; True when the fit has ended."""
        try:
            if self._connection.poll(seconds):
                self._take(json.loads(self._connection.recv_bytes()))
        except EOFError:
            self.outcome = {"kind": "refused", "message": NO_TRACE}
        return self.outcome is not None

    def _take(self, message: dict[str, Any]) -> None:
        if message["kind"] == "progress":
            self.percent, self.message = message["percent"], message["message"]
        else:
            self.outcome = message

    def end(self) -> None:
        """Kill the child if it runs, and clean up."""
        if self._process.is_alive() and self.outcome is None:
            self._process.kill()
        self._process.join(10)
        self._connection.close()

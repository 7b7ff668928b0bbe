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
from beanft.ml.errors import DataError, NoModelError
from beanft.ml.plan import Plan
from beanft.ml.profile import TableProfile
from beanft.ml.results import Results, of_estimator, waiting

NO_TRACE = "The fit ended without an answer; it may have run out of memory."


def model_path(directory: Path | str, estimator: str) -> Path:
    """Return where a fit puts an estimator's model."""
    return Path(directory) / f"{estimator}.onnx"


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(70)


def _fit(connection: Connection, order: str, source: str, directory: str) -> None:
    """Run in the child: train from ``source`` into ``directory``, send JSON messages."""
    threading.Thread(target=_die_with_parent, daemon=True).start()

    def send(kind: str, **values: Any) -> None:
        connection.send_bytes(json.dumps({"kind": kind, **values}).encode())

    try:
        from beanft.ml.train import Trained, train

        def keep(trained: Trained) -> None:
            model_path(directory, trained.estimator).write_bytes(trained.content)
            send(
                "model",
                estimator=trained.estimator,
                schema=trained.schema.to_dict(),
                metrics=trained.metrics,
            )

        def report(percent: int, message: str, results: Results) -> None:
            send("progress", percent=percent, message=message, results=results)

        asked = json.loads(order)
        with Path(source).open("rb") as stream:
            trained = train(
                stream,
                TableProfile.from_dict(asked["profile"]),
                Plan.from_dict(asked["plan"]),
                CsvLimits(**asked["limits"]),
                report,
                keep,
            )
        send("done", traces=trained.traces)
    except NoModelError as error:
        send("refused", message=str(error), traces=error.traces)
    except DataError as error:
        send("refused", message=str(error))
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
    """A running fit. Poll it; ``outcome`` is None until it ends.

    ``models`` are those that are finished and in the directory, each with ``estimator``,
    ``schema`` and ``metrics``; they stay when the child dies later.
    """

    source: Path
    directory: Path
    percent: int = 0
    message: str = "Starting"
    results: Results = field(default_factory=lambda: waiting(()))
    models: list[dict[str, Any]] = field(default_factory=list)
    outcome: dict[str, Any] | None = None
    _process: Any = field(default=None, repr=False)
    _connection: Any = field(default=None, repr=False)

    def start(self, profile: TableProfile, plan: Plan, limits: CsvLimits) -> None:
        """Start the child."""
        self.results = waiting(plan.estimators)
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
            target=_fit, args=(theirs, order, str(self.source), str(self.directory))
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
        except (EOFError, OSError):  # the latter when it died in the middle of a message
            self.outcome = {"kind": "died", "message": NO_TRACE}
        return self.outcome is not None

    def _take(self, message: dict[str, Any]) -> None:
        if message["kind"] == "progress":
            self.percent, self.message = message["percent"], message["message"]
            self.results = message["results"]
        elif message["kind"] == "model":
            self.models.append(message)
            metrics = message["metrics"]
            done = {"state": "done", "score": metrics["score"]["value"]}
            of_estimator(self.results, message["estimator"]).update(done)
        else:
            self.outcome = message

    def end(self) -> None:
        """Kill the child if it runs, and clean up."""
        if self._process.is_alive() and self.outcome is None:
            self._process.kill()
        self._process.join(10)
        self._connection.close()

    def stop(self, kind: str, message: str) -> None:
        """End it before its time: kill the child and say why in ``outcome``."""
        self.end()
        self.outcome = {"kind": kind, "message": message}

#!/usr/bin/env python3
"""Predictions as the API serves them, beside MLflow, BentoML, LitServe and FastAPI.

Run by `make bench-predict`: the same models, rows, machine and run; each server on the
loopback and pressed by wrk, ours and another one in turn. Writes build/reports/bench-predict.json and prints its table.
BENCH_SECONDS (4) and BENCH_SAMPLES (3) say how long and how often each is pressed.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from predict_servers import (
    HERE,
    PEERS,
    ROOT,
    SAMPLES,
    WORK,
    Load,
    Running,
    Server,
    ask,
    middle,
    running,
)
from predict_site import ROW, Installation, install, job_state, rows_csv, rows_json, start_fit

SHORT = {"logistic_regression": "LR", "random_forest": "RF"}
ONE = rows_json(1)
TIMES_OF_MLFLOW = {"logistic_regression": 30, "random_forest": 80}
TIMES_OF_OTHERS = 8
STARTS = 5

Row = dict[str, object]


def row(
    name: str, value: float, unit: str, *, least: float | None = None, most: float | None = None
) -> Row:
    """Return a row of the report, with a lower or an upper bound."""
    holds = None
    if least is not None:
        holds = value >= least
    if most is not None:
        holds = value <= most
    bound = most if least is None else least
    return {
        "name": name,
        "value": round(value, 2) if value < 10 else round(value, 1),
        "unit": unit,
        "bound": bound,
        "holds": holds,
    }


def ceiling(estimator: str) -> Server:
    """Return the bare callable, on the same server as the API."""
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1"]
    command += ["--port", "{port}", "--workers", "1", "--blocking-threads", "1", "--no-ws"]
    command += ["--http", "1", "--log-level", "warning", "ceiling:app"]
    environment = {"BENCH_MODEL": str(WORK / f"{estimator}.onnx")}
    return Server("ceiling", command, environment, "/", {"rows": [ROW]})


def peers(estimator: str) -> dict[str, tuple[Server, str]]:
    """Return the peers, each with the name that its rows have in a request."""
    model = {"BENCH_MODEL": str(WORK / f"{estimator}.joblib"), "PYTHONWARNINGS": "ignore"}
    path = {**model, "PATH": f"{PEERS}:{os.environ['PATH']}"}
    mlflow = [str(PEERS / "mlflow"), "models", "serve", "--model-uri"]
    mlflow += [str(WORK / f"mlflow-{estimator}"), "--host", "127.0.0.1", "--port", "{port}"]
    mlflow += ["--env-manager", "local", "--workers", "1"]
    bento = [str(PEERS / "bentoml"), "serve", "bentoml_service:Iris", "--host", "127.0.0.1"]
    bento += ["--port", "{port}"]
    quiet = {**path, "BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOME": str(WORK / "bentoml")}
    fastapi = [str(PEERS / "uvicorn"), "fastapi_app:app", "--host", "127.0.0.1", "--port", "{port}"]
    fastapi += ["--log-level", "warning"]
    lit = [str(PEERS / "python"), "litserve_server.py", "{port}"]
    rows = [ROW]
    return {
        "MLflow": (
            Server("mlflow", mlflow, path, "/invocations", {"dataframe_records": rows}),
            "dataframe_records",
        ),
        "BentoML": (Server("bentoml", bento, quiet, "/predict", {"rows": rows}), "rows"),
        "LitServe": (Server("litserve", lit, path, "/predict", {"rows": rows}), "rows"),
        "FastAPI": (Server("fastapi", fastapi, path, "/predict", {"rows": rows}), "rows"),
    }


def renamed(body: bytes, name: str) -> bytes:
    """Return a body whose rows have another name."""
    return json.dumps({name: json.loads(body)["rows"]}).encode()


def report_load(name: str, load: Load, **bounds: float) -> Iterator[Row]:
    """Yield a load's rows; a bound is p99's."""
    yield row(name, load.rate, "/s")
    yield row("  p50", load.p50, "ms")
    yield row("  p99", load.p99, "ms", **bounds)


def versus(api: Running, other: Running, body: bytes, other_body: bytes) -> tuple[Load, float]:
    """Press the API and another server in turn, so that both see the same machine.

    Returns:
        The other one's load, and how many times its rate the API's is: medians both.

    """
    pairs = [(api.load(body, samples=1), other.load(other_body, samples=1)) for _ in range(SAMPLES)]
    ratio = statistics.median(ours.rate / theirs.rate for ours, theirs in pairs)
    return middle([theirs for _ours, theirs in pairs]), ratio


def serving(site: Installation, estimator: str) -> Iterator[Row]:
    """Press beanft, the ceiling and the peers with one row a request, and with a thousand."""
    short, many = SHORT[estimator], rows_json(1000)
    thousand = estimator == "logistic_regression"
    thousands: list[Row] = []
    with running(site.api(estimator, {"rows": [ROW]})) as api:
        yield from report_load(
            f"{short}, 8 connections: beanft, key checked", api.load(ONE), most=3.0
        )
        if thousand:
            thousands += report_load(f"{short}, 1000 rows of JSON: beanft", api.load(many))
        with running(ceiling(estimator)) as bare:
            top, ratio = versus(api, bare, ONE, ONE)
        yield row("  bare WSGI callable and onnxruntime", top.rate, "/s")
        yield row("  beanft / bare", ratio, "x", least=0.5)
        for name, (server, field) in peers(estimator).items():
            least = TIMES_OF_MLFLOW[estimator] if name == "MLflow" else TIMES_OF_OTHERS
            with running(server) as peer:
                theirs, ratio = versus(api, peer, ONE, renamed(ONE, field))
                if thousand:
                    load, times = versus(api, peer, many, renamed(many, field))
                    bounds = {"least": 10.0} if name == "MLflow" else {}
                    thousands.append(row(f"  {name}", load.rate, "/s"))
                    thousands.append(row(f"  beanft / {name}", times, "x", **bounds))
            yield row(f"  {name}", theirs.rate, "/s")
            yield row("    p99", theirs.p99, "ms")
            yield row(f"  beanft / {name}", ratio, "x", least=least)
    yield from thousands


def timed(api: Running, path: str, body: bytes, headers: dict[str, str], times: int) -> float:
    """Return the median seconds of a request, after two to warm up."""
    seconds = []
    for _ in range(times + 2):
        begun = time.monotonic()
        status, answer = ask(api.port, path, body, headers)
        seconds.append(time.monotonic() - begun)
        if status != 200:
            raise SystemExit(f"beanft answered {status}: {answer[:300]!r}")
    return statistics.median(seconds[2:])


def resources(site: Installation) -> Iterator[Row]:
    """Start the API several times, and weigh it before and after work."""
    server = site.api("logistic_regression", {"rows": [ROW]})
    starts, weights = [], []
    for _ in range(STARTS):
        with running(server) as api:
            starts.append(api.start_seconds)
            weights.append(api.memory())
    yield row(
        "api: start to first prediction, median of 5", statistics.median(starts), "s", most=1.5
    )
    yield row("  resident after it", statistics.median(weights), "MB", most=120)
    path = site.path("logistic_regression")
    with running(server) as api:
        headers = {**site.headers, "Content-Type": "text/csv", "Accept": "text/csv"}
        seconds = timed(api, path, rows_csv(100_000), headers, 7)
        yield row("100 000 rows of CSV, end to end, median of 7", seconds, "s", most=0.5)
        yield row("  most memory of its process", api.peak(), "MB", most=300)


def growth(site: Installation) -> Iterator[Row]:
    """Tell what a request costs as its rows and the loaded models grow in number."""
    path = site.path("logistic_regression")
    with running(site.api("logistic_regression", {"rows": [ROW]})) as api:
        for count in (1, 10, 1_000, 100_000):
            headers = {**site.headers, "Content-Type": "application/json"}
            seconds = timed(api, path, rows_json(count), headers, 5 if count > 1000 else 200)
            yield row(f"{count} rows of JSON, one connection", seconds * 1e3, "ms")
            headers["Content-Type"] = headers["Accept"] = "text/csv"
            seconds = timed(api, path, rows_csv(count), headers, 5 if count > 1000 else 200)
            yield row(f"{count} rows of CSV, one connection", seconds * 1e3, "ms")
    for count in (1, 10, 100):
        with running(site.api("logistic_regression", {"rows": [ROW]})) as api:
            load = api.load(ONE, paths=[site.path(str(index)) for index in range(count)])
            yield row(f"{count} models in turn, 8 connections", load.rate, "/s")
            yield row("  p99", load.p99, "ms")
            yield row("  resident", api.memory(), "MB")


def pages(site: Installation) -> Iterator[Row]:
    """Fetch 40 pages a second, without and with a training beside them."""
    with running(site.web()) as web:
        idle = web.load(b"", connections=2, pause=50)
        worker = subprocess.Popen(
            site.command("worker"),
            env={**os.environ, **site.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            job = start_fit(site)
            wait_for(site, job, ("running",))
            busy = web.load(b"", connections=2, pause=50)
            if job_state(site, job) != "running":
                raise SystemExit(
                    "the training ended before the pages were measured: make it longer"
                )
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(60)
    yield row("pages, 40 a second: p99", idle.p99, "ms")
    yield row("  while a fit runs", busy.p99, "ms")
    yield row("  fit / idle", busy.p99 / idle.p99, "x", most=2.0)


def wait_for(site: Installation, job: str, states: Sequence[str]) -> None:
    """Wait until a training is in a state."""
    end = time.monotonic() + 60
    while job_state(site, job) not in states:
        if time.monotonic() > end:
            raise SystemExit(f"the training is {job_state(site, job)}")
        time.sleep(0.05)


def main() -> None:
    """Measure, and report."""
    subprocess.run(
        [str(PEERS / "python"), str(HERE / "peers/fit.py"), str(WORK)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "app"), "PYTHONWARNINGS": "ignore"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    site = install(100)
    rows: list[Row] = []
    for estimator in SHORT:
        rows += serving(site, estimator)
    for part in (resources, growth, pages):
        rows += part(site)
    command = [str(ROOT / "bin/report"), "bench-predict", *map(json.dumps, rows)]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()

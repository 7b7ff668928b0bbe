"""entry_log and entry_verdict: what counts as a request, what as a failure, and what as a breach."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

Load = Callable[[str], ModuleType]
Run = Callable[..., dict[str, Any]]

# As HAProxy wrote them, with one address and hour for all.
BEGIN = "10.1.2.3:44436 [25/Nov/2026:03:11:18.767] entry "
GOOD = BEGIN + 'web/web4 0/0/0/15/15 200 127 - - ---- 3/2/1/0/0 0/0 "GET /?q=1 HTTP/1.1"'
SLOW = BEGIN + 'web/web3 0/0/0/4001/4001 200 127 - - ---- 1/1/0/0/0 0/0 "GET /slow HTTP/1.1"'
LATE = (
    BEGIN
    + 'api/api4 0/1000/0/2/1002 200 127 - - ---- 2/2/1/0/+1 0/0 "GET /api/v1/version HTTP/1.1"'
)
# With the request's id.
NAMED = BEGIN + (
    "web/web4 0/0/0/15/15 200 127 - - ---- 3/2/1/0/0 0/0 {3f0c7f9e-8a1d-4d3b-9a51-0a4a6a4f2c11} "
    '"GET /?q=1 HTTP/1.1"'
)
BROKEN = BEGIN + 'web/web1 0/0/1/1/2 500 146 - - ---- 2/2/1/0/0 0/0 "GET /x?api_key=abc HTTP/1.1"'
DIED = BEGIN + 'web/web2 0/0/0/-1/39 502 209 - - SH-- 2/2/1/0/0 0/0 "POST /die HTTP/1.1"'
NOBODY = BEGIN + 'api/<NOSRV> 0/-1/-1/-1/0 503 217 - - SC-- 1/1/0/0/0 0/0 "GET /api/x HTTP/1.1"'
NONSENSE = BEGIN + 'entry/<NOSRV> -1/-1/-1/-1/0 400 0 - - PR-- 4/3/0/0/0 0/0 "<BADREQ>"'
# Over TLS.
SECURE = (
    BEGIN.replace("entry ", "entry~ ")
    + 'web/<NOSRV> 0/-1/-1/-1/0 503 277 - - SC-- 1/1/0/0/0 0/0 "GET https://127.0.0.1:18443/x HTTP/2.0"'
)
LEFT = BEGIN + 'web/web1 0/0/0/-1/500 400 206 - - CH-- 3/3/1/0/0 0/0 "POST / HTTP/1.1"'
NOT_COUNTED = [
    BEGIN + 'entry/<NOSRV> 0/-1/-1/-1/0 404 182 - - PR-- 3/3/0/0/0 0/0 "GET /metrics HTTP/1.1"',
    BEGIN + 'web/web4 0/1000/0/2/1002 200 127 - - ---- 2/2/1/0/+1 0/0 "GET /healthz HTTP/1.1"',
    BEGIN + 'web/web1 0/0/0/1/1 503 127 - - ---- 3/3/1/0/0 0/0 "GET /readyz?x HTTP/1.1"',
    # Services beside the application.
    BEGIN
    + 'beanft-cars_api/api1 0/0/1/1/2 500 146 - - ---- 2/2/1/0/0 0/0 "GET /cars/api/ HTTP/1.1"',
    BEGIN
    + 'beanft-cars_api/<NOSRV> 0/-1/-1/-1/0 503 217 - - SC-- 1/1/0/0/0 0/0 "GET /cars/api/ HTTP/1.1"',
    BEGIN + 'entry/<NOSRV> 0/-1/-1/-1/0 503 1414 - - LR-- 1/1/0/0/0 0/0 "GET / HTTP/1.1"',
    "10.1.2.3:44436 [25/Nov/2026:03:11:18.767] entry/2: SSL handshake failure (error:0A000102:SSL routines::)",
    "Proxy entry stopped (cumulated conns: FE: 2546, BE: 0).",
    'Server web/web1 is DOWN, reason: Layer4 connection problem, info: "Connection refused", check duration: 0ms.',
    "",
]


SERVICE = "ps --quiet --no-trunc --all --filter label=com.docker.swarm.service.name="


def stamped(line: str, age: float) -> str:
    """Return a line as the engine keeps it, so many seconds old."""
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age)
    return f"{then:%Y-%m-%dT%H:%M:%S.%f}000Z {line}\n"


def logs(docker: Any, **containers: str) -> None:
    """Let the engine have containers of the entry, the oldest first, with logs."""
    inspected = {
        f"container inspect {name}": json.dumps([{"Id": name, "Created": f"2026-11-2{number}"}])
        for number, name in enumerate(containers)
    }
    docker.says(
        {
            **inspected,
            SERVICE + "e_haproxy": "\n".join(containers),
            SERVICE + "e-spare_haproxy": "",
            "logs": [containers[name] for name in reversed(containers)],
        }
    )


@pytest.mark.parametrize("line", [BROKEN, DIED, NOBODY, SECURE])
def test_failures(docker: Any, run: Run, line: str) -> None:
    logs(docker, c1=stamped(GOOD, 5) + stamped(line, 4))
    (window,) = run("entry_log", stack="e", windows=[{"since": 60}])["windows"]
    assert (window["requests"], window["failed"]) == (2, 1)
    assert window["samples"] == [line.replace("?api_key=abc", "")]


@pytest.mark.parametrize("line", [GOOD, NAMED, SLOW, LATE, NONSENSE, LEFT])
def test_requests_that_did_not_fail_or_not_by_the_servers_doing(
    docker: Any, run: Run, line: str
) -> None:
    logs(docker, c1=stamped(line, 5))
    (window,) = run("entry_log", stack="e", windows=[{"since": 60}])["windows"]
    assert (window["requests"], window["failed"], window["samples"]) == (1, 0, [])


@pytest.mark.parametrize("line", NOT_COUNTED)
def test_what_is_not_counted(docker: Any, run: Run, line: str) -> None:
    logs(docker, c1=stamped(line, 5))
    (window,) = run("entry_log", stack="e", windows=[{"since": 60}])["windows"]
    assert (window["requests"], window["backends"]) == (0, {})


def test_windows_count_back_from_now_over_all_entries(docker: Any, run: Run) -> None:
    old = stamped(GOOD, 200) + stamped(NOBODY, 100) + stamped(SLOW, 99)
    logs(docker, old=old, new=stamped(LATE, 20) + stamped(GOOD, 10))
    result = run("entry_log", stack="e", windows=[{"since": 60}, {"since": 150, "until": 60}])
    after, before = result["windows"]
    assert not result["sampled"]
    assert not result["changed"]
    assert after["backends"] == {
        "web": {"requests": 1, "failed": 0},
        "api": {"requests": 1, "failed": 0},
    }
    assert before["backends"] == {
        "web": {"requests": 1, "failed": 0},
        "api": {"requests": 1, "failed": 1},
    }
    # A failure has no time; what the client waits for is queue, connection and answer.
    assert before["times_ms"] == {"4095": 1}
    assert (after["p50_ms"], after["p99_ms"]) == (15, 1023)


def test_only_the_newest_lines_are_read(docker: Any, run: Run) -> None:
    logs(docker, old=stamped(GOOD, 9) * 3, new=stamped(GOOD, 5) * 2)
    result = run("entry_log", stack="e", windows=[{"since": 60}], lines=2)
    assert result["sampled"]
    assert result["windows"][0]["requests"] == 2
    (call,) = docker.calls("logs")
    assert call["command"] == "logs --timestamps --since 61s --tail 2 new"


def test_samples_are_few_and_short(docker: Any, run: Run) -> None:
    logs(docker, c1=stamped(NOBODY.replace("/api/x", "/api/" + "x" * 2000), 5) * 9)
    (window,) = run("entry_log", stack="e", windows=[{"since": 60}])["windows"]
    assert (window["failed"], len(window["samples"])) == (9, 5)
    assert max(map(len, window["samples"])) <= 300


def test_a_container_that_is_gone_by_now_has_no_log(docker: Any, run: Run) -> None:
    logs(docker, c1="")
    docker.says(
        ps="c1\n",
        container_inspect=json.dumps([{"Id": "c1", "Created": "2026"}]),
        logs={"err": "Error response from daemon: No such container: c1", "code": 1},
    )
    assert run("entry_log", stack="e", windows=[{"since": 60}])["windows"][0]["requests"] == 0


def test_a_log_that_cannot_be_read_is_an_error(docker: Any, run: Run) -> None:
    docker.says(
        ps="c1\n",
        container_inspect=json.dumps([{"Id": "c1", "Created": "2026"}]),
        logs={"err": "configured logging driver does not support reading", "code": 1},
    )
    result = run("entry_log", stack="e", windows=[{"since": 60}])
    assert result["msg"].startswith("the entry's log could not be read: configured logging driver")


@pytest.mark.parametrize("windows", [[], [{"since": 5, "until": 5}], [{"since": 5, "until": -1}]])
def test_windows_that_are_none(docker: Any, run: Run, windows: list[dict[str, float]]) -> None:
    assert (
        "a window begins more seconds before now"
        in run("entry_log", stack="e", windows=windows)["msg"]
    )


def test_buckets_are_exact_where_it_matters_and_near_elsewhere(plugin: Load) -> None:
    plugin("filter/entry_verdict")
    bucket = plugin("module_utils/entry_figures").bucket
    assert [bucket(value) for value in range(32)] == list(range(32))
    for value in (33, 99, 100, 1000, 59999):
        assert value <= bucket(value) <= value * 1.07


def report(requests: int, failed: int = 0, **times: int) -> dict[str, Any]:
    """Return a machine's window: requests by time, as ms100=5."""
    return {
        "requests": requests,
        "failed": failed,
        "times_ms": {name.removeprefix("ms"): number for name, number in times.items()},
        "samples": [NOBODY] * min(failed, 5),
    }


@pytest.mark.parametrize(
    ("before", "after", "breach"),
    [
        # A few failures, or a small share.
        (report(1000), report(1000), False),
        (report(1000), report(10, 4), False),
        (report(1000), report(1000, 10), False),
        (report(1000), report(1000, 11), True),
        (report(0), report(20, 5), True),
        # It was no better before.
        (report(1000, 100), report(1000, 300), False),
        (report(1000, 100), report(1000, 301), True),
        # Slower: by a factor, and by half a second, and with enough requests to say so.
        (report(100, ms10=100), report(100, ms500=100), False),
        (report(100, ms10=100), report(100, ms511=100), True),
        (report(100, ms400=100), report(100, ms1200=100), False),
        (report(100, ms400=100), report(100, ms1201=100), True),
        (report(49, ms10=49), report(100, ms9000=100), False),
        (report(100, ms10=100), report(49, ms9000=49), False),
        # One slow one in a hundred is not the 99th percentile.
        (report(100, ms10=100), report(100, ms10=99, ms9000=1), False),
        # Nor are a few, where not many were asked for.
        (report(400, ms10=400), report(400, ms10=391, ms9000=9), False),
        (report(400, ms10=400), report(400, ms10=390, ms9000=10), True),
        (report(0), report(0), False),
    ],
)
def test_verdict(plugin: Load, before: dict[str, Any], after: dict[str, Any], breach: bool) -> None:
    verdict = plugin("filter/entry_verdict").FilterModule().filters()["entry_verdict"]
    said = verdict([after], [before])
    assert said["breach"] is breach, said["reason"]
    assert str(after["failed"]) in said["reason"] or "answered within" in said["reason"]


def test_machines_are_judged_together(plugin: Load) -> None:
    verdict = plugin("filter/entry_verdict").entry_verdict
    before = [report(100, ms10=100), report(100, ms20=100)]
    said = verdict([report(90, 3, ms10=87), report(110, 3, ms30=107)], before)
    assert said["breach"]
    assert said["reason"] == (
        "6 of 200 requests failed (3.0 %, allowed are 1.0 %); before it were 0 of 200"
    )
    assert said["before"]["p99_ms"] == 20
    assert said["after"]["p99_ms"] == 30
    assert len(said["after"]["samples"]) == 5


def test_module_and_filter_agree_on_percentiles(plugin: Load) -> None:
    figures, verdict = plugin("module_utils/entry_figures"), plugin("filter/entry_verdict")
    for times in ({}, {1: 1}, {1: 99, 7: 1}, {1: 98, 7: 2}, {3: 5, 1: 5}):
        for share in (0.5, 0.99):
            assert figures.percentile(times, share) == verdict.percentile(times, share)

"""Scopes and rates of keys, and what every answer and every error carries."""

from __future__ import annotations

import dataclasses
import timeit
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from beanft.api.rate import MOST_KEYS, RateLimiter
from beanft.config import Settings
from beanft.core.database import Database
from beanft.extensions import NAME
from beanft.users import keys
from beanft.wsgi import create_api

ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
NO_ID = "0" * 20
# Every operation, and the scopes any one of which opens it.
OPERATIONS = [
    ("POST", "/datasets", {"datasets:write"}),
    ("GET", "/datasets", {"datasets:read"}),
    ("GET", "/datasets/ID", {"datasets:read"}),
    ("GET", "/datasets/ID/content", {"datasets:read"}),
    ("DELETE", "/datasets/ID", {"datasets:write"}),
    ("POST", "/trainings", {"trainings:write"}),
    ("GET", "/trainings", {"models:read", "trainings:write"}),
    ("GET", "/trainings/ID", {"models:read", "trainings:write"}),
    ("POST", "/trainings/ID/cancel", {"trainings:write"}),
    ("GET", "/models", {"models:read"}),
    ("GET", "/models/ID", {"models:read", "predict"}),
    ("GET", "/models/ID/openapi.json", {"models:read", "predict"}),
    ("POST", "/models/ID/promote", {"models:write"}),
    ("DELETE", "/models/ID", {"models:write"}),
    ("POST", "/models/ID/predictions", {"predict"}),
]


def send(caller: Any, method: str, path: str) -> Any:
    address = "/api/v1" + path.replace("ID", NO_ID)
    return caller.client.open(address, method=method, headers=caller.headers)


@pytest.fixture
def with_scopes(caller: Any, database: Database) -> Callable[..., Any]:
    def act(*scopes: str) -> Any:
        _key, secret = keys.make_key(database, caller.user.id, "scoped", scopes)
        return dataclasses.replace(caller, key=secret)

    return act


@pytest.mark.parametrize(("method", "path", "scopes"), OPERATIONS)
def test_every_operation_wants_its_scope(
    with_scopes: Callable[..., Any], method: str, path: str, scopes: set[str]
) -> None:
    refused = send(with_scopes(*keys.ALL_SCOPES - scopes), method, path)
    assert refused.status_code == 403
    assert refused.mimetype == "application/problem+json"
    assert all(scope in refused.json["detail"] for scope in scopes)
    challenge = refused.headers["WWW-Authenticate"]
    assert 'error="insufficient_scope"' in challenge
    assert any(f'scope="{scope}"' in challenge for scope in scopes)
    for scope in scopes:
        assert send(with_scopes(scope), method, path).status_code not in {401, 403}
    assert (
        send(dataclasses.replace(with_scopes("predict"), key="bft_x"), method, path).status_code
        == 401
    )


def test_no_operation_is_left_out(api: Flask) -> None:
    rules = {
        (method, str(rule).removeprefix("/api/v1"))
        for rule in api.url_map.iter_rules()
        if str(rule).startswith("/api/v1") and "api_documents" not in rule.endpoint
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert len(rules) == len(OPERATIONS)
    assert {(m, path.replace("ID", "<x>")) for m, path, _ in OPERATIONS} == {
        (m, "/".join("<x>" if part.startswith("<") else part for part in path.split("/")))
        for m, path in rules
    }


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def left(headers: list[tuple[str, str]] | None) -> int:
    assert headers is not None
    return int(dict(headers)["RateLimit"].split("r=")[1].split(";")[0])


@pytest.mark.parametrize("per_minute", [1, 7, 60, 60_000])
def test_a_minutes_requests_at_once_and_then_at_their_pace(per_minute: int) -> None:
    clock = Clock()
    limiter = RateLimiter(per_minute, clock)
    assert left(limiter.look("k")) == per_minute
    for n in range(per_minute):
        assert left(limiter.admit("k")) == per_minute - 1 - n
    assert limiter.admit("k") is None
    assert left(limiter.look("k")) == 0
    assert limiter.admit("other") is not None
    wait = limiter.retry_after("k")
    assert 1 <= wait <= 60 / per_minute + 1
    clock.now += wait
    assert limiter.admit("k") is not None
    clock.now += 3600
    assert left(limiter.admit("k")) == per_minute - 1


def test_over_a_long_time_no_more_than_the_rate_passes() -> None:
    clock = Clock()
    limiter = RateLimiter(60, clock)
    passed = 0
    for _ in range(10_000):
        clock.now += 0.1
        passed += limiter.admit("k") is not None
    assert 1000 + 55 <= passed <= 1000 + 61


def test_quiet_keys_are_forgotten() -> None:
    clock = Clock()
    limiter = RateLimiter(60, clock)
    for n in range(MOST_KEYS):
        limiter.admit(f"k{n}")
    clock.now += 2
    limiter.admit("one more")
    assert len(limiter._over) == 1


def test_counting_costs_next_to_nothing() -> None:
    limiter = RateLimiter(1_000_000_000)
    best = min(timeit.repeat(lambda: limiter.admit("k"), number=2000, repeat=20)) / 2000
    assert best < 10e-6  # 1.3 us where nothing else runs


@pytest.fixture
def slow_api(settings: Settings) -> Iterator[Flask]:
    limits = dataclasses.replace(settings.limits, api_requests_per_minute=3)
    app = create_api(dataclasses.replace(settings, limits=limits))
    yield app
    app.extensions[NAME].database.close()


def test_too_many_requests(
    slow_api: Flask, caller: Any, iris: Any, make_model: Any, with_scopes: Callable[..., Any]
) -> None:
    model = make_model(iris, caller.user.id)
    path = f"/api/v1/models/{model.id}/predictions"
    mine = dataclasses.replace(caller, client=slow_api.test_client())
    # One past Flask, one that Flask refuses and one of another address: each counts once.
    answers = [
        mine.post(path, json={"rows": [ROW]}),
        mine.post(path, json={"rows": [3]}),
        mine.get("/api/v1/models"),
    ]
    assert [answer.status_code for answer in answers] == [200, 422, 200]
    for number, answer in enumerate(answers):
        assert answer.headers["RateLimit-Policy"] == '"key";q=3;w=60'
        assert answer.headers["RateLimit"].startswith(f'"key";r={2 - number};t=')
    for refused in (mine.post(path, json={"rows": [ROW]}), mine.get("/api/v1/models")):
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["Retry-After"]) <= 20
        assert refused.headers["RateLimit"].startswith('"key";r=0;t=')
        assert "Retry-After" in refused.json["detail"]
    other = dataclasses.replace(with_scopes("models:read"), client=mine.client)
    assert other.get("/api/v1/models").status_code == 200
    assert slow_api.test_client().get("/api/v1/version").status_code == 200


def test_a_key_without_the_scope_gets_no_prediction_past_flask(
    caller: Any, iris: Any, make_model: Any, with_scopes: Callable[..., Any]
) -> None:
    model = make_model(iris, caller.user.id)
    path = f"/api/v1/models/{model.id}/predictions"
    assert with_scopes("predict").post(path, json={"rows": [ROW]}).status_code == 200
    assert with_scopes("models:read").post(path, json={"rows": [ROW]}).status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/datasets", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("PATCH", "/models/ID", {"DELETE", "GET", "HEAD", "OPTIONS"}),
        ("GET", "/models/ID/predictions", {"OPTIONS", "POST"}),
        ("TRACE", "/version", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_other_methods(caller: Any, method: str, path: str, allowed: set[str]) -> None:
    answer = send(caller, method, path)
    assert answer.status_code == 405
    assert answer.json["status"] == 405
    assert set(answer.headers["Allow"].split(", ")) == allowed


def test_head_works_like_get(caller: Any, iris: Any, make_model: Any) -> None:
    model = make_model(iris, caller.user.id)
    for path in ("/models", f"/models/{model.id}", "/version", "/docs", "/openapi.json"):
        got, head = (send(caller, method, path) for method in ("GET", "HEAD"))
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers["Content-Length"] == str(len(got.data))
        assert head.headers.get("ETag") == got.headers.get("ETag")


def test_nothing_at_an_address(caller: Any) -> None:
    answer = send(caller, "GET", "/nothing")
    assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")

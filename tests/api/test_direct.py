"""Direct answers are Flask's answers: status, body and headers."""

from __future__ import annotations

import io
import json
import re
import sys
import time
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from beanft.api.direct import ADMITTED, DirectPredictions
from beanft.core import http
from beanft.core.database import Database
from beanft.extensions import NAME
from beanft.training.models import Model
from beanft.users import keys
from beanft.users.keys import Principal

ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
Answer = tuple[str, dict[str, str], bytes]


@pytest.fixture
def model(caller: Any, iris: Any, make_model: Any) -> Model:
    found: Model = make_model(iris, caller.user.id)
    return found


@pytest.fixture
def plain(caller: Any, model: Model) -> dict[str, Any]:
    """A plain request, which is answered directly."""
    return environ(
        json.dumps({"rows": [ROW]}).encode(),
        PATH_INFO=f"/api/v1/models/{model.id}/predictions",
        HTTP_AUTHORIZATION=f"Bearer {caller.key}",
    )


def environ(body: bytes, **more: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "HTTP_X_REQUEST_ID": "the-same-id",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        **more,
    }


def ask(app: Any, request: dict[str, Any]) -> Answer:
    seen: list[Any] = []
    body = request["wsgi.input"].getvalue()
    sent = {**request, "wsgi.input": io.BytesIO(body)}
    answer = app(sent, lambda status, headers, _error=None: seen.append((status, headers)))
    content = b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    ((status, headers),) = seen
    found = {name.lower(): value for name, value in headers}
    assert len(found) == len(headers), "a header is there twice"
    # What a key has left is one less after each request.
    found.pop("ratelimit", None)
    return status, found, content


def refuse(*_arguments: object) -> None:
    raise AssertionError("this went to Flask")


class Both:
    """The application twice: as it is served, and with Flask alone."""

    def __init__(self, app: Flask) -> None:
        assert isinstance(app.wsgi_app, DirectPredictions)
        self.direct = app.wsgi_app
        self.flask = app.wsgi_app._flask

    def is_direct(self, request: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> bool:
        """Tell whether Flask isn't asked."""
        with monkeypatch.context() as patch:
            patch.setattr(self.direct, "_flask", refuse)
            try:
                ask(self.direct, request)
            except AssertionError:
                return False
            return True


@pytest.fixture
def both(api: Flask) -> Both:
    return Both(api)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"QUERY_STRING": "probabilities=true"},
        {"QUERY_STRING": "probabilities=0"},
        {"CONTENT_TYPE": "application/json; charset=utf-8"},
        {"HTTP_ACCEPT": "*/*"},
        {"HTTP_X_FORWARDED_PROTO": "https"},
        {"HTTP_X_FORWARDED_PROTO": "https, http"},
        {"wsgi.url_scheme": "https"},
    ],
)
def test_plain_predictions_are_direct_and_the_same(
    both: Both, plain: dict[str, Any], more: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = {**plain, **more}
    assert both.is_direct(request, monkeypatch)
    answer = ask(both.direct, request)
    assert answer == ask(both.flask, request)
    assert answer[0] == "200 OK"
    assert answer[1]["x-request-id"] == "the-same-id"
    assert answer[1]["x-content-type-options"] == "nosniff"


numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60)
values = numbers | st.none() | st.booleans() | st.text(max_size=3)
rows = st.fixed_dictionaries(
    dict.fromkeys(ROW, st.floats(-9, 9) | st.none()), optional={"species": values, "other": values}
) | st.dictionaries(st.sampled_from([*ROW, "x"]), values)
bodies = st.one_of(
    st.fixed_dictionaries({"rows": st.lists(rows, max_size=4)}).map(
        lambda x: json.dumps(x).encode()
    ),
    st.sampled_from([b"", b"{", b"[]", b"null", b'{"rows": 1}', b'{"rows": [NaN]}', b"\xff"]),
    st.binary(max_size=9),
)
# A server ends the body where Content-Length says, so no length here is less than the body's.
headers = st.fixed_dictionaries(
    {},
    optional={
        "QUERY_STRING": st.sampled_from(
            ["probabilities=1", "probabilities=TRUE", "probabilities=maybe", "a=b", "probabilities"]
        ),
        "CONTENT_TYPE": st.sampled_from(["application/json", "APPLICATION/JSON", "text/csv", ""]),
        "CONTENT_LENGTH": st.sampled_from(["", "-1", "x", "\u0661", "1_000", "9999", "9999999"]),
        "HTTP_ACCEPT": st.sampled_from(["text/csv", "text/html", "application/json;q=0.1, */*"]),
        "HTTP_AUTHORIZATION": st.sampled_from(["", "Bearer", "Bearer x", "Basic YTpi", "bearer y"]),
        "REQUEST_METHOD": st.sampled_from(["GET", "PUT", "OPTIONS", "HEAD", "DELETE"]),
        "PATH_INFO": st.sampled_from(
            [
                "/api/v1/models/x/predictions",
                "/api/v1/models//predictions",
                "/api/v1/models/predictions",
            ]
        ),
        "HTTP_HOST": st.sampled_from(["example.org:80", "a b", "", "\xe9"]),
        "HTTP_X_REQUEST_ID": st.just("another-id"),
        "HTTP_X_FORWARDED_PROTO": st.sampled_from(["https", "http", "", "x", "https,"]),
    },
)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(bodies, headers)
def test_any_request_is_answered_as_by_flask(
    both: Both, plain: dict[str, Any], body: bytes, more: dict[str, str]
) -> None:
    length = {"CONTENT_LENGTH": str(len(body)), **more}
    request = {**plain, "wsgi.input": io.BytesIO(body), **length}
    assert ask(both.direct, request) == ask(both.flask, request)


def test_too_many_rows_are_too_many_directly(both: Both, plain: dict[str, Any]) -> None:
    body = json.dumps({"rows": [ROW] * 1001}).encode()
    request = {**plain, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    answer = ask(both.direct, request)
    assert answer == ask(both.flask, request)
    assert answer[0] == "413 REQUEST ENTITY TOO LARGE"


def counts(app: Flask) -> dict[str, float]:
    text = app.extensions[NAME].metrics.text().decode()
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    wanted = ("beanft_http_requests_total", "beanft_predicted_rows_total")
    return {
        sample.name + sample.labels.get("status", ""): sample.value
        for sample in samples
        if sample.name in wanted
    }


def test_direct_answers_are_counted_and_not_logged_unless_slow(
    api: Flask,
    both: Both,
    plain: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ask(both.direct, plain)
    ask(both.flask, plain)
    assert capsys.readouterr().out == ""
    assert counts(api) == {"beanft_http_requests_total200": 2, "beanft_predicted_rows_total": 2}
    monkeypatch.setattr(http, "SLOW_SECONDS", 0.0)
    ask(both.direct, plain)
    ask(both.flask, plain)
    direct, flask = capsys.readouterr().out.splitlines()
    assert "request_id=the-same-id" in direct
    moment_and_time = re.compile(r"^\S+ \S+|ms=\S+")
    assert moment_and_time.sub("", direct) == moment_and_time.sub("", flask)
    ask(both.direct, {**plain, "HTTP_AUTHORIZATION": "Bearer x"})
    assert "status=401" in capsys.readouterr().out


def test_a_request_without_an_id_gets_the_same_one_everywhere(
    both: Both, plain: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    del plain["HTTP_X_REQUEST_ID"]
    first, second = (ask(both.direct, plain)[1]["x-request-id"] for _ in range(2))
    assert len(first) == 24
    assert first != second
    _status, headers, body = ask(both.direct, {**plain, "CONTENT_TYPE": "text/plain"})
    assert json.loads(body)["request_id"] == headers["x-request-id"]
    assert headers["x-request-id"] in capsys.readouterr().out


def test_the_body_of_a_stranger_is_not_waited_for(both: Both, plain: dict[str, Any]) -> None:
    class Endless(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise AssertionError("the body was read")

    sent = {**plain, "HTTP_AUTHORIZATION": "Bearer x", "wsgi.input": Endless()}
    seen: list[Any] = []
    both.direct(sent, lambda status, headers, _error=None: seen.append(status))  # type: ignore[arg-type, return-value]
    assert seen == ["401 UNAUTHORIZED"]


def test_a_revoked_key_stops_working(
    both: Both, caller: Any, plain: dict[str, Any], database: Database, settings: Any
) -> None:
    assert ask(both.direct, plain)[0] == "200 OK"
    keys.revoke_key(database, caller.user.id, caller.key_id)
    time.sleep(settings.key_cache_seconds + 0.05)
    assert ask(both.direct, plain)[0] == "401 UNAUTHORIZED"


def test_what_admits_is_asked_once_and_its_headers_are_sent(
    api: Flask, both: Both, caller: Any, plain: dict[str, Any]
) -> None:
    asked: list[str] = []

    def admit(principal: Principal) -> list[tuple[str, str]] | None:
        asked.append(principal.key_id)
        return [("X-Left", "3")] if len(asked) < 3 else None

    seen: list[Any] = []

    def flask(environ: dict[str, Any], _start: Any) -> list[bytes]:
        seen.append(environ.get(ADMITTED))
        return []

    direct = DirectPredictions(api, api.extensions[NAME], admit)
    direct._flask = flask
    assert ask(direct, plain)[1]["x-left"] == "3"
    broken = {**plain, "wsgi.input": io.BytesIO(b"{")}
    direct({**broken, "CONTENT_LENGTH": "1"}, lambda *_: None)  # type: ignore[arg-type, return-value]
    direct(dict(plain), lambda *_: None)  # type: ignore[arg-type, return-value]
    assert asked == [caller.key_id] * 3
    assert seen == [caller.key_id, None]

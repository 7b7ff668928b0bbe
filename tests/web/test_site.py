"""What holds for every page: errors, headers, readiness, request ids."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from structlog.testing import capture_logs

from beanft.config import Settings
from beanft.core.database import Database
from beanft.core.errors import ForbiddenError, UnavailableError
from beanft.health import service
from beanft.health.marker import drain_marker
from beanft.health.service import Readiness
from beanft.training.models import Model
from beanft.training.sample import ensure_sample
from tests.kept import Kept


def test_errors_are_pages_that_say_what_to_do(web: Flask) -> None:
    def fail(kind: str) -> str:
        if kind == "broken":
            raise RuntimeError("secret detail")
        if kind == "busy":
            raise sa.exc.OperationalError("x", None, sqlite3.OperationalError("locked"))
        raise {"403": ForbiddenError, "503": UnavailableError}[kind]("Do that instead.")

    web.add_url_rule("/fail/<kind>", view_func=fail)
    web.config["PROPAGATE_EXCEPTIONS"] = False
    client = web.test_client()
    for path, status, said in (
        ("/nothing", 404, "Check the address"),
        ("/fail/403", 403, "Do that instead."),
        ("/fail/503", 503, "Do that instead."),
        ("/fail/broken", 500, "on our side"),
        ("/fail/busy", 503, "busy"),
        ("/logout", 405, "kind of request"),
    ):
        answer = client.get(path)
        assert answer.status_code == status
        assert said in answer.text
        assert answer.headers["X-Request-ID"] in answer.text
        assert "secret detail" not in answer.text
        assert "Content-Security-Policy" in answer.headers


def test_headers_of_every_response(web: Flask) -> None:
    answer = web.test_client().get("/", headers={"X-Forwarded-Proto": "https"})
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    for name, value in (
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("X-Beanft-Revision", "0123abcd"),
        ("Cache-Control", "no-store"),
    ):
        assert answer.headers[name] == value
    assert "Strict-Transport-Security" in answer.headers
    assert "Strict-Transport-Security" not in web.test_client().get("/").headers
    assert "style=" not in answer.text
    assert "<script>" not in answer.text


@pytest.mark.parametrize(
    ("offered", "kept"),
    [("abc-123_4.5", True), ("short", False), ("a b" * 9, False), ("x" * 65, False)],
)
def test_request_ids_are_kept_if_well_formed(web: Flask, offered: str, kept: bool) -> None:
    answer = web.test_client().get("/healthz", headers={"X-Request-ID": offered})
    assert (answer.headers["X-Request-ID"] == offered) is kept


def test_identity_and_metrics(web: Flask) -> None:
    client = web.test_client()
    identity = {"version": "1.2.3", "revision": "0123abcd"}
    assert client.get("/version").json == identity
    assert client.get("/healthz").json == {"status": "ok", "service": "web", **identity}
    text = client.get("/metrics").text
    assert 'beanft_http_requests_total{endpoint="health.healthz"' in text


def test_ready_until_drained(web: Flask, settings: Settings, sample: dict[str, Any]) -> None:
    client = web.test_client()
    assert client.get("/readyz").status_code == 200
    settings.run_dir.mkdir(parents=True)
    drain_marker(settings.run_dir).touch()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["check"]) == (503, "draining")
    assert client.get("/healthz").status_code == 200


@pytest.fixture
def looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found good is looked at again."""
    monkeypatch.setattr(service, "GOOD_SECONDS", 0.0)


@contextmanager
def without_schema(database: Database) -> Iterator[None]:
    """Let the database have no schema that is known, for a while."""
    with database.writing() as session:
        session.execute(sa.text("ALTER TABLE alembic_version RENAME TO away"))
    yield
    with database.writing() as session:
        session.execute(sa.text("ALTER TABLE away RENAME TO alembic_version"))


def test_what_is_good_is_not_looked_at_again_for_a_while(
    web: Flask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "GOOD_SECONDS", 60.0)
    client = web.test_client()
    assert client.get("/readyz").status_code == 200
    with without_schema(database):
        assert client.get("/readyz").status_code == 200
        monkeypatch.setattr(service, "GOOD_SECONDS", 0.0)
        assert client.get("/readyz").status_code == 503


def test_what_is_bad_is_looked_at_each_time(
    web: Flask, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "GOOD_SECONDS", 60.0)
    client = web.test_client()
    with without_schema(database):
        assert client.get("/readyz").status_code == 503
    assert client.get("/readyz").status_code == 200


@pytest.mark.usefixtures("looked_at_each_time")
def test_not_ready_on_an_old_schema_but_on_a_newer_one(web: Flask, database: Database) -> None:
    client = web.test_client()
    with database.writing() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = 'newer'"))
    assert client.get("/readyz").status_code == 200
    with database.writing() as session:
        session.execute(sa.text("DROP TABLE alembic_version"))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["check"]) == (503, "schema")


@pytest.mark.usefixtures("looked_at_each_time")
def test_a_damaged_artefact_makes_it_unready(
    web: Flask, kept_files: Kept, sample: dict[str, Any]
) -> None:
    client = web.test_client()
    assert client.get("/readyz").status_code == 200
    (key,) = kept_files.stored("models")
    content = kept_files.read(key)
    kept_files.write(key, content[:-1] + b"\x00")
    with capture_logs() as logs:
        answer = client.get("/readyz")
        client.get("/readyz")
    assert (answer.status_code, answer.json["check"]) == (503, "model")
    assert "checksum" in answer.json["reason"]
    assert not [line for line in logs if line["event"] == "request"], "it would hide the reason"
    said = [line for line in logs if line["event"] == "not_ready"]
    assert len(said) == 1, "why, once"
    assert "checksum" in said[0]["reason"]
    kept_files.remove(key)
    assert "gone" in client.get("/readyz").json["reason"]
    kept_files.write(key, content)
    assert client.get("/readyz").status_code == 200


def test_other_answers_to_golden_rows_make_it_unready(
    web: Flask, kept_files: Kept, sample: dict[str, Any]
) -> None:
    (key,) = kept_files.stored("golden")
    golden = json.loads(kept_files.read(key))
    golden["labels"][0] = "virginica"
    kept_files.write(key, json.dumps(golden).encode())
    answer = web.test_client().get("/readyz")
    assert answer.status_code == 503
    assert "another label" in answer.json["reason"]


def test_golden_rows_are_computed_once(
    web: Flask, sample: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = web.extensions["beanft"]
    calls: list[str] = []
    whole = type(site.artefacts).golden_problem

    def counted(self: Any, model: Model) -> str | None:
        calls.append(model.id)
        found: str | None = whole(self, model)
        return found

    monkeypatch.setattr(type(site.artefacts), "golden_problem", counted)
    monkeypatch.setattr(service, "GOOD_SECONDS", 0.0)
    readiness = Readiness(site)
    assert [readiness.check() for _ in range(5)] == [None] * 5
    assert len(calls) == 1


def test_the_sample_is_released_once(web: Flask, sample: dict[str, Any]) -> None:
    site = web.extensions["beanft"]
    again = ensure_sample(site.database, site.storage)
    assert again == {**sample, "changed": False}

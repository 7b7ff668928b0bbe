"""Every route is asked whether it gives away what is somebody else's, or takes a forged form."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from beanft.config import Settings
from beanft.core.database import Database
from beanft.extensions import Site
from beanft.jobs.models import Job
from beanft.predictions.models import Prediction
from beanft.tables import metadata
from beanft.training.models import ModelShare
from beanft.uploader import service as uploader
from beanft.users import keys
from beanft.users.models import User, UserSession

CSV = b"a,y\n" + b"1,x\n2,z\n" * 9
# Which of a person's things an argument of a rule names. An argument that is neither here nor in
# a rule of PUBLIC fails the test: say here what it is, and in ``things`` how to make one.
OWNED = {
    "dataset_id": "dataset",
    "source_id": "dataset",
    "job_id": "job",
    "training_id": "job",
    "model_id": "model",
    "series_id": "series",
    "share_id": "share",
    "prediction_id": "prediction",
    "key_id": "key",
    "session_id": "session",
}
# Rules whose arguments name nobody's thing, or are the secret itself that opens it.
PUBLIC = {
    "/static/<path:filename>": "files of the package",
    "/static/dist/<name>": "scripts of the package",
    "/samples/<name>": "files of the package, by a fixed list",
    "/datasets/samples/<name>": "samples of the package, copied to who asks",
    "/welcome/<token>": "256 random bits, once",
    "/shared/<token>": "256 random bits, until they are revoked",
}
UNKNOWN = "0" * 20
NOTED = {"seen_at", "last_used_at", "window_start"}  # when somebody was there


@dataclass
class Person:
    """Somebody with one of each thing, by the names in OWNED."""

    user: User
    ids: dict[str, str]
    client: FlaskClient
    key: str
    token: str = ""


def methods(rule: Rule) -> list[str]:
    return sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})


def rules_with_ids(app: Flask) -> list[Rule]:
    found = [rule for rule in app.url_map.iter_rules() if rule.arguments]
    return sorted((rule for rule in found if rule.rule not in PUBLIC), key=lambda rule: rule.rule)


def address(app: Flask, rule: Rule, ids: dict[str, str]) -> str:
    """Fill a rule's arguments with ids, by the names in OWNED."""
    values = {name: ids[OWNED[name]] for name in rule.arguments}
    return app.url_map.bind("localhost").build(rule.endpoint, values, method=methods(rule)[0])


def foreign(app: Flask, rule: Rule, own: dict[str, str], other: dict[str, str]) -> list[str]:
    """Return a rule's addresses with every mixture of ids that has a foreign one."""
    names = sorted({OWNED[name] for name in rule.arguments})
    mixtures = itertools.product((own, other), repeat=len(names))
    filled = [
        {name: ids[name] for name, ids in zip(names, mixture, strict=True)}
        for mixture in mixtures
        if other in mixture
    ]
    return [address(app, rule, ids) for ids in filled]


def contents(database: Database) -> dict[str, list[Any]]:
    """Return all rows of all tables, but not when somebody was there."""
    with database.reading() as session:
        return {
            table.name: sorted(
                str(row)
                for row in session.execute(
                    sa.select(*(column for column in table.columns if column.name not in NOTED))
                )
            )
            for table in metadata.sorted_tables
            if table.name != "throttles"
        }


@pytest.fixture
def person(
    database: Database,
    settings: Settings,
    site: Site,
    iris: Any,
    make_model: Any,
    log_in: Callable[[str], tuple[User, Any]],
) -> Callable[[str], Person]:
    """Return a function that makes a person with one of each thing."""

    def make(name: str) -> Person:
        user, browser = log_in(f"{name}@example.org")
        dataset = uploader.add_dataset(
            database,
            site.storage,
            settings.limits,
            user_id=user.id,
            name="d.csv",
            source=io.BytesIO(CSV),
        )
        model = make_model(iris, user.id)
        key, secret = keys.make_key(database, user.id, "report")
        plan = {"target": "y", "features": ["a"], "estimator": "decision_tree", "seed": 7}
        job = Job(user_id=user.id, dataset_id=dataset.id, name="d", plan_data=plan)
        share = ModelShare(model_id=model.id, token_hash=model.id)
        prediction = Prediction(user_id=user.id, model_id=model.id, inputs={}, answer={})
        with database.writing() as session:
            session.add_all([job, share, prediction])
            merged = session.merge(model)
            merged.series_id = merged.series_id or f"{model.id[::-1]}"
            merged.is_current = True
            held = session.scalars(
                sa.select(UserSession.id).where(UserSession.user_id == user.id)
            ).one()
            series = merged.series_id
        ids = {
            "dataset": dataset.id,
            "job": job.id,
            "model": model.id,
            "series": series,
            "share": share.id,
            "prediction": prediction.id,
            "key": key.id,
            "session": held,
        }
        return Person(user, ids, browser.client, secret, browser.token("/account"))

    return make


def test_every_argument_of_a_route_is_known(web: Flask, api: Flask) -> None:
    for app in (web, api):
        for rule in rules_with_ids(app):
            assert rule.arguments <= set(OWNED), f"say in OWNED what {rule.rule} names"


def ask_page(who: Person, method: str, path: str) -> Any:
    data = {"csrf_token": who.token} if method == "POST" else None
    return who.client.open(path, method=method, data=data)


def test_pages_give_nothing_of_others_away(
    web: Flask, database: Database, person: Callable[[str], Person]
) -> None:
    ada, bob = person("ada"), person("bob")
    stranger = web.test_client()
    before = contents(database)
    wrong = []
    asked = [(rule, method) for rule in rules_with_ids(web) for method in methods(rule)]
    for rule, method in asked:
        for path in [
            *foreign(web, rule, bob.ids, ada.ids),
            address(web, rule, dict.fromkeys(ada.ids, UNKNOWN)),
        ]:
            if (status := ask_page(bob, method, path).status_code) != 404:
                wrong.append((method, rule.rule, path, status))
        # Without a session the forms' token is missing, too: 400.
        answer = stranger.open(address(web, rule, ada.ids), method=method)
        refused = answer.status_code in {400, 401, 404}
        if not refused and not (answer.location or "").startswith("/login?next="):
            wrong.append((method, rule.rule, "nobody", answer.status_code))
    assert wrong == []
    assert contents(database) == before
    # The same addresses are not refused to whoever they belong to: the ids above were real ones.
    for number, (rule, method) in enumerate(asked):
        ends = method != "GET" and re.search("delete|revoke|end|cancel", rule.rule)
        owner = person(f"owner{number}") if ends else ada
        status = ask_page(owner, method, address(web, rule, owner.ids)).status_code
        assert status not in {400, 401, 403, 404, 500}, (method, rule.rule)


def test_the_api_gives_nothing_of_others_away(
    api: Flask, database: Database, person: Callable[[str], Person]
) -> None:
    ada, bob = person("ada"), person("bob")
    client = api.test_client()

    def ask(key: str, method: str, path: str) -> Any:
        headers = {"Authorization": f"Bearer {key}"}
        body = {"json": {"rows": [{}]}} if method in {"POST", "PATCH", "PUT"} else {}
        return client.open(path, method=method, headers=headers, **body)

    before = contents(database)
    wrong = []
    for rule in rules_with_ids(api):
        for method in methods(rule):
            unknown = ask(bob.key, method, address(api, rule, dict.fromkeys(ada.ids, UNKNOWN)))
            for path in foreign(api, rule, bob.ids, ada.ids):
                answer = ask(bob.key, method, path)
                if answer.status_code != 404 or answer.json["detail"] != unknown.json["detail"]:
                    wrong.append((method, path, answer.status_code))
            if client.open(address(api, rule, ada.ids), method=method).status_code != 401:
                wrong.append((method, rule.rule, "without a key"))
    assert wrong == []
    assert contents(database) == before
    for rule in sorted(rules_with_ids(api), key=lambda rule: methods(rule) == ["DELETE"]):
        for method in methods(rule):
            status = ask(ada.key, method, address(api, rule, ada.ids)).status_code
            assert status not in {401, 403, 404, 500} or method == "DELETE", (method, rule.rule)


def test_every_form_needs_the_token_of_its_session(
    web: Flask, database: Database, person: Callable[[str], Person]
) -> None:
    ada, bob = person("ada"), person("bob")
    before = contents(database)
    rules = [rule for rule in web.url_map.iter_rules() if "POST" in (rule.methods or ())]
    assert len(rules) > 15
    for rule in rules:
        values = {name: ada.ids.get(OWNED.get(name, ""), "x") for name in rule.arguments}
        path = web.url_map.bind("localhost").build(rule.endpoint, values, method="POST")
        for forged in ({}, {"csrf_token": ""}, {"csrf_token": bob.token}):
            answer = ada.client.post(path, data={**forged, "password": "a good long password"})
            assert answer.status_code == 400, rule.rule
            assert "reload" in answer.text, rule.rule
    assert contents(database) == before


SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script>", re.DOTALL)
INLINE = re.compile(r"<style\b|<[^>]*\s(style|on[a-z]+)\s*=|javascript:", re.IGNORECASE)


def test_scripts_run_by_their_nonce_and_nothing_is_inline(
    web: Flask, person: Callable[[str], Person]
) -> None:
    ada = person("ada")
    nonces, pages = [], 0
    for rule in web.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or not rule.arguments <= set(OWNED):
            continue
        answer = ada.client.get(address(web, rule, ada.ids))
        if answer.mimetype != "text/html" or answer.status_code != 200:
            continue
        pages += 1
        assert not INLINE.search(answer.text), rule.rule
        policy = answer.headers["Content-Security-Policy"]
        scripts = SCRIPT.findall(answer.text)
        if not scripts:
            assert "script-src 'none'" in policy, rule.rule
        for attributes, content in scripts:
            assert content.strip() == "", rule.rule
            found = re.search(r'nonce="([\w-]{22,})"', attributes)
            assert found, rule.rule
            assert f"script-src 'nonce-{found.group(1)}';" in policy, rule.rule
            nonces.append(found.group(1))
    assert pages > 6
    account = [ada.client.get("/account").headers["Content-Security-Policy"] for _ in range(2)]
    assert account[0] != account[1]
    assert len(set(nonces)) > 1

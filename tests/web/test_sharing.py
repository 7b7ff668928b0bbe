"""Links that show a model to whoever has them, and what its owner says about it."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa

from beanft.core.database import Database
from beanft.training import shares
from beanft.training.models import Model, ModelShare
from beanft.training.service import NOTES_MAX_CHARS


def make_link(browser: Any, model_id: str) -> str:
    answer = browser.post(f"/models/{model_id}/shares", page="/account")
    assert answer.status_code == 200
    found = re.search(r'id="new-link">http://localhost(/shared/[\w-]+)<', answer.text)
    assert found
    return found.group(1)


def test_a_link_shows_the_model_to_anybody_without_forms(
    ada: Any, visitor: Any, iris: Any, make_model: Any, database: Database
) -> None:
    model = make_model(iris, ada[0].id, name="Flowers", notes="For <gardeners>.")
    link = make_link(ada[1], model.id)
    answer = visitor.get(link)
    assert answer.status_code == 200
    for said in ("Flowers", "For &lt;gardeners&gt;.", "Confusion matrix", "petal_width", "Limits"):
        assert said in answer.text
    main = answer.text[answer.text.index("<main") : answer.text.index("</main>")]
    for hidden in ("<form", "/models/", "/datasets/", "/series/", model.id, ada[0].id):
        assert hidden not in main
    assert '<meta name="robots" content="noindex">' in answer.text
    assert answer.headers["X-Robots-Tag"] == "noindex"
    assert answer.headers["Cache-Control"] == "no-store"
    # To see is not to use.
    assert visitor.get(f"/models/{model.id}").status_code == 404
    assert visitor.post(f"/models/{model.id}/predict").status_code == 404
    # The token is nowhere but in the link.
    token = link.rsplit("/", 1)[1]
    assert token not in ada[1].get(f"/models/{model.id}").text
    with database.reading() as session:
        assert token not in session.scalars(sa.select(ModelShare)).one().token_hash


def test_a_wrong_or_revoked_link_shows_nothing(
    ada: Any, visitor: Any, iris: Any, make_model: Any
) -> None:
    model = make_model(iris, ada[0].id)
    link, other = make_link(ada[1], model.id), make_link(ada[1], model.id)
    page = ada[1].get(f"/models/{model.id}").text
    revoke = re.findall(rf"/models/{model.id}/shares/\w+/revoke", page)
    assert len(revoke) == 2
    for path in revoke:
        assert ada[1].post(path, page="/account").status_code == 302
        assert ada[1].post(path, page="/account").status_code == 302  # again, to no effect
    for path in (link, other, f"{link}x", "/shared/x"):
        assert visitor.get(path).status_code == 404
    assert "/revoke" not in ada[1].get(f"/models/{model.id}").text


def test_a_deleted_model_takes_its_links_along(
    ada: Any, visitor: Any, iris: Any, make_model: Any
) -> None:
    model = make_model(iris, ada[0].id)
    link = make_link(ada[1], model.id)
    ada[1].post(f"/models/{model.id}/delete", page="/account")
    assert visitor.get(link).status_code == 404


def test_only_the_owner_makes_and_revokes_links_and_takes_notes(
    ada: Any, bob: Any, visitor: Any, iris: Any, make_model: Any, database: Database
) -> None:
    model = make_model(iris, ada[0].id)
    his = make_model(iris, bob[0].id)
    share, _token = shares.make_share(database, ada[0].id, model.id)
    for path in (
        f"/models/{model.id}/shares",
        f"/models/{model.id}/shares/{share.id}/revoke",
        f"/models/{his.id}/shares/{share.id}/revoke",
        f"/models/{model.id}/notes",
    ):
        assert bob[1].post(path, {"notes": "mine"}, page="/account").status_code == 404
        assert visitor.post(path).status_code in {302, 401}
    assert [entry.id for entry in shares.shares_of(database, ada[0].id, model.id)] == [share.id]


def test_the_sample_has_no_links_and_no_notes(ada: Any, sample: Any, database: Database) -> None:
    with database.reading() as session:
        model = session.scalars(sa.select(Model)).one()
    assert sample["changed"]
    page = ada[1].get(f"/models/{model.id}").text
    assert "Everybody" in page
    assert "/shares" not in page
    for what in ("shares", "notes", "promote"):
        assert ada[1].post(f"/models/{model.id}/{what}", page="/account").status_code == 404


def test_only_so_many_links(
    ada: Any, iris: Any, make_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_SHARES", 1)
    model = make_model(iris, ada[0].id)
    make_link(ada[1], model.id)
    answer = ada[1].post(f"/models/{model.id}/shares", page="/account")
    assert answer.status_code == 409
    assert "Revoke one first" in answer.text


def test_notes_say_what_a_model_is_for(ada: Any, iris: Any, make_model: Any) -> None:
    model = make_model(iris, ada[0].id)
    path = f"/models/{model.id}/notes"
    said = "For teaching.\r\nNot for <b>botany</b>."
    assert ada[1].post(path, {"notes": said}, page="/account").status_code == 302
    page = ada[1].get(f"/models/{model.id}").text
    assert "For teaching.\nNot for &lt;b&gt;botany&lt;/b&gt;." in page
    long = "é" * (NOTES_MAX_CHARS + 1)
    answer = ada[1].post(path, {"notes": long}, page="/account")
    assert answer.status_code == 422
    assert f"{NOTES_MAX_CHARS} fit" in answer.text
    assert long in answer.text  # what was typed isn't lost
    assert ada[1].post(path, {"notes": "é" * NOTES_MAX_CHARS}, page="/account").status_code == 302
    assert ada[1].post(path, {"notes": " "}, page="/account").status_code == 302
    assert "Nothing is said." in ada[1].get(f"/models/{model.id}").text

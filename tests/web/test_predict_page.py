"""The page that predicts: its form, its answer, the latest rows, and the files."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest

from beanft.core.database import Database
from beanft.core.errors import NotFoundError
from beanft.ml.predict import Predictions
from beanft.predictions.explanation import _push
from beanft.predictions.forms import row_answer
from beanft.predictions.models import Prediction
from beanft.predictions.recent import KEPT, latest, remember
from beanft.training.models import Model

TABLE = b"size,colour,shop,y\n" + b"".join(
    b"%d,%s,s%d,%s\n" % (n, b"red" if n % 2 else b"blue", n % 30, b"x" if n % 2 else b"z")
    for n in range(60)
)
Train = Callable[..., Any]


def field(page: str, name: str) -> str:
    """Return the tag of a field."""
    found = re.search(rf'<(?:input|select) id="{name}"[^>]*>', page)
    assert found
    return found.group()


def test_the_form_comes_from_the_schema(ada: Any, train: Train, make_model: Any) -> None:
    model = make_model(train(TABLE, "y", "decision_tree"), ada[0].id)
    page = ada[1].get(f"/models/{model.id}/predict").text
    assert "inputmode=" in field(page, "f0")
    assert field(page, "f1").startswith("<select")
    assert re.search(r'<option value="blue" selected>', page)
    assert '<option value="">(missing)</option>' in page
    # Too many values to choose from are offered while typing.
    assert 'list="f2-values"' in field(page, "f2")
    assert '<option value="s17">' in page
    assert "colour" in page[page.index('id="file-form"') :]


def test_whole_numbers_are_said_and_get_the_numeric_pad(
    ada: Any, train: Train, make_model: Any
) -> None:
    trained = train(TABLE, "y", "decision_tree")
    schema = trained.schema.to_dict()
    schema["features"][0].update(integer=True, median=29.5)
    model = make_model(trained, ada[0].id, schema_data=schema)
    page = ada[1].get(f"/models/{model.id}/predict").text
    assert 'inputmode="numeric"' in field(page, "f0")
    assert 'value="30"' in field(page, "f0")
    assert re.search(r"whole numbers, \d+ to \d+ in training", page)
    assert "whole number" in ada[1].get(f"/models/{model.id}").text
    schema["features"][0].update(integer=False, least=-5)
    model = make_model(trained, ada[0].id, schema_data=schema)
    # Phones' pads have no minus.
    assert 'inputmode="text"' in field(ada[1].get(f"/models/{model.id}/predict").text, "f0")


def test_an_answer_has_probabilities_and_missing_values_are_allowed(
    ada: Any, train: Train, make_model: Any
) -> None:
    model = make_model(train(TABLE, "y", "decision_tree"), ada[0].id)
    row = {"f0": "", "f1": "red", "f2": "never seen"}
    answer = ada[1].post(f"/models/{model.id}/predict", row, page="/account")
    assert answer.status_code == 200
    assert re.search(r'class="label">x<', answer.text)
    assert answer.text.count("<meter") == 2
    assert 'value="never seen"' in field(answer.text, "f2")


def test_a_wrong_row_is_marked_by_the_field_and_kept(
    ada: Any, train: Train, make_model: Any, database: Database
) -> None:
    model = make_model(train(TABLE, "y", "decision_tree"), ada[0].id)
    row = {"f0": "<long>", "f1": "red", "f2": "s1"}
    answer = ada[1].post(f"/models/{model.id}/predict", row, page="/account")
    assert answer.status_code == 422
    assert "must be a number, not &#39;&lt;long&gt;&#39;" in answer.text
    assert 'value="&lt;long&gt;"' in field(answer.text, "f0")
    assert 'aria-invalid="true"' in field(answer.text, "f0")
    assert "aria-invalid" not in field(answer.text, "f1")
    assert latest(database, ada[0].id, model.id) == []


def test_the_five_latest_are_kept_and_can_be_filled_in(
    ada: Any, bob: Any, sample: Any, visitor: Any, database: Database
) -> None:
    assert sample["changed"]
    found = re.search(r'action="(/models/(\w+)/predict)', visitor.get("/").text)
    assert found
    page, model_id = found.groups()
    row = {"f0": "6.5", "f1": "3.0", "f2": "5.8", "f3": "2.2"}
    for number in range(KEPT + 2):
        assert ada[1].post(page, {**row, "f0": f"5.{number}"}, page="/account").status_code == 200
    kept = latest(database, ada[0].id, model_id)
    assert [entry.inputs["sepal_length"] for entry in kept] == ["5.6", "5.5", "5.4", "5.3", "5.2"]
    assert kept[0].answer["text"] == "virginica"
    assert 0.5 < kept[0].answer["probability"] <= 1
    mine = ada[1].get(page).text
    assert mine.count("Fill in") == KEPT
    again = html.unescape(re.findall(r'href="([^"]+\?row=\w+)"', mine)[-1])
    assert 'value="5.2"' in field(ada[1].get(again).text, "f0")
    # Nobody else's rows are shown or filled in.
    his = bob[1].get(again).text
    assert "5.2" not in field(his, "f0")
    assert "Fill in" not in his
    assert "Your latest" not in visitor.get(page).text
    visitor.post(page, row)
    with database.reading() as session:
        assert session.query(Prediction).count() == KEPT


def test_a_model_deleted_meanwhile_keeps_no_row(ada: Any, database: Database) -> None:
    with pytest.raises(NotFoundError):
        remember(database, ada[0].id, "0" * 20, {}, {"text": "x"})


def test_the_page_of_somebody_elses_model_is_not_there(
    ada: Any, bob: Any, visitor: Any, iris: Any, make_model: Any
) -> None:
    model = make_model(iris, ada[0].id)
    assert ada[1].get(f"/models/{model.id}/predict").status_code == 200
    assert bob[1].get(f"/models/{model.id}/predict").status_code == 404
    assert visitor.get(f"/models/{model.id}/predict").status_code == 404


def test_a_number_is_answered_with_its_usual_error() -> None:
    data = {"features": [], "target": "y", "classes": [], "task": "regression"}
    model = Model(task="regression", schema_data=data, metrics={"rmse": 53.25})
    answer = row_answer(model, Predictions(values=[120.123456789]))
    assert (answer.text, answer.error, answer.chances) == ("120.123", 53.25, [])
    assert answer.to_dict() == {"text": "120.123"}
    assert row_answer(Model(task="regression", metrics={}), Predictions(values=[1.0])).error is None


def test_the_answer_says_which_values_made_it(ada: Any, iris: Any, make_model: Any) -> None:
    model = make_model(iris, ada[0].id)
    medians = {f"f{place}": str(f.median) for place, f in enumerate(iris.schema.features)}
    usual = ada[1].post(f"/models/{model.id}/predict", medians, page="/account").text
    # Nothing is unusual in a usual row.
    assert re.findall(r">\+(\d\.\d) %<", usual) == ["0.0"] * 4
    row = {**medians, "f2": "1.4"}
    why = ada[1].post(f"/models/{model.id}/predict", row, page="/account").text
    why = why[why.index("<h3>Why</h3>") :]
    first = why[why.index("<tr>") : why.index("</tr>")]
    assert "petal_length" in first
    assert "1.4" in first
    found = re.search(r'class="for" x="50" width="50.0"', first)
    assert found
    assert why.count('class="middle"') == 4


def test_effects_of_a_number_are_in_its_unit() -> None:
    model = Model(task="regression")
    up, down = (_push(model, "a", value, effect, 20.0) for value, effect in (("7", 20.0), ("", -5)))
    assert (up.kind, up.start, up.width, up.text) == ("for", 50, 50.0, "+20")
    assert (down.kind, down.start, down.width, down.text) == ("against", 37.5, 12.5, "-5")
    assert down.value == "missing"

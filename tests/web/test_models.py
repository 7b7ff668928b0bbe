"""Train on a page, look at the model, predict."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from beanft.config import Settings
from beanft.core.database import Database
from beanft.extensions import Site
from beanft.jobs.models import Job
from beanft.jobs.runner import Runner
from beanft.training.models import Model
from beanft.training.sample import SAMPLES

IRIS = {
    "target": "species",
    "features": ["sepal_length", "petal_length", "petal_width", "species"],
    "estimator": "logistic_regression",
}


def work(site: Site) -> None:
    """Do what a worker does with the announced jobs."""
    runner = Runner(site.settings, site.database, site.storage, lambda: False, lambda _id: None)
    with site.database.reading() as session:
        waiting = list(session.scalars(sa.select(Job.id).where(Job.state == "queued")))
    for job_id in waiting:
        runner.run(job_id)


def test_from_upload_to_prediction(site: Site, ada: Any) -> None:
    _user, browser = ada
    dataset = browser.upload((SAMPLES / "iris.csv").read_bytes(), "iris.csv").location
    page = browser.get(f"{dataset}/train").text
    assert re.search(r'value="species" selected', page)
    answer = browser.post(f"{dataset}/train", IRIS, page="/account")
    assert answer.status_code == 302
    job = answer.location
    assert browser.get(f"{job}/status").json["state"] == "queued"
    assert 'http-equiv="refresh"' in browser.get(job).text
    assert site.queue.pending() == 1
    work(site)
    state = browser.get(f"{job}/status").json
    assert (state["state"], state["progress"], state["active"]) == ("succeeded", 100, False)
    model = browser.get(job).location
    page = browser.get(model).text
    assert float(re.search(r'id="accuracy">([\d.]+) %', page).group(1)) >= 90  # type: ignore[union-attr]
    for said in ("Confusion matrix", "<svg", "Precision", "Recall", "petal_width"):
        assert said in page
    assert "sepal_width" not in page

    row = {"f0": "5.1", "f1": "1.4", "f2": "0.2"}
    answer = browser.post(f"{model}/predict", row, page="/account")
    assert re.search(r'class="label">setosa<', answer.text)
    assert "<meter" in answer.text
    wrong = browser.post(f"{model}/predict", {**row, "f1": "long"}, page="/account")
    assert wrong.status_code == 422
    assert "must be a number" in wrong.text
    assert 'value="long"' in wrong.text

    assert "iris.csv" in browser.get("/datasets").text
    assert browser.post(f"{dataset}/delete", page="/account").status_code == 302
    assert browser.get(model).status_code == 200
    assert browser.post(f"{model}/delete", page="/account").status_code == 302
    assert browser.get(model).status_code == 404


def test_a_csv_comes_back_with_predictions_and_harmless_cells(
    ada: Any, train: Callable[..., Any], make_model: Any
) -> None:
    user, browser = ada
    table = b"a,colour,y\n" + b"1,=red,x\n-2,blue,z\n" * 12
    model = make_model(train(table, "y", "decision_tree"), user.id)
    sent = io.BytesIO(b"a;colour;y\n1;=red;x\n-2;blue;\n")
    answer = browser.post(
        f"/models/{model.id}/predict-csv", {"file": (sent, "rows.csv")}, page="/account"
    )
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["predicted_y"] for row in rows] == ["x", "z"]
    assert [row["colour"] for row in rows] == ["'=red", "blue"]
    assert rows[1]["a"] == "-2"
    assert float(rows[0]["probability_x"]) == 1.0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"a,b\n1,2\n", "is missing"),
        (b"sepal_length,sepal_width,petal_length,petal_width\n1,2,x,4\n", "Row 1"),
        (b"\x00\x01\x02", "not a CSV"),
    ],
)
def test_bad_files_to_predict_name_what_is_wrong(
    ada: Any, iris: Any, make_model: Any, content: bytes, said: str
) -> None:
    user, browser = ada
    model = make_model(iris, user.id)
    answer = browser.post(
        f"/models/{model.id}/predict-csv",
        {"file": (io.BytesIO(content), "rows.csv")},
        page="/account",
    )
    assert answer.status_code == 422
    assert said in answer.text
    assert browser.post(f"/models/{model.id}/predict-csv", page="/account").status_code == 422


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (b"a,y\n" + b"1,x\n" * 12, "one class only"),
        (b"a,y\n" + b"1,x\n2,\n" * 12, "have no value for"),
        (b"a,y\n" + b"".join(b"n%d,%d\n" % (i, i % 2) for i in range(60)), "is text with more"),
    ],
)
def test_what_cannot_be_trained_on_says_why_by_the_field(ada: Any, table: bytes, said: str) -> None:
    dataset = ada[1].upload(table).location
    form = {"target": "y", "features": "a", "estimator": "random_forest"}
    answer = ada[1].post(f"{dataset}/train", form, page="/account")
    assert answer.status_code == 422
    assert said in answer.text
    assert 'class="problem"' in answer.text


def test_missing_numbers_and_text_columns_can_be_trained_on(site: Site, ada: Any) -> None:
    table = b"a,c,y\n" + b"1,red,x\n,blue,z\n3,red,x\n4,blue,z\n" * 6
    dataset = ada[1].upload(table).location
    form = {"target": "y", "features": ["a", "c"], "estimator": "random_forest"}
    job = ada[1].post(f"{dataset}/train", form, page="/account").location
    work(site)
    model = ada[1].get(job).location
    answer = ada[1].post(f"{model}/predict", {"f0": "", "f1": "blue"}, page="/account")
    assert re.search(r'class="label">z<', answer.text)


def test_a_training_can_be_cancelled(site: Site, ada: Any, bob: Any) -> None:
    dataset = ada[1].upload((SAMPLES / "iris.csv").read_bytes()).location
    job = ada[1].post(f"{dataset}/train", IRIS, page="/account").location
    assert bob[1].post(f"{job}/cancel", page="/account").status_code == 404
    assert bob[1].get(job).status_code == 404
    assert bob[1].get(f"{job}/status").status_code == 404
    assert ada[1].post(f"{job}/cancel", page="/account").status_code == 302
    assert "cancelled" in ada[1].get(job).text
    work(site)
    assert ada[1].get(f"{job}/status").json["state"] == "cancelled"


def test_only_so_many_trainings_at_once(settings: Settings, ada: Any) -> None:
    dataset = ada[1].upload((SAMPLES / "iris.csv").read_bytes()).location
    for _ in range(settings.limits.active_jobs_per_user):
        assert ada[1].post(f"{dataset}/train", IRIS, page="/account").status_code == 302
    assert ada[1].post(f"{dataset}/train", IRIS, page="/account").status_code == 409


def test_models_of_others_are_not_there(ada: Any, bob: Any, iris: Any, make_model: Any) -> None:
    model = make_model(iris, ada[0].id)
    file = {"file": (io.BytesIO(b"a\n1\n"), "x.csv")}
    for answer in (
        bob[1].get(f"/models/{model.id}"),
        bob[1].post(f"/models/{model.id}/predict", page="/account"),
        bob[1].post(f"/models/{model.id}/predict-csv", file, page="/account"),
        bob[1].post(f"/models/{model.id}/delete", page="/account"),
    ):
        assert answer.status_code == 404
    assert model.id not in bob[1].get("/models").text
    assert model.id in ada[1].get("/models").text


def test_anybody_may_try_the_sample_and_nobody_may_delete_it(
    sample: dict[str, Any], visitor: Any, ada: Any, database: Database
) -> None:
    assert sample["changed"]
    found = re.search(r'action="(/models/\w+/predict)', visitor.get("/").text)
    assert found
    row = {"f0": "6.5", "f1": "3.0", "f2": "5.8", "f3": "2.2"}
    answer = visitor.post(found.group(1), row)
    assert re.search(r'class="label">virginica<', answer.text)
    path = found.group(1).removesuffix("/predict")
    assert visitor.get(path).status_code == 200
    assert visitor.post(f"{path}/predict-csv").status_code == 401
    assert ada[1].post(f"{path}/delete", page="/account").status_code == 404
    with database.reading() as session:
        assert session.scalars(sa.select(Model)).one().released_name == "iris"


REGRESSION = b"size,colour,price\n" + b"".join(
    b"%s,%s,%.2f\n"
    % (b"%d" % n if n % 7 else b"", (b"red", b"blue")[n % 2], 3.5 * n + 20 * (n % 2) + n % 5)
    for n in range(80)
)


def test_a_number_is_predicted_by_the_best_of_what_was_compared(site: Site, ada: Any) -> None:
    dataset = ada[1].upload(REGRESSION, "prices.csv").location
    sent = {
        "target": "price",
        "features": ["size", "colour"],
        "estimators_regression": ["linear_regression", "decision_tree"],
    }
    job = ada[1].post(f"{dataset}/train", sent, page="/account").location
    work(site)
    state = ada[1].get(f"{job}/status").json
    assert [result["state"] for result in state["results"]] == ["done", "done"], state
    for result in state["results"]:
        assert re.fullmatch(r"-?\d\.\d{3} ± \d\.\d{3}", result["cv"])
        assert re.fullmatch(r"-?\d\.\d{3}", result["score"])
    where = ada[1].get(job).location
    assert re.fullmatch(r"/series/\w+\?job=\w+", where)
    board = ada[1].get(where).text
    assert "R2, the best in cross-validation first" in board
    assert board.count('class="fresh"') == 2
    first = re.search(r'<a href="(/models/\w+)">Version', board)
    assert first
    model = first.group(1)
    page = ada[1].get(model).text
    assert "<circle" in page
    assert "RMSE" in page
    assert "prices.csv" in page
    answer = ada[1].post(f"{model}/predict", {"f0": "40", "f1": "red"}, page="/account").text
    found = re.search(r'class="label">(-?[\d.]+) <span class="spread">± ([\d.]+)<', answer)
    assert found
    value, error = map(float, found.groups())
    assert abs(value - 140) < 40
    assert 0 < error < 60
    assert "<meter" not in answer
    sent_file = {"file": (io.BytesIO(b"colour,size\nred,40\nblue,\n"), "rows.csv")}
    answer = ada[1].post(f"{model}/predict-csv", sent_file, page="/account")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert list(rows[0]) == ["colour", "size", "predicted_price"]
    assert float(rows[0]["predicted_price"]) == pytest.approx(value, rel=1e-3)
    assert ada[1].get(f"{model}/predict").text.count("Fill in") == 1


def test_a_second_training_of_a_name_adds_versions(site: Site, ada: Any) -> None:
    dataset = ada[1].upload((SAMPLES / "iris.csv").read_bytes(), "iris.csv").location
    boards = []
    for features in (["sepal_width"], ["petal_length", "petal_width"]):
        sent = {**IRIS, "features": features, "name": "Flowers"}
        job = ada[1].post(f"{dataset}/train", sent, page="/account").location
        work(site)
        # One estimator is no comparison: its model is what came of it.
        model = ada[1].get(job).location
        assert model.startswith("/models/")
        found = re.search(r'href="(/series/\w+)"', ada[1].get(model).text)
        assert found
        boards.append(found.group(1))
    assert boards[0] == boards[1]
    board = ada[1].get(boards[0]).text
    assert board.index("Version 2") < board.index("Version 1")
    # The first stays current until somebody chooses.
    row = board[board.index("Version 1") :]
    assert ">current<" in row[: row.index("</tr>")]
    assert "Flowers" in ada[1].get("/models").text

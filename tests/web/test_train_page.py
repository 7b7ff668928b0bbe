"""The page that plans a training: what it recognises, what can be overridden, what is wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa

from beanft.core.database import Database
from beanft.jobs.models import Job
from beanft.ml.plan import ESTIMATORS, Plan

# y is a measurement, n a number of few values, k a word.
TABLE = b"a,n,k,y\n" + b"".join(
    b"%d,%d,%s,%.3f\n" % (row, row % 3, b"xy"[row % 2 : row % 2 + 1], row * 1.5 + 0.125)
    for row in range(60)
)


@pytest.fixture
def dataset(ada: Any) -> str:
    """The address of Ada's table."""
    where: str = ada[1].upload(TABLE, "shop.csv").location
    return where


def plans(database: Database) -> list[Plan]:
    with database.reading() as session:
        return [
            Plan.from_dict(job.plan_data)
            for job in session.scalars(sa.select(Job).order_by(Job.created_at, Job.id))
        ]


def test_the_page_recognises_a_task_for_each_column(ada: Any, dataset: str) -> None:
    page = ada[1].get(f"{dataset}/train").text
    tasks = dict(re.findall(r'data-task="(\w+)" value="(\w)"', page))
    found = {column: task for task, column in re.findall(r'data-task="(\w+)" value="(\w)"', page)}
    assert tasks
    assert found["y"] == "regression"
    assert found["k"] == "classification"
    assert re.search(r'value="k" selected', page)  # words before numbers
    for task, choices in ESTIMATORS.items():
        for key in choices:
            assert re.search(rf'name="estimators_{task}" value="{key}" checked', page)
    assert 'placeholder="shop: k"' in page


def test_what_is_recognised_decides_which_ticks_count(
    ada: Any, dataset: str, database: Database
) -> None:
    first, *_rest = ESTIMATORS["regression"]
    sent = {
        "target": "y",
        "task": "",
        "features": ["a", "k", "y"],
        "estimators_classification": list(ESTIMATORS["classification"]),
        "estimators_regression": [first],
        "name": " Sales\r\n\0",
    }
    answer = ada[1].post(f"{dataset}/train", sent, page="/account")
    assert answer.status_code == 302
    (plan,) = plans(database)
    assert (plan.task, plan.estimators, plan.name) == ("regression", (first,), "Sales")
    assert plan.features == ("a", "k")
    page = ada[1].get(answer.location).text
    assert "<h1>Sales</h1>" in page
    assert page.count('id="result-') == 1
    assert "waiting" in page


def test_the_task_can_be_overridden(ada: Any, dataset: str, database: Database) -> None:
    both = {f"estimators_{task}": list(choices)[:1] for task, choices in ESTIMATORS.items()}
    sent = {"target": "n", "features": ["a"], **both}
    for task in ("classification", "regression"):
        answer = ada[1].post(f"{dataset}/train", {**sent, "task": task}, page="/account")
        assert answer.status_code == 302, answer.text
    assert {plan.task for plan in plans(database)} == {"classification", "regression"}


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"target": "nope"}, "target", "Choose the column"),
        ({"target": "y", "task": "classification"}, "target", "too many"),
        ({"task": "magic"}, "task", "Choose"),
        ({"features": []}, "features", "at least one column"),
        ({"features": ["nope"]}, "features", "no column"),
        ({"estimators_classification": []}, "estimators", "estimator"),
        ({"estimators_classification": ["magic"]}, "estimators", "estimator"),
        ({"name": "x" * 121}, "name", "over 120 characters"),
    ],
)
def test_what_is_wrong_is_said_by_the_field_and_the_rest_is_kept(
    ada: Any, dataset: str, database: Database, change: dict[str, Any], field: str, said: str
) -> None:
    sent = {
        "target": "k",
        "task": "",
        "features": ["a"],
        "estimators_classification": ["random_forest"],
        "name": "Kept",
    }
    answer = ada[1].post(f"{dataset}/train", {**sent, **change}, page="/account")
    assert answer.status_code == 422
    assert plans(database) == []
    start = r'class="field[^"]*wrong"'
    marked = re.findall(rf"{start}.*?</(?:fieldset|div)>", answer.text, re.DOTALL)
    assert any('class="problem"' in block and said in block for block in marked), field
    if "name" not in change:
        assert 'value="Kept"' in answer.text


def test_a_page_of_the_release_before_sends_one_estimator(
    ada: Any, dataset: str, database: Database
) -> None:
    sent = {"target": "k", "features": ["a"], "estimator": "decision_tree"}
    job = ada[1].post(f"{dataset}/train", sent, page="/account").location
    (plan,) = plans(database)
    assert plan.estimators == ("decision_tree",)
    assert "<h1>shop: k</h1>" in ada[1].get(job).text


def test_a_table_that_nothing_can_be_predicted_from_still_has_a_page(ada: Any) -> None:
    where = ada[1].upload(b"a,b\n" + b"1,\n" * 12).location
    page = ada[1].get(f"{where}/train")
    assert page.status_code == 200
    assert ada[1].post(f"{where}/train", {"target": "b"}, page="/account").status_code == 422


def test_a_job_of_the_release_before_shows_its_one_estimator(
    ada: Any, dataset: str, database: Database
) -> None:
    data = {"target": "k", "features": ["a"], "estimator": "random_forest", "seed": 7}
    job = Job(user_id=ada[0].id, dataset_id=dataset.rsplit("/", 1)[1], name="Old", plan_data=data)
    with database.writing() as session:
        session.add(job)
    page = ada[1].get(f"/jobs/{job.id}").text
    assert page.count('id="result-') == 1
    assert 'id="result-random_forest"' in page
    assert ada[1].get(f"/jobs/{job.id}/status").json["results"][0]["state"] == "waiting"


def test_the_picture_has_a_lane_for_each_kind_of_column(ada: Any, dataset: str) -> None:
    page = ada[1].get(f"{dataset}/train").text
    start = page.index("What happens to the columns")
    first = page[page.index('class="pipeline"', start) : page.index("</details>", start)]
    lanes = re.findall(r'<ol class="lane".*?</ol>', first, re.DOTALL)
    assert len(lanes) == 1  # k is the target, and y, a, n are numbers
    assert re.search(r'class="box columns">\s*a, n, y', lanes[0])
    assert lanes[0].index("Fill in") < lanes[0].index("Scale")
    assert "Logistic regression" in first[first.index("</ol>") :]
    sent = {"target": "y", "features": ["a", "k"], "estimators_regression": []}
    page = ada[1].post(f"{dataset}/train", sent, page="/account").text
    shown = page[page.index('<div class="for-regression">') :]
    lanes = re.findall(r'<ol class="lane".*?</ol>', shown[: shown.index("</details>")], re.DOTALL)
    assert [("Encode" in lane, "Fill in" in lane) for lane in lanes] == [
        (False, True),
        (True, False),
    ]


def test_a_name_of_several_lines_is_a_column_as_browsers_send_it(
    ada: Any, database: Database
) -> None:
    """A form sends each line break as CR and LF, whatever the file has."""
    table = TABLE.replace(b"a,n,k,y", b'"two\nlines",n,"k\nl",y')
    where = ada[1].upload(table, "lines.csv").location
    sent = {
        "target": "k\r\nl",
        "features": ["two\r\nlines", "n"],
        "task": "",
        "estimators_classification": ["logistic_regression"],
    }
    assert ada[1].post(f"{where}/train", sent, page=f"{where}/train").status_code == 302
    (plan,) = plans(database)
    assert (plan.target, plan.features) == ("k\nl", ("two\nlines", "n"))

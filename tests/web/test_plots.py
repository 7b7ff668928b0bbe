"""Pages of plots and charts: figures, their data, bad choices, and who may see them."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from beanft import assets
from beanft.training.sample import SAMPLES

PAGES = ("plot", "plot_2", "plot_3", "chart")
IRIS = (SAMPLES / "iris.csv").read_bytes()


@pytest.fixture
def iris_path(ada: Any) -> str:
    """The address of Ada's iris data set."""
    return str(ada[1].upload(IRIS, "iris.csv").location)


@pytest.mark.parametrize("page", PAGES)
def test_each_page_has_its_figures_as_a_picture_a_table_and_csv(
    ada: Any, iris_path: str, page: str
) -> None:
    browser = ada[1]
    answer = browser.get(f"{iris_path}/{page}")
    assert answer.status_code == 200
    assert "style=" not in answer.text
    assert re.search(r'<script type="module" src="/static/dist/charts-\w{8}\.js"', answer.text)
    figures = browser.get(f"{iris_path}/{page}/data").json["figures"]
    assert figures
    assert answer.text.count("<figure") == answer.text.count("<details>") == len(figures)
    for key, figure in figures.items():
        assert f'data-chart="{iris_path}/{page}/data#{key}"' in answer.text
        assert figure["alt"].endswith(".")
        sent = browser.get(f"{iris_path}/{page}/csv?figure={key}")
        assert sent.mimetype == "text/csv"
        assert f"iris-{key}.csv" in sent.headers["Content-Disposition"]
        rows = list(csv.reader(io.StringIO(sent.text)))
        assert len({len(row) for row in rows}) == 1
        assert len(rows) > 1 or key == "missing"
    assert browser.get(f"{iris_path}/{page}/csv?figure=nothing").status_code == 404
    assert browser.get(f"{iris_path}/{page}/csv").status_code == 200


def test_the_counts_are_those_of_the_file(ada: Any, iris_path: str) -> None:
    query = "column=petal_length&by=species&bins=6"
    figure = ada[1].get(f"{iris_path}/plot/data?{query}").json["figures"]["histogram"]
    assert [(s["name"], sum(s["values"])) for s in figure["series"]] == [
        ("setosa", 40), ("versicolor", 40), ("virginica", 40),
    ]  # fmt: skip
    page = ada[1].get(f"{iris_path}/plot?{query}").text
    assert f"{iris_path}/plot/data?{query.replace('&', '&amp;')}#histogram" in page
    box = ada[1].get(f"{iris_path}/plot/data?column=petal_length&kind=box").json["figures"]["box"]
    assert box["labels"] == ["setosa", "versicolor", "virginica"]
    assert box["series"][0]["boxes"][0]["median"] == 1.4
    query = "x=petal_length&y=petal_width&by="
    points = ada[1].get(f"{iris_path}/plot_2/data?{query}").json["figures"]["scatter"]
    assert len(points["series"]) == 1
    assert len(points["series"][0]["points"]) == 120


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("plot?column=none", "column", "no column &#39;none&#39;"),
        ("plot?by=none", "by", "no column"),
        ("plot?bins=1", "bins", "from 2 to 100"),
        ("plot?bins=many", "bins", "whole number"),
        ("plot?kind=pie", "kind", "Choose a histogram or boxes"),
        ("plot?column=species&kind=box", "kind", "is text"),
        ("plot_2?x=species", "x", "Choose a column of numbers"),
        ("plot_2?y=", "y", "Choose a column of numbers"),
        ("plot_2?by=<script>", "by", "no column"),
        ("plot_3?columns=sepal_width", "columns", "two columns of numbers or more"),
        ("plot_3?columns=species&columns=sepal_width", "columns", "is text"),
        ("plot_3?method=guess", "method", "Pearson or Spearman"),
    ],
)
def test_a_bad_choice_is_said_beside_its_field(
    ada: Any, iris_path: str, query: str, field: str, said: str
) -> None:
    browser = ada[1]
    answer = browser.get(f"{iris_path}/{query}")
    assert answer.status_code == 422
    assert said in answer.text
    assert "<script>" not in answer.text
    assert "<figure" not in answer.text
    page, choice = query.split("?")
    data = browser.get(f"{iris_path}/{page}/data?{choice}")
    assert data.status_code == 422
    assert [error["field"] for error in data.json["errors"]] == [field]
    assert browser.get(f"{iris_path}/{page}/csv?{choice}").status_code == 422


def test_tables_without_numbers_say_where_to_go(ada: Any) -> None:
    browser = ada[1]
    path = browser.upload(b"a,b\nx,y\nz,y\n", "words.csv").location
    for page in ("plot_2", "plot_3"):
        answer = browser.get(f"{path}/{page}")
        assert "Look at one column" in answer.text
        assert answer.text.count("<form") == 1  # logging out
    assert browser.get(f"{path}/plot").status_code == 200
    assert browser.get(f"{path}/chart").status_code == 200
    assert browser.get(f"/dashboard/{path.rsplit('/', 1)[1]}").status_code == 200
    path = browser.upload(b"a,b\nx,1\nz,2\n", "one.csv").location
    assert browser.get(f"{path}/plot_2").status_code == 200
    assert "less than two columns" in browser.get(f"{path}/plot_3").text


def test_names_and_formulas_do_no_harm(ada: Any) -> None:
    browser = ada[1]
    path = browser.upload(b'<b>x</b>,"=cmd()"\n1,=1+1\n2,@b\n3,=1+1\n').location
    for page in (*PAGES[:1], PAGES[3]):
        text = browser.get(f"{path}/{page}").text
        assert "<b>x" not in text
    sent = browser.get(f"{path}/plot/csv?column=%3Dcmd()&by=").text
    assert sent.splitlines() == ["'=cmd(),rows", "'=1+1,2", "'@b,1"]


@pytest.mark.parametrize("end", ["", "/data", "/csv"])
@pytest.mark.parametrize("page", PAGES)
def test_other_peoples_data_sets_are_not_there(
    iris_path: str, bob: Any, visitor: Any, page: str, end: str
) -> None:
    assert bob[1].get(f"{iris_path}/{page}{end}").status_code == 404
    assert bob[1].get(f"/datasets/nothing/{page}{end}").status_code == 404
    assert visitor.get(f"{iris_path}/{page}{end}").status_code == 302


def test_a_models_charts(ada: Any, bob: Any, visitor: Any, iris: Any, make_model: Any) -> None:
    model = make_model(iris, ada[0].id)
    page = ada[1].get(f"/models/{model.id}/chart")
    assert page.status_code == 200
    assert "Confusion" in page.text
    figures = ada[1].get(f"/models/{model.id}/chart/data").json["figures"]
    assert figures["confusion"]["series"][0]["texts"] == model.metrics["confusion"]
    assert "is \\ says" in ada[1].get(f"/models/{model.id}/chart/csv").text
    for end in ("", "/data", "/csv"):
        assert bob[1].get(f"/models/{model.id}/chart{end}").status_code == 404
        assert visitor.get(f"/models/{model.id}/chart{end}").status_code == 404


def test_the_released_models_charts_are_for_everybody(visitor: Any, sample: Any) -> None:
    link = re.search(r'href="(/models/\w+/chart)"', visitor.get("/").text)
    assert link
    assert visitor.get(link.group(1)).status_code == 200


def test_scripts_are_kept_for_a_year(web: Flask) -> None:
    client = web.test_client()
    with web.test_request_context():
        path = assets.asset("charts.js")
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert "javascript" in answer.content_type
    answer.close()
    licenses = client.get("/static/dist/LICENSES.txt")
    assert "chart.js" in licenses.text
    assert "immutable" not in licenses.headers["Cache-Control"]
    licenses.close()


def _other(client: FlaskClient, name: str) -> Any:
    return client.get(f"/static/dist/{name}")


def test_a_script_of_another_release_is_answered_by_ours(web: Flask) -> None:
    client = web.test_client()
    answer = _other(client, "charts-00000000.js")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    answer.close()
    for name in ("other-00000000.js", "charts.js", "charts-00000000.css"):
        assert _other(client, name).status_code == 404


def test_scripts_that_are_not_there_are_named(
    web: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with web.test_request_context():
        with pytest.raises(assets.AssetError, match=r"no script 'nothing\.js' among charts\.js"):
            assets.asset("nothing.js")
        monkeypatch.setattr(assets, "DIST", tmp_path)
        assets.manifest.cache_clear()
        with pytest.raises(assets.AssetError, match="run bin/assets"):
            assets.asset("charts.js")
    monkeypatch.undo()
    assets.manifest.cache_clear()

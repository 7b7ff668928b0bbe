"""The dashboard: filters, sorting, what a visitor may see."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from beanft.training.sample import SAMPLES

TABLE = b"name,size,kind,whole\n=a,1.5,x,1\nb,2.25,y,2\nc,,x,2\nd,30.125,,1\ne,4,y,\n"


@pytest.fixture
def board(ada: Any) -> str:
    """The address of a board of Ada's."""
    location = ada[1].upload(TABLE, "table.csv").location
    return "/dashboard/" + str(location).rsplit("/", 1)[1]


def names(browser: Any, path: str) -> list[str]:
    return [row[0] for row in browser.get(path).json["table"]["rows"]]


def test_visitors_have_the_samples(visitor: Any) -> None:
    assert "/dashboard/iris" in visitor.get("/dashboard").text
    page = visitor.get("/dashboard/iris")
    assert page.status_code == 200
    assert "style=" not in page.text
    answer = visitor.get("/dashboard/iris/data?low2=3&in4=versicolor&in4=virginica").json
    with (SAMPLES / "iris.csv").open() as stream:
        expected = [
            row
            for row in csv.DictReader(stream)
            if float(row["petal_length"]) >= 3 and row["species"] != "setosa"
        ]
    assert answer["rows"] == len(expected)
    assert answer["total"] == 120
    assert sum(len(s["points"]) for s in answer["figures"]["points"]["series"]) == len(expected)
    assert sum(answer["figures"]["classes"]["series"][0]["values"]) == len(expected)
    assert len(answer["table"]["rows"]) == 50
    assert visitor.get("/dashboard/unknown").status_code == 302


@pytest.mark.parametrize(
    ("query", "passing"),
    [
        ("", ["=a", "b", "c", "d", "e"]),
        ("low1=2", ["b", "d", "e"]),
        ("low1=2&high1=5", ["b", "e"]),
        ("in2=x", ["=a", "c"]),
        ("in2=x&in2=y", ["=a", "b", "c", "e"]),
        ("in3=2", ["b", "c"]),
        ("in2=x&in3=1", ["=a"]),
        ("low1=100", []),
        ("sort=size", ["=a", "b", "e", "d", "c"]),
        ("sort=-size", ["d", "e", "b", "=a", "c"]),
        ("sort=-kind", ["b", "e", "=a", "c", "d"]),
        ("sort=kind&sort=-name", ["e", "d", "c", "b", "=a"]),
    ],
)
def test_rows_that_pass(ada: Any, board: str, query: str, passing: list[str]) -> None:
    browser = ada[1]
    assert names(browser, f"{board}/data?{query}") == passing
    page = browser.get(f"{board}?{query}")
    assert page.status_code == 200
    assert f"<span data-rows>{len(passing)}</span> of 5" in page.text
    rows = list(csv.reader(io.StringIO(browser.get(f"{board}/csv?{query}").text)))
    assert rows[0] == ["name", "size", "kind", "whole"]
    assert [row[0].removeprefix("'") for row in rows[1:]] == passing


def test_downloads_keep_all_digits_and_harm_nobody(ada: Any, board: str) -> None:
    text = ada[1].get(f"{board}/csv").text
    assert text.splitlines()[1] == "'=a,1.5,x,1"
    assert "30.125" in text
    sent = ada[1].get(f"{board}/csv?figure=spread")
    assert "table-spread.csv" in sent.headers["Content-Disposition"]
    assert ada[1].get(f"{board}/csv?figure=nothing").status_code == 404


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("low1=much", "low1", "&#39;much&#39; is not a number"),
        ("high1=nan", "high1", "is not a number"),
        ("low1=5&high1=1", "low1", "above the upper one"),
        ("in2=q", "in2", "Tick values of the list"),
        ("x=name", "x", "no such column"),
        ("by=nothing", "by", "no such column"),
        ("sort=nothing", "sort", None),
    ],
)
def test_bad_filters_are_said_beside_them(
    ada: Any, board: str, query: str, field: str, said: str | None
) -> None:
    answer = ada[1].get(f"{board}?{query}")
    assert answer.status_code == 422
    assert said is None or said in answer.text
    data = ada[1].get(f"{board}/data?{query}")
    assert data.status_code == 422
    assert [error["field"] for error in data.json["errors"]] == [field]
    assert ada[1].get(f"{board}/csv?{query}").status_code == 422


def test_a_board_begins_with_columns_of_many_values(ada: Any) -> None:
    rows = "".join(f"{n % 3},{n / 7:.3f},{n % 2},{n / 3:.3f}\n" for n in range(30))
    location = ada[1].upload(f"few,many,two,more\n{rows}".encode()).location
    path = "/dashboard/" + location.rsplit("/", 1)[1]
    points = ada[1].get(f"{path}/data").json["figures"]["points"]
    assert (points["x"], points["y"]) == ("many", "more")


def test_choices_of_a_board(ada: Any, board: str) -> None:
    answer = ada[1].get(f"{board}/data?x=whole&y=size&by=&show=kind").json
    assert set(answer["figures"]) == {"points", "spread"}
    assert answer["figures"]["points"]["x"] == "whole"
    assert answer["figures"]["spread"]["labels"] == ["x", "y"]
    assert answer["means"][0] == ["size", "9.469", "9.469"]


def test_a_board_has_the_first_30_columns(ada: Any) -> None:
    header = ",".join(f"c{n}" for n in range(40))
    rows = "\n".join(",".join(str(n * k + 0.5) for k in range(40)) for n in range(1, 60))
    location = ada[1].upload(f"{header}\n{rows}\n".encode()).location
    path = "/dashboard/" + location.rsplit("/", 1)[1]
    assert "The first 30 of 40 columns" in ada[1].get(path).text
    assert len(ada[1].get(f"{path}/data").json["table"]["rows"][0]) == 30


@pytest.mark.parametrize("end", ["", "/data", "/csv"])
def test_boards_of_others_are_not_there(bob: Any, visitor: Any, board: str, end: str) -> None:
    assert bob[1].get(board + end).status_code == 404
    assert visitor.get(board + end).status_code == 302


def test_ones_own_tables_are_listed(ada: Any, bob: Any, board: str) -> None:
    assert board in ada[1].get("/dashboard").text
    assert board not in bob[1].get("/dashboard").text

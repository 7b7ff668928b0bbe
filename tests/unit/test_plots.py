"""Columns, groups and figures: the numbers in the pictures are those of the file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from beanft.ml.csv_text import CsvLimits
from beanft.ml.profile import profile_csv
from beanft.ml.schema import Schema
from beanft.plots import relations, service
from beanft.plots.columns import Column, ColumnCache, Source, read_columns
from beanft.plots.distributions import MOST_OUTLIERS, boxes, five_numbers, histogram, nice_edges
from beanft.plots.groups import MISSING, group_by
from beanft.plots.hero import dots
from beanft.plots.model_figures import model_figures
from beanft.plots.relations import correlation, correlations, ranks, scatter, scatter_matrix
from beanft.plots.summaries import class_column, dataset_figures, missing_values

NAN = float("nan")


def numbers(*values: float, name: str = "x") -> Column:
    return Column(name, "number", numbers=np.array(values, dtype=np.float64))


def words(*values: str, name: str = "word") -> Column:
    known = list(dict.fromkeys(value for value in values if value))
    codes = [known.index(value) if value else -1 for value in values]
    return Column(name, "text", codes=np.array(codes, dtype=np.int32), values=tuple(known))


def source(text: str, key: str = "file") -> Source:
    content = text.encode()
    profile = profile_csv(io.BytesIO(content), CsvLimits())
    return Source("id", "data.csv", key, profile, CsvLimits(), lambda: io.BytesIO(content))


TABLE = source("a;b;word\n1;2.5;x\nNA;3;y\n4;;x\n5;1e3;\n")


def test_columns_are_those_of_the_file() -> None:
    found = read_columns(TABLE, ["a", "b", "word"])
    assert found["a"].numbers.tolist()[0] == 1
    assert np.isnan(found["a"].numbers).tolist() == [False, True, False, False]
    assert found["b"].missing.tolist() == [False, False, True, False]
    assert [found["word"].cell(row) for row in range(4)] == ["x", "y", "x", ""]
    assert [found["b"].cell(row) for row in range(4)] == ["2.5", "3", "", "1000"]
    assert found["word"].values == ("x", "y")
    assert len(found["word"]) == len(found["a"]) == 4
    assert found["word"].take(np.array([1, 3])).codes.tolist() == [1, -1]


def test_the_cache_reads_once_and_keeps_within_bounds() -> None:
    opened = []

    def counted(key: str) -> Source:
        text = "a,b\n" + "".join(f"{n},{n}\n" for n in range(1000))
        base = source(text, key)

        def open_file() -> Any:
            opened.append(key)
            return base.open()

        return Source("id", "n", key, base.profile, base.limits, open_file)

    cache = ColumnCache(most=40_000)
    one, two, three = counted("one"), counted("two"), counted("three")
    assert list(cache.get(one, ["b", "a", "b"])) == ["b", "a"]
    cache.get(one, ["a"])
    assert opened == ["one"], "a small file is read whole, once"
    assert cache.size == 16_000
    cache.get(two, ["a"])
    cache.get(one, ["a", "b"])
    cache.get(three, ["a"])
    assert cache.size <= 40_000
    cache.get(one, ["a", "b"])
    assert opened == ["one", "two", "three"], "what was not used for longest went"
    cache.get(two, ["a"])
    assert opened[-1] == "two"
    assert len(ColumnCache(most=0).get(one, ["a"])["a"]) == 1000


def test_wide_files_are_read_by_the_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beanft.plots.columns.ALL_BYTES", 10)
    cache = ColumnCache()
    cache.get(TABLE, ["a"])
    assert cache.size == 32
    cache.get(TABLE, ["a", "b"])
    assert cache.size == 64


def test_groups_of_text_put_the_rare_together_and_missing_apart() -> None:
    column = words(*("a" * 3), *("b" * 2), "", *"cdefghi")
    groups = group_by(column)
    assert groups.names == ("a", "b", "c", "d", "e", "f", "3 others", MISSING)
    assert groups.names[groups.codes[5]] == MISSING
    assert [groups.names[code] for code in groups.codes[-3:]] == ["3 others"] * 3
    assert not groups.ordered


def test_groups_of_numbers_have_an_order() -> None:
    few = group_by(numbers(3, 1, 1, NAN))
    assert (few.names, few.codes.tolist(), few.ordered) == (("1", "3", MISSING), [1, 0, 0, 2], True)
    whole = group_by(numbers(*range(100)))
    assert whole.names == ("0 to 19", "20 to 39", "40 to 59", "60 to 79", "80 to 99")
    assert np.bincount(whole.codes).tolist() == [20] * 5
    real = group_by(numbers(*(value / 2 for value in range(100))))
    assert len(real.names) == 5
    assert np.bincount(real.codes).tolist() == [20] * 5


MOST = float(np.finfo(np.float64).max)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60))
@example([MOST, float(np.nextafter(MOST, 0))])
@example([-MOST, float(np.nextafter(-MOST, 0)), 0.0])
@example([MOST, -MOST, MOST, -MOST])
@example([1.3407807929942343e154, 1.7976931348622826e308])
@example([1.0, float(np.nextafter(1, 2))])
def test_a_histogram_counts_every_number_once(values: list[float]) -> None:
    column = numbers(*values)
    with np.errstate(over="ignore", invalid="ignore"):
        figure = histogram(column)
        assert sum(figure.series[0]["values"]) == len(values)
        assert len(figure.titles) == len(figure.labels) <= 400
        edges = nice_edges(column.numbers)
        assert (np.diff(edges) > 0).all()
        boxes(column)
        group_by(column)
    json.dumps(figure.to_dict(), allow_nan=False)


def test_edges_are_round_and_whole_for_whole_numbers() -> None:
    edges = nice_edges(np.linspace(0.1, 9.7, 50), 10)
    assert edges.tolist() == list(range(11))
    ages = np.arange(18, 90, dtype=np.float64)
    steps = np.diff(nice_edges(ages, 30))
    assert (steps == np.round(steps)).all()
    assert len(nice_edges(np.array([5.0, 5.0]))) == 2
    assert len(nice_edges(np.array([1e15, 1e15 + 4]), 3)) > 2
    assert nice_edges(np.array([-1.7e308, 1.7e308])).tolist() == [-1.7e308, 0, 1.7e308]


def test_a_histogram_by_groups_says_what_it_left_out() -> None:
    column = numbers(0.5, 1.5, 1.6, NAN)
    figure = histogram(column, group_by(words("a", "a", "b", "b")), by="word", bins=2)
    assert figure.title == "x by word"
    assert [(s["name"], sum(s["values"])) for s in figure.series] == [("a", 2), ("b", 1)]
    assert figure.options["stacked"]
    assert "1 row without a value of x" in figure.notes[0]
    assert figure.table.header == ["x", "a", "b"]
    assert figure.download is figure.table


def test_counts_of_words_and_of_whole_numbers() -> None:
    figure = histogram(words("b", "a", "a", ""))
    assert (figure.labels, figure.series[0]["values"]) == (["a", "b"], [2, 1])
    figure = histogram(words(*(f"value number {n} and more than that" for n in range(40))))
    assert len(figure.labels) == 30
    assert max(map(len, figure.labels)) == 24
    assert "30 most frequent of 40" in figure.notes[0]
    figure = histogram(numbers(4, 6, 8, 8))
    assert (figure.labels, figure.series[0]["values"]) == (["4", "6", "8"], [1, 1, 2])
    assert figure.options["edges"] is None
    assert histogram(numbers(NAN, NAN)).labels == []


def test_a_box_is_tukeys() -> None:
    box = five_numbers(np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 100], dtype=np.float64))
    assert box == {"low": 1, "q1": 3.25, "median": 5.5, "q3": 7.75, "high": 9, "outliers": [100]}
    figure = boxes(numbers(1, 2, NAN, NAN), group_by(words("a", "a", "a", "b")), by="word")
    assert figure.labels == ["a"], "a group without numbers has no box"
    assert figure.table.rows[1][:4] == ["b", "0", "1", "-"]
    many = boxes(numbers(*([0.0] * 300), *range(1, 60)))
    assert len(many.series[0]["boxes"][0]["outliers"]) == MOST_OUTLIERS
    assert any("At most 40" in note for note in many.notes)


def test_a_scatter_samples_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relations, "MOST_POINTS", 50)
    x = numbers(NAN, *range(200))
    y = numbers(*range(201), name="y")
    groups = group_by(words(*(["a"] * 101), *(["b"] * 100)))
    figure, again = (scatter(x, y, groups, by="word") for _ in range(2))
    assert figure == again
    assert sum(len(s["points"]) for s in figure.series) == len(figure.download.rows) == 50
    assert all(b == a + 1 for s in figure.series for a, b in s["points"])
    assert "50 of 200 rows" in figure.notes[0]
    assert "1 row without" in figure.notes[1]
    assert figure.table.rows[0][1] == "100", "the table is of all rows"
    assert figure.table.rows[0][-1] == "1.000"
    assert figure.download.header == ["x", "y", "word"]


def test_correlations() -> None:
    values = np.array([1.0, 2, 3, 4, 100])
    assert correlation(values, -2 * values) == pytest.approx(-1)
    assert correlation(values, np.ones(5)) is None
    assert correlation(values[:1], values[:1]) is None
    assert correlation(values * 1e200, values * 1e200) == pytest.approx(1)
    assert ranks(np.array([10.0, 20, 10, 30])).tolist() == [1.5, 3, 1.5, 4]
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=80), rng.normal(size=80)
    assert correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    columns = [numbers(1, 2, 3, NAN), numbers(1, 4, 9, 16, name="y"), numbers(7, 7, 7, 7, name="c")]
    pearson = correlations(columns, "pearson")
    assert pearson.series[0]["values"][0][1] == pytest.approx(0.99, abs=0.01)
    assert pearson.series[0]["values"][2][2] is None
    assert pearson.table.rows[2][3] == "-"
    spearman = correlations(columns, "spearman")
    assert spearman.series[0]["values"][0][1] == 1
    assert spearman.series[0]["values"][1][1] == 1


def test_spearman_of_many_rows_is_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relations, "MOST_RANKED", 10)
    columns = [numbers(*range(30)), numbers(*range(30), name="y")]
    figure = correlations(columns, "spearman")
    assert any("10 of 30 rows" in note for note in figure.notes)
    assert not any("sample" in note for note in correlations(columns, "pearson").notes)


def test_a_scatter_matrix_is_of_six_columns_and_complete_rows() -> None:
    columns = [numbers(1, 2, NAN, name=f"c{n}") for n in range(8)]
    figure = scatter_matrix(columns, group_by(words("a", "b", "b")), by="word")
    assert figure.labels == [f"c{n}" for n in range(6)]
    assert [s["name"] for s in figure.series] == ["b", "a"]
    assert [s["rows"] for s in figure.series] == [[[2] * 6], [[1] * 6]]
    assert any("1 row without" in note for note in figure.notes)
    assert any("first 6 of the 8" in note for note in figure.notes)
    assert figure.download.rows[0] == ["2"] * 6 + ["b"]
    empty = scatter_matrix([numbers(NAN), numbers(1, name="y")])
    assert empty.table.rows == [["rows", "0", "-", "-"]]


def test_a_data_set_at_one_look() -> None:
    found = read_columns(TABLE, ["a", "b", "word"])
    figures = {f.key: f for f in dataset_figures(TABLE.profile, list(found.values()))}
    assert list(figures) == ["types", "missing", "balance", "column_1", "column_2"]
    assert figures["balance"].series[0]["values"] == [2, 1]
    assert figures["missing"].labels == ["a", "b", "word"]
    assert figures["missing"].series[0]["values"] == [0.25] * 3
    full = source("a,b\n1,2\n3,4\n").profile
    assert missing_values(full).notes == ["No value is missing."]
    many = source(",".join(f"c{n}" for n in range(25)) + "\n" + "," * 24 + "\n" + "1," * 24 + "1\n")
    assert any("20 columns of 25" in note for note in missing_values(many.profile).notes)
    every = "".join(f"{n}.5,w{n}\n" for n in range(60))
    assert class_column(source("a,b\n" + every).profile) is None


SCHEMA = Schema((), "kind", ("a", "b"))
METRICS: dict[str, Any] = {
    "accuracy": 0.8,
    "rows": 10,
    "confusion": [[5, 0], [2, 3]],
    "score": {"name": "accuracy", "value": 0.8},
    "balance": [{"name": "a", "rows": 20}, {"name": "b", "rows": 30}],
    "learning_curve": [
        {"rows": 10, "train": 1, "test": 0.5},
        {"rows": 20, "train": 1, "test": 0.8},
    ],
    "importance": [{"feature": f"f{n}", "mean": n / 10, "std": 0.01} for n in range(25)],
    "calibration": [
        {"predicted": 0.6, "observed": 0.5, "rows": 4},
        {"predicted": 0, "observed": 0, "rows": 0},
    ],
    "cv": {"folds": 2, "scores": [0.7, 0.9], "mean": 0.8, "std": 0.1},
}


def test_a_classifiers_figures() -> None:
    figures = {figure.key: figure for figure in model_figures(METRICS, SCHEMA)}
    assert set(figures) == {
        *("confusion", "balance", "learning_curve", "importance", "calibration"),
        "cross_validation",
    }
    assert figures["confusion"].series[0]["values"] == [[1, 0], [0.4, 0.6]]
    assert "8 of 10 rows right" in figures["confusion"].alt
    assert figures["importance"].labels[0] == "f24"
    assert len(figures["importance"].labels) == 20
    assert len(figures["importance"].table.rows) == 25
    assert figures["importance"].series[0]["errors"][0] == 0.01
    assert figures["calibration"].series[0]["points"] == [[0.6, 0.5]]
    assert figures["learning_curve"].series[1]["points"][1] == [20, 0.8]
    json.dumps([figure.to_dict() for figure in figures.values()], allow_nan=False)


def test_a_regressions_figures() -> None:
    metrics = {
        "r2": 0.5,
        "scatter": [[1.0, 1.5], [2.0, 1.8]],
        "residuals": {"edges": [-1, 0, 1], "counts": [3, 4]},
        "importance": [{"feature": "f", "mean": 0.2, "std": 0.1}],
    }
    figures = {figure.key: figure for figure in model_figures(metrics, SCHEMA)}
    assert set(figures) == {"truth", "residuals", "importance"}
    assert figures["truth"].series[0]["points"] == [[1, 1.5], [2, 1.8]]
    assert figures["residuals"].options["edges"] == [-1, 0, 1]
    assert figures["importance"].y == "loss of R²"


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"confusion": [[1] * 40] * 40, "calibration": [], "cv": None, "residuals": {"edges": []}},
        {"confusion": [[0, 0], [0, 0]], "score": None},
    ],
)
def test_metrics_of_before_have_fewer_figures(metrics: dict[str, Any]) -> None:
    keys = [figure.key for figure in model_figures(metrics, SCHEMA)]
    assert keys in ([], ["confusion"])


def test_samples_are_tables_to_look_at() -> None:
    iris = service.sample_source("iris")
    assert iris.profile.rows == 120
    figures = service.chart_figures(ColumnCache(), iris)
    assert figures[2].title == "Classes of species"
    with pytest.raises(Exception, match="no such data set"):
        service.sample_source("nothing")


@pytest.mark.parametrize(
    ("draw", "choice", "key"),
    [
        (service.plot_figures, service.PlotChoice(column="a", by="word"), "histogram"),
        (service.plot_figures, service.PlotChoice(column="a", kind="box"), "box"),
        (service.scatter_figures, service.ScatterChoice(x="a", y="b"), "scatter"),
        (service.many_figures, service.ManyChoice(columns=("a", "b"), by="a"), "correlation"),
    ],
)
def test_choices_are_drawn(draw: Callable[..., Any], choice: service.Choice, key: str) -> None:
    figures = draw(ColumnCache(), TABLE, choice)
    assert figures[0].key == key
    json.dumps([figure.to_dict() for figure in figures], allow_nan=False)


def test_dots_lie_within_the_picture() -> None:
    found = dots([[(0, 0), (1, 2)], [(2, 1)]], 100, 50, 10)
    assert [(dot.x, dot.y, dot.group) for dot in found] == [(10, 40, 0), (50, 10, 0), (90, 25, 1)]
    assert dots([[(1, 1)]], 100, 50, 10)[0].x == 10


def test_a_table_survives_csv() -> None:
    figure = histogram(numbers(0.5, 1.5), bins=2)
    buffer = io.StringIO()
    csv.writer(buffer).writerows([figure.download.header, *figure.download.rows])
    assert buffer.getvalue().startswith("x,rows")

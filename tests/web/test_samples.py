"""Samples: downloaded, or put among one's own data sets."""

from __future__ import annotations

import csv
import statistics
from collections import Counter
from typing import Any

import pytest
from flask import Flask

from beanft.training.sample import SAMPLES
from beanft.uploader.samples import FILES, SAMPLE_SETS


@pytest.mark.parametrize(
    ("name", "rows", "columns"), [("iris", 120, 5), ("mtcars", 32, 12), ("diabetes", 442, 11)]
)
def test_a_sample_becomes_ones_own(ada: Any, name: str, rows: int, columns: int) -> None:
    assert f'action="/datasets/samples/{name}"' in ada[1].get("/datasets").text
    answer = ada[1].post(f"/datasets/samples/{name}", page="/account")
    assert answer.status_code == 302
    page = ada[1].get(answer.location).text
    assert f"<dd>{rows}</dd>" in page
    assert f"<dd>{columns}</dd>" in page
    assert SAMPLE_SETS[name].target in page
    assert ada[1].post("/datasets/samples/titanic", page="/account").status_code == 404


def test_cars_are_those_of_motor_trend() -> None:
    with (SAMPLES / "mtcars.csv").open(newline="") as stream:
        cars = list(csv.DictReader(stream))
    means = {
        name: statistics.fmean(float(car[name]) for car in cars)
        for name in cars[0]
        if name != "model"
    }
    published = {
        "mpg": 20.090625,
        "cyl": 6.1875,
        "disp": 230.721875,
        "hp": 146.6875,
        "drat": 3.5965625,
        "wt": 3.21725,
        "qsec": 17.84875,
        "vs": 0.4375,
        "am": 0.40625,
        "gear": 3.6875,
        "carb": 2.8125,
    }
    assert means == pytest.approx(published)
    assert Counter(car["cyl"] for car in cars) == {"4": 11, "6": 7, "8": 14}
    assert sum(float(car["mpg"]) > 20 for car in cars) == 14
    assert len({car["model"] for car in cars}) == 32


def test_samples_can_be_downloaded(web: Flask) -> None:
    client = web.test_client()
    for name in FILES:
        with client.get(f"/samples/{name}") as answer:
            assert answer.data == (SAMPLES / name).read_bytes()
    for name in ("README.md", "make_samples.py", "..%2f__init__.py"):
        assert client.get(f"/samples/{name}").status_code == 404

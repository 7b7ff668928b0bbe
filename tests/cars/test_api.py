"""The API, against pandas on the same data, and against its own description."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

import hypothesis
import pandas as pd
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig

from tests.cars.conftest import CHECKOUT, IMAGE, RIGHTS, ROOT, Service, docker, start

DOCUMENT = json.loads((ROOT / "docker/cars/opt/openapi.json").read_text(encoding="utf-8"))
SCHEMA = schemathesis.openapi.from_dict(
    DOCUMENT,
    config=SchemathesisConfig.from_dict(
        {
            "generation": {"deterministic": True},
            # What R's server takes for methods; at others it ends the connection.
            "phases": {"coverage": {"unexpected-methods": ["POST", "PUT", "PATCH", "DELETE"]}},
            "seed": 7,
        }
    ),
)
SETTINGS = hypothesis.settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)

CONDITIONS = [
    ("mpg_gt=20&cyl=4", "mpg > 20 and cyl == 4"),
    ("wt_le=2.62", "wt <= 2.62"),
    ("wt_lt=2.62&am=1", "wt < 2.62 and am == 1"),
    ("hp_ge=245", "hp >= 245"),
    ("mpg_gt=1e1&mpg_lt=+15.5".replace("+", "%2B"), "mpg > 10 and mpg < 15.5"),
    ("mpg_gt=1000", "mpg > 1000"),
]


@pytest.mark.parametrize(("query", "expected"), CONDITIONS)
def test_cars_are_those_of_pandas(
    api: Service, mtcars: pd.DataFrame, query: str, expected: str
) -> None:
    answer = api.ask(f"/cars?{query}")
    assert (answer.status, answer.type) == (200, "application/json")
    wanted = mtcars.query(expected).to_dict("records")
    assert answer.json == {"count": len(wanted), "cars": wanted}


def test_all_cars_without_a_condition(api: Service, mtcars: pd.DataFrame) -> None:
    assert api.ask("/cars").json["cars"] == mtcars.to_dict("records")


def test_every_car_has_an_address(api: Service, mtcars: pd.DataFrame) -> None:
    for car in mtcars.to_dict("records"):
        assert api.ask(f"/cars/{quote(car['car model'])}").json == car


def test_summary_is_that_of_pandas(api: Service, mtcars: pd.DataFrame) -> None:
    answer = api.ask("/summary").json
    numbers = mtcars.drop(columns="car model")
    assert answer["rows"] == len(mtcars)
    assert list(answer["columns"]) == list(numbers.columns)
    for name, column in numbers.items():
        found = answer["columns"][name]
        assert (found["min"], found["max"]) == (column.min(), column.max())
        assert found["mean"] == pytest.approx(column.mean(), rel=1e-12)
    means = mtcars.groupby("cyl")["mpg"].agg(["size", "mean"])
    for found, (cyl, (size, mean)) in zip(answer["by_cyl"], means.iterrows(), strict=True):
        assert (found["cyl"], found["rows"]) == (cyl, size)
        assert found["mean_mpg"] == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/cars?mpg_gt=abc", 400, "mpg_gt is 'abc' and has to be one number."),
        ("/cars?mpg_gt=", 400, "mpg_gt is '' and has to be one number."),
        ("/cars?mpg_gt", 400, "mpg_gt is '' and has to be one number."),
        ("/cars?mpg=0x1F", 400, "mpg is '0x1F' and has to be one number."),
        ("/cars?mpg=Inf", 400, "mpg is 'Inf' and has to be one number."),
        ("/cars?mpg=21&mpg=22", 400, "mpg is '21', '22' and has to be one number."),
        ("/cars?doors=4", 400, "There is no column for 'doors': use mpg, cyl, disp, hp, drat, wt,"),
        ("/cars?mpg_ne=4", 400, "There is no column for 'mpg_ne'"),
        ("/cars?=4", 400, "There is no column for ''"),
        ("/cars?" + "x" * 500 + "=4", 400, "There is no column for '" + "x" * 60 + "…'"),
        ("/cars?mpg=%00", 400, "The URL has a NUL."),
        ("/cars?mpg=%FF", 400, "The URL is not UTF-8."),
        ("/cars/Trabant%20601", 404, "There is no car 'Trabant 601'"),
        ("/cars/%2e%2e%2fetc%2fpasswd", 404, "There is no car '../etc/passwd'"),
        ("/cars/%E2%82%AC", 404, "There is no car '€'"),
        ("/nothing", 404, "Nothing is here"),
    ],
)
def test_mistakes_are_problems(api: Service, path: str, status: int, detail: str) -> None:
    answer = api.ask(path)
    assert (answer.status, answer.type) == (status, "application/problem+json")
    problem = answer.json
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    assert problem["title"]
    assert problem["detail"].startswith(detail)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_are_refused(api: Service, method: str) -> None:
    answer = api.ask("/cars", method)
    assert (answer.status, answer.type) == (405, "application/problem+json")
    assert answer.headers["allow"] == "GET"


@SCHEMA.parametrize()
@SETTINGS
def test_it_does_what_its_document_says(api: Service, case: schemathesis.Case) -> None:
    """Right queries and wrong ones; the answers are held against the document."""
    case.call_and_validate(base_url=api.base)


def test_it_gives_its_document(api: Service) -> None:
    assert api.ask("/openapi.json").json == DOCUMENT


def test_a_task_with_wrong_answers_is_not_ready(tmp_path: Path) -> None:
    """Beside golden answers of other cars: it serves, and the entry would send nobody."""
    golden = (ROOT / "docker/cars/opt/golden.csv").read_text().replace("Mazda RX4", "Mazda RX5", 1)
    (tmp_path / "golden.csv").write_text(golden)
    mount = ("--volume", f"{tmp_path}/golden.csv:/opt/cars/golden.csv:ro")
    container = docker(
        "run", "--detach", *RIGHTS, *mount, "--label", f"beanft.checkout={CHECKOUT}",
        "--publish", "127.0.0.1::80", IMAGE, "cars-api",
    ).strip()  # fmt: skip
    try:
        service = Service(container, f"http://{docker('port', container, '80').strip()}")
        test = ["docker", "exec", container, "test", "-e"]
        # It ends with an error if there is no answer of 200.
        docker("exec", container, "/opt/cars/ask", "/summary", "60")
        until = time.monotonic() + 20
        while subprocess.run([*test, "/tmp/started"], check=False).returncode:  # noqa: S108
            assert time.monotonic() < until
            time.sleep(0.2)
        assert service.ask("/readyz").status == 503
        assert service.health() != "healthy"
    finally:
        docker("rm", "--force", container)


def test_a_task_that_is_told_to_end_says_so_first_and_ends_by_itself() -> None:
    service = start("cars-api")
    try:
        assert service.ask("/readyz").text == "ready\n"
        docker("kill", "--signal", "TERM", service.container)
        begun = time.monotonic()
        while service.ask("/readyz").status != 503:
            assert time.monotonic() - begun < 8
        assert service.ask("/cars/Valiant").status == 200, "it goes on serving meanwhile"
        assert docker("wait", service.container).strip() == "0"
        assert time.monotonic() - begun < 10
    finally:
        docker("rm", "--force", service.container)

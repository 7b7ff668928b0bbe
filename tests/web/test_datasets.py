"""Upload, look, delete; and what can't be used is refused, never with a 500."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import pytest
from flask import Flask

from beanft.config import Settings
from beanft.training.sample import SAMPLES


def test_upload_look_delete(settings: Settings, ada: Any) -> None:
    _user, browser = ada
    answer = browser.upload((SAMPLES / "iris.csv").read_bytes(), "..\\dir/iris <1>.csv")
    assert answer.status_code == 302
    page = browser.get(answer.location)
    assert "<h1>iris &lt;1&gt;.csv</h1>" in page.text
    for said in ("sepal_length", "virginica", "33.3 %", "<svg", "120"):
        assert said in page.text
    assert "iris &lt;1&gt;.csv" in browser.get("/datasets").text
    assert browser.post(f"{answer.location}/delete", page="/account").status_code == 302
    assert browser.get(answer.location).status_code == 404
    assert [path for path in settings.storage_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00", "not a CSV file"),
        (b"PK\x03\x04" + bytes(range(256)), "not a CSV file"),
        (b"a,b,a\n1,2,3\n", "Two columns are named"),
        (b"a,b\n1,2,3\n", "Line 2 has 3 cells"),
        (b"just one line of text", "one column"),
        (b"a,b\n", "no rows"),
        (",".join(f"c{i}" for i in range(500)).encode() + b"\n", "500 columns"),
    ],
)
def test_bad_files_are_refused_with_a_reason(
    settings: Settings, ada: Any, content: bytes, said: str
) -> None:
    answer = ada[1].upload(content)
    assert answer.status_code == 422
    assert said in answer.text
    assert [path for path in settings.storage_path.rglob("*") if path.is_file()] == []


def test_a_file_over_the_limit(settings: Settings, ada: Any) -> None:
    answer = ada[1].upload(b"a,b\n" + b"1,2\n" * 251_000)
    assert answer.status_code == 413
    assert "larger than 1 MB" in answer.text
    answer = ada[1].upload(b"a,b\n" + b"1,2\n" * 400_000)
    assert answer.status_code == 413
    assert [path for path in settings.storage_path.rglob("*") if path.is_file()] == []
    del answer
    with warnings.catch_warnings():
        # The test client leaves the temporary files of large bodies to the collector.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_a_form_without_a_file(ada: Any) -> None:
    answer = ada[1].post("/datasets", page="/account")
    assert (answer.status_code, "Choose a CSV file" in answer.text) == (422, True)


def test_names_and_cells_are_escaped(ada: Any) -> None:
    content = b"<script>alert(1)</script>,y\n<img src=x>,a\n2,b\n"
    answer = ada[1].upload(content)
    page = ada[1].get(answer.location).text
    assert "<script>alert" not in page
    assert "<img src=x>" not in page


def test_data_sets_of_others_are_not_there(ada: Any, bob: Any) -> None:
    path = ada[1].upload(b"a,y\n1,x\n2,z\n").location
    for answer in (
        bob[1].get(path),
        bob[1].get(f"{path}/train"),
        bob[1].post(f"{path}/train", page="/account"),
        bob[1].post(f"{path}/delete", page="/account"),
    ):
        assert answer.status_code == 404
    assert ada[1].get(path).status_code == 200


@pytest.mark.parametrize("path", ["/datasets", "/models", "/account", "/datasets/abc", "/jobs/abc"])
def test_pages_that_want_a_login_lead_there(visitor: Any, path: str) -> None:
    answer = visitor.get(path)
    assert (answer.status_code, answer.location) == (302, f"/login?next={path}")


def test_samples_can_be_downloaded(web: Flask) -> None:
    client = web.test_client()
    with client.get("/samples/iris.csv") as answer:
        assert answer.data == (SAMPLES / "iris.csv").read_bytes()
    for name in ("README.md", "make_samples.py", "..%2f__init__.py"):
        assert client.get(f"/samples/{name}").status_code == 404

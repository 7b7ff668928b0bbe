"""Upload, look, delete; and what can't be used is refused, never with a 500."""

from __future__ import annotations

import gc
import io
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest

from beanft.training.sample import SAMPLES
from tests.kept import Kept


def test_upload_look_delete(kept_files: Kept, ada: Any) -> None:
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
    assert kept_files.stored() == []


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
    kept_files: Kept, ada: Any, content: bytes, said: str
) -> None:
    answer = ada[1].upload(content)
    assert answer.status_code == 422
    assert said in answer.text
    assert kept_files.stored() == []


def forget_bodies() -> None:
    """Collect the temporary files of large bodies, which the test client leaves behind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_a_file_over_the_limit(kept_files: Kept, ada: Any) -> None:
    answer = ada[1].upload(b"a,b\n" + b"1,2\n" * 251_000)
    assert answer.status_code == 413
    assert "larger than 1 MB" in answer.text
    answer = ada[1].upload(b"a,b\n" + b"1,2\n" * 400_000)
    assert answer.status_code == 413
    assert kept_files.stored() == []
    del answer
    forget_bodies()


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
        bob[1].post(f"{path}/rename", {"name": "mine"}, page="/account"),
        bob[1].post(f"{path}/reading", {"delimiter": "comma"}, page="/account"),
        bob[1].get(f"{path}/download"),
    ):
        assert answer.status_code == 404
    assert ada[1].get(path).status_code == 200


@pytest.mark.parametrize("path", ["/datasets", "/models", "/account", "/datasets/abc", "/jobs/abc"])
def test_pages_that_want_a_login_lead_there(visitor: Any, path: str) -> None:
    answer = visitor.get(path)
    assert (answer.status_code, answer.location) == (302, f"/login?next={path}")


def test_a_script_gets_json(ada: Any) -> None:
    def send(content: bytes, name: str = "t.csv") -> Any:
        values = {"file": (io.BytesIO(content), name)}
        headers = {"Accept": "application/json"}
        return ada[1].post("/datasets", values, page="/account", headers=headers)

    answer = send(b"x,y\n1,a\n2,b\n")
    assert answer.status_code == 201
    assert "Uploaded" in ada[1].get(answer.json["location"]).text
    answer = send(b"x,x\n1,2\n")
    assert (answer.status_code, len(answer.json["problems"])) == (422, 1)
    assert send(b"a", "").json == {"problems": ["Choose a CSV file first."]}


def test_who_is_not_logged_in_sends_no_large_body(visitor: Any) -> None:
    token = visitor.token("/login")
    large = {"csrf_token": token, "file": (io.BytesIO(b"x" * 1_050_000), "t.csv")}
    assert visitor.client.post("/datasets", data=large).status_code == 401
    del large
    assert visitor.client.post("/login", data={"email": "x" * 1_050_000}).status_code == 413
    forget_bodies()


def test_large_files_wait_beside_the_stored_ones(
    ada: Any, kept_files: Kept, monkeypatch: Any, tmp_path: Path
) -> None:
    """A container's own /tmp is memory, so none of it may be needed."""
    token = ada[1].token("/account")
    body = (
        f'--b\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{token}\r\n'
        '--b\r\nContent-Disposition: form-data; name="file"; filename="t.csv"\r\n\r\nx,y\n'
    ).encode() + b"1,a\n" * 200_000 + b"\r\n--b--\r\n"  # fmt: skip
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    kind = "multipart/form-data; boundary=b"
    answer = ada[1].client.post("/datasets", data=body, content_type=kind)
    assert answer.status_code == 302
    answer.close()
    del answer
    forget_bodies()
    assert [Path(key).suffix for key in kept_files.stored()] == [".csv"]

"""A data set changes as its owner says: how it is read, its name; and it has bounds."""

from __future__ import annotations

import dataclasses
import io
import re
from typing import Any

import pytest

from beanft.core.database import Database
from beanft.core.errors import NotFoundError
from beanft.core.units import size_in_words
from beanft.extensions import Site
from beanft.ml.errors import DataError
from beanft.ml.reading import Reading
from beanft.uploader import service
from tests.kept import Kept

READ_NOW = {"delimiter": "comma", "encoding": "utf-8", "header": "yes"}


def said(page: str) -> dict[str, str]:
    """Return what the selects of a page say."""
    found = {}
    for name, body in re.findall(r'<select[^>]* name="([^"]+)".*?>(.*?)</select>', page, re.S):
        chosen = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', body)
        found[name] = (chosen[1] or chosen[2]) if chosen else ""
    return found


def test_how_a_file_was_read_is_shown_and_can_be_corrected(ada: Any) -> None:
    content = "größe;preis\n1;1,5\n2;2,5\n".encode("cp1250")
    path = ada[1].upload(content).location
    found = {"delimiter": "semicolon", "encoding": "cp1252", "header": "yes"}
    assert said(ada[1].get(path).text) == {**found, "kind0": "number", "kind1": "text"}
    corrected = {"delimiter": "comma", "encoding": "cp1250", "header": "no"}
    # The types of the other columns don't count for these.
    answer = ada[1].post(f"{path}/reading", {**corrected, "kind1": "number"}, page="/account")
    assert (answer.status_code, answer.location) == (422, None)
    assert "The file has one column" in answer.text
    corrected["delimiter"] = "semicolon"
    answer = ada[1].post(f"{path}/reading", {**corrected, "kind1": "number"}, page="/account")
    assert (answer.status_code, answer.location) == (302, path)
    page = ada[1].get(path).text
    assert said(page) == {**corrected, "kind0": "text", "kind1": "text"}
    assert "column_2" in page
    assert "<dd>3</dd>" in page
    assert "größe" in page


def test_types_can_be_corrected_and_corrections_stay(ada: Any, database: Database) -> None:
    path = ada[1].upload(b"zip,y\n01234,a\n9999,b\n").location
    answer = ada[1].post(f"{path}/reading", {**READ_NOW, "kind0": "text"}, page="/account")
    assert answer.status_code == 302
    dataset = service.get_dataset(database, ada[0].id, path.rsplit("/", 1)[1])
    wanted = Reading(",", "utf-8", True, {"zip": "text"})
    assert Reading.from_dict(dataset.reading_data) == wanted
    assert said(ada[1].get(path).text)["kind0"] == "text"
    # Sent again as shown, nothing changes; and back.
    shown = said(ada[1].get(path).text)
    assert ada[1].post(f"{path}/reading", shown, page="/account").status_code == 302
    assert said(ada[1].get(path).text) == shown
    back = {**shown, "kind0": "number"}
    assert ada[1].post(f"{path}/reading", back, page="/account").status_code == 302
    assert said(ada[1].get(path).text)["kind0"] == "number"


@pytest.mark.parametrize(
    ("change", "where", "message"),
    [
        (
            {"kind1": "number"},
            "kind1-problem",
            "Line 2 of &#39;y;z&#39; is not a number: &#39;a;1&#39;",
        ),
        ({"kind1": "date"}, "kind1-problem", "Choose number or text"),
        ({"encoding": "utf-8"}, "encoding-problem", "Line 3 can&#39;t be read as UTF-8"),
        ({"encoding": "rot13"}, "encoding-problem", "Choose one of"),
        ({"delimiter": "tab"}, "delimiter-problem", "The file has one column"),
        ({"delimiter": "letter"}, "delimiter-problem", "Choose one of"),
        ({"delimiter": "semicolon"}, "delimiter-problem", "Line 3 has 1 cell;"),
    ],
)
def test_a_wrong_correction_is_an_error_by_its_field_and_changes_nothing(
    ada: Any, database: Database, change: dict[str, str], where: str, message: str
) -> None:
    path = ada[1].upload(b"x,y;z\n1,a;1\n2,b\xe9\n").location
    now = {**READ_NOW, "encoding": "cp1252"}
    before = service.get_dataset(database, ada[0].id, path.rsplit("/", 1)[1])
    answer = ada[1].post(f"{path}/reading", {**now, **change}, page="/account")
    assert answer.status_code == 422
    beside = re.search(rf'id="{where}"[^>]*>(.*?)</(?:div|p)>\s*</', answer.text, re.S)
    assert beside
    assert message in beside[1]
    shown = said(answer.text)
    chosen, value = next(iter(change.items()))
    assert shown[chosen] in (value, "")  # "" where there is no such choice
    after = service.get_dataset(database, ada[0].id, before.id)
    assert (after.profile_data, after.reading_data) == (before.profile_data, None)


def test_a_data_set_of_the_release_before_is_shown_and_read(ada: Any, database: Database) -> None:
    path = ada[1].upload(b"x,y\n1,a\n2,b\n").location
    dataset_id = path.rsplit("/", 1)[1]
    with database.writing() as session:
        row = session.get(service.Dataset, dataset_id)
        assert row
        row.profile_data = {
            name: value
            for name, value in row.profile_data.items()
            if name not in ("header", "details")
        }
    assert ada[1].get(path).status_code == 200
    assert ada[1].post(f"{path}/reading", READ_NOW, page="/account").status_code == 302
    again = service.get_dataset(database, ada[0].id, dataset_id)
    assert again.profile.columns[0].quantiles


def test_what_was_deleted_meanwhile_is_not_there(ada: Any, site: Site, monkeypatch: Any) -> None:
    path = ada[1].upload(b"x,y\n1,a\n2,b\n").location
    dataset = service.get_dataset(site.database, ada[0].id, path.rsplit("/", 1)[1])
    with site.storage.open(dataset.storage_key) as stream:
        content = stream.read()
    service.delete_dataset(site.database, site.storage, ada[0].id, dataset.id)
    kept = site.storage.save("datasets", "csv", io.BytesIO(content), most=10**6)
    dataset.storage_key = kept.key
    monkeypatch.setattr(service, "get_dataset", lambda *_: dataset)
    limits = site.settings.limits
    with pytest.raises(NotFoundError):
        service.read_again(site.database, site.storage, limits, ada[0].id, dataset.id, Reading())
    with pytest.raises(NotFoundError):
        service.rename_dataset(site.database, ada[0].id, dataset.id, "new")


def test_rename(ada: Any) -> None:
    path = ada[1].upload(b"x,y\n1,a\n2,b\n").location
    answer = ada[1].post(f"{path}/rename", {"name": "  Cars\tof\n2024 "}, page="/account")
    assert answer.status_code == 302
    assert "<h1>Cars of 2024</h1>" in ada[1].get(path).text
    for name, message in (("", "Give it a name"), ("x" * 121, "this one has 121")):
        answer = ada[1].post(f"{path}/rename", {"name": name}, page="/account")
        assert answer.status_code == 422
        assert message in answer.text
        assert 'aria-describedby="name-problem"' in answer.text
    assert "<h1>Cars of 2024</h1>" in ada[1].get(path).text


def test_a_download_is_utf_8_and_runs_in_no_spreadsheet(ada: Any) -> None:
    content = 'größe;was\n 1 ;=1+1\n-2;"a;b"\n'.encode("cp1252")
    path = ada[1].upload(content, "größen").location
    answer = ada[1].get(f"{path}/download")
    assert answer.mimetype == "text/csv"
    assert "gr%C3%B6%C3%9Fen.csv" in answer.headers["Content-Disposition"]
    assert answer.data.decode() == "größe,was\r\n1,'=1+1\r\n-2,a;b\r\n"
    answer.close()


def test_a_file_that_is_not_the_stored_one_is_closed_again(
    ada: Any, site: Site, kept_files: Kept
) -> None:
    path = ada[1].upload(b"x,y\n1,a\n2,b\n").location
    dataset = service.get_dataset(site.database, ada[0].id, path.rsplit("/", 1)[1])
    kept_files.write(dataset.storage_key, b"")
    with pytest.raises(DataError, match="empty"):
        service.open_table(site.storage, dataset)
    kept_files.write(dataset.storage_key, b"x,y\n1,2\n3,4\n5,6\n")
    with (
        service.open_table(site.storage, dataset) as table,
        pytest.raises(DataError, match="more than 2"),
    ):
        list(table)
    kept_files.remove(dataset.storage_key)
    assert ada[1].get(f"{path}/download").status_code == 404


def small_room(site: Site, **limits: int) -> None:
    site.settings = dataclasses.replace(
        site.settings, limits=dataclasses.replace(site.settings.limits, **limits)
    )


def test_room_is_a_number_of_bytes(site: Site, ada: Any, bob: Any, kept_files: Kept) -> None:
    content = b"x,y\n" + b"1,a\n" * 250
    small_room(site, storage_per_user_bytes=2500)
    assert f"up to {size_in_words(10**6)}," in ada[1].get("/datasets").text
    sizes = [size_in_words(count) for count in (999, 1000, 120_000_000, 1_000_000_000)]
    assert sizes == ["999 bytes", "1 kB", "120 MB", "1 GB"]
    assert "room for 2.5 kB" in ada[1].get("/datasets").text
    path = ada[1].upload(content).location
    assert ada[1].upload(content).status_code == 302
    page = ada[1].get("/datasets").text
    assert re.search(r'<meter id="room"[^>]* max="2500"[^>]* value="2008"', page)
    assert "2 kB of 2.5 kB, and 2 of 100 data sets" in page
    answer = ada[1].upload(content)
    assert answer.status_code == 409
    assert "The file has 1 kB and you have room for 492 bytes" in answer.text
    small_room(site, storage_per_user_bytes=2008)
    assert "Your data sets take all of your 2 kB" in ada[1].upload(b"x,y\n1,a\n").text
    small_room(site, datasets_per_user=2)
    assert "You have 2 data sets" in ada[1].post("/datasets/samples/iris", page="/account").text
    assert bob[1].upload(content).status_code == 302
    ada[1].post(f"{path}/delete", page="/account")
    assert ada[1].upload(b"x,y\n1,a\n").status_code == 302
    assert len(kept_files.stored()) == 3


def test_room_is_looked_at_again_where_it_counts(site: Site, ada: Any, monkeypatch: Any) -> None:
    """Two uploads at once see room for both; the second to be written is refused."""
    content = b"x,y\n" + b"1,a\n" * 250
    small_room(site, storage_per_user_bytes=1500)
    real = service.profile_csv

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(service, "profile_csv", real)
        assert ada[1].upload(content).status_code == 302
        return real(*arguments)

    monkeypatch.setattr(service, "profile_csv", meanwhile)
    answer = ada[1].upload(content)
    assert (answer.status_code, "you have room for" in answer.text) == (409, True)
    assert len(service.datasets_of(site.database, ada[0].id)) == 1

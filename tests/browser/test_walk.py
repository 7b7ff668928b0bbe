"""The whole way of a person, from an account to a program's predictions."""

from __future__ import annotations

import csv
import io
import json
import re
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from beanft.training.sample import SAMPLES
from tests.browser.conftest import OpenWindow
from tests.browser.live_site import LiveSite
from tests.browser.person import FIT_MILLISECONDS, Person

IRIS = SAMPLES / "iris.csv"
IRIS_TEST = SAMPLES / "iris_TEST.csv"
PNG = b"\x89PNG\r\n\x1a\n"
VIRGINICA = {"sepal_length": 7.2, "sepal_width": 3.0, "petal_length": 6.1, "petal_width": 2.2}


def ask_api(site: LiveSite, path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send JSON to the API with a key and return its answer."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(site.base + path, json.dumps(body).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
    return found


def look_at_plots(person: Person) -> None:
    """Open each picture of the data set whose page is open; save one as a picture and as data."""
    page, dataset = person.page, person.here
    for name, by in (("Scatter plot", "species"), ("Correlations", ""), ("Charts", None)):
        person.go(dataset)
        person.follow(name)
        if by is not None:
            page.get_by_label("Colour by", exact=True).select_option(by)
            person.press("Draw")
        drawn = person.window.ink()
        assert drawn, f"{name} has no chart"
        assert min(drawn) > 500, f"a chart of {name} is empty: {drawn}"
    person.go(dataset)
    person.follow("Histogram")
    page.get_by_label("Column", exact=True).select_option("petal_length")
    page.get_by_label("Colour by", exact=True).select_option("species")
    page.get_by_label("Picture", exact=True).select_option("box")
    person.press("Draw")
    assert min(person.window.ink()) > 500
    saved = person.download(page.get_by_role("button", name=re.compile("^Download .* as PNG")))
    picture = Path(saved.path()).read_bytes()
    assert picture.startswith(PNG)
    assert len(picture) > 2000
    data = person.download(page.get_by_role("link", name=re.compile("^Download the data of")))
    assert "setosa" in Path(data.path()).read_text(encoding="utf-8-sig")
    person.go(dataset)


def watch_training(person: Person) -> None:
    """See estimators end one by one, without the page being loaded again."""
    page = person.page
    page.evaluate("() => { window.sameDocument = true; }")
    states = page.get_by_role("region", name="Estimators").get_by_text("done", exact=True)
    expect(states.first).to_be_visible(timeout=FIT_MILLISECONDS)
    assert page.evaluate("() => window.sameDocument === true")
    person.wait_for_models()


def test_iris_from_an_account_to_a_programs_prediction(
    site: LiveSite, person: Person, open_window: OpenWindow
) -> None:
    page = person.page
    person.upload(IRIS)
    expect(page.get_by_text("120", exact=True).first).to_be_visible()
    look_at_plots(person)

    person.train("species")
    watch_training(person)
    person.heading("Leaderboard")
    rows = page.get_by_role("region", name="Leaderboard").get_by_role("row")
    assert rows.count() >= 4  # the head and three estimators at least
    best = rows.nth(1)
    expect(best).to_contain_text("current")
    other = rows.nth(2)
    version = other.get_by_role("link").inner_text()
    other.get_by_role("button", name=re.compile("^Make current")).click()
    person.says("is the current one now")
    expect(page.get_by_role("row").filter(has_text=version)).to_contain_text("current")

    person.follow("Predict with the current one")
    person.predict(**{name: str(value) for name, value in VIRGINICA.items()})
    expect(person.answer).to_contain_text("virginica")
    person.heading("Why")
    latest = page.get_by_role("region", name="Your latest predictions")
    expect(latest.get_by_role("row")).to_have_count(2)
    expect(latest).to_contain_text("virginica")

    sent = list(csv.DictReader(io.StringIO(IRIS_TEST.read_text())))
    got = list(csv.DictReader(io.StringIO(person.predict_file(IRIS_TEST))))
    assert len(got) == len(sent) == 30
    assert sum(row["species"] == row["predicted_species"] for row in got) >= 27

    model = page.url.split("/models/")[1].split("/")[0]
    key = person.make_key("nightly report")
    answer = ask_api(site, f"/api/v1/models/{model}/predictions", key, {"rows": [VIRGINICA]})
    assert "virginica" in json.dumps(answer)

    person.go(f"/models/{model}")
    person.press("Make a link")
    link = page.locator("#new-link").inner_text()
    guest = open_window().page
    guest.goto(link)
    expect(guest.get_by_text("Shared with you, to read")).to_be_visible()
    expect(guest.get_by_role("main").get_by_role("button")).to_have_count(0)
    refused = guest.goto(f"/models/{model}")
    assert refused is not None
    assert refused.status == 404 or "/login" in guest.url

    person.go("/account")
    person.press("Revoke nightly report")
    person.says("revoked")
    person.log_out()
    page.goto("/account")
    person.heading("Log in")


def test_diabetes_is_a_number_from_a_sample_to_a_prediction(person: Person) -> None:
    page = person.page
    person.take_sample("diabetes")
    person.train(only=["Linear regression", "Decision tree"])
    person.wait_for_models()
    person.heading("Leaderboard")
    person.says("R2")
    person.follow(re.compile("^Version"))
    held_out = page.locator("#r2").inner_text()
    assert 0.2 < float(re.findall(r"[\d.]+", held_out)[0]) < 1
    person.heading("Truth against prediction")
    person.follow("Charts")
    assert min(person.window.ink()) > 500
    page.go_back()
    person.follow("Predict")
    person.predict()
    usual = float(page.locator("#answer .label").inner_text().split("±")[0])
    person.predict(bmi="40")
    heavy = float(page.locator("#answer .label").inner_text().split("±")[0])
    assert 25 <= usual < heavy <= 400

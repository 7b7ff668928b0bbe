"""Walk through a deployed site as a visitor and as a program would, and clean up.

Usage: ``smoke.py BASE_URL [--expect-revision R] [--json FILE]``. Needs requests, and of this
repository its client alone: the sample files it takes from the site itself.
"""

from __future__ import annotations

import argparse
import csv
import html
import io
import json
import platform
import re
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

sys.path.insert(0, str(Path(__file__).parents[1] / "app" / "client"))

from beanft_client import Client, ClientError, NotFoundError

LEAST_ACCURACY = 0.93
# On the smallest machine that is meant for it.
TRAIN_SECONDS = 120
TIMEOUT_SECONDS = 30
TARGET = "species"


class StepError(Exception):
    """A step didn't do what it should; the message is one sentence."""


FAILURES = (StepError, ClientError, requests.RequestException, ValueError, KeyError)


def expect(response: requests.Response, status: int, what: str) -> requests.Response:
    """Return the response if it has the status."""
    if response.status_code == status:
        return response
    said = re.search(r'<p class="(?:problem|lead)">(.*?)</p>', response.text, re.S)
    detail = html.unescape(said.group(1)) if said else response.text
    raise StepError(f"{what} answered {response.status_code}, not {status}: {detail[:300]!r}.")


def find(pattern: str, text: str, what: str) -> str:
    """Return the pattern's first group."""
    found = re.search(pattern, text, re.S)
    if found is None:
        raise StepError(f"The page has no {what}.")
    return html.unescape(found.group(1))


def _numbers(rows: list[dict[str, str]]) -> list[dict[str, float]]:
    return [{name: float(cell) for name, cell in row.items() if name != TARGET} for row in rows]


class Smoke:
    """The steps, each of which leaves behind what the next ones need."""

    def __init__(self, base: str, revision: str | None, train_seconds: int = TRAIN_SECONDS) -> None:
        self.base = base.rstrip("/")
        self.revision = revision
        self.train_seconds = train_seconds
        self.http = requests.Session()
        self.email = f"smoke-{secrets.token_hex(8)}@example.org"
        self.password = secrets.token_urlsafe(16)
        self.registered = False
        self.dataset = self.model = self.key = ""
        self.seen = ""
        self.accuracy: dict[str, float] = {}

    def get(self, path: str, status: int = 200) -> requests.Response:
        """Fetch a page."""
        return expect(
            self.http.get(self.base + path, timeout=TIMEOUT_SECONDS), status, f"GET {path}"
        )

    def post(
        self, page: str, path: str, data: dict[str, Any], files: dict[str, Any] | None = None
    ) -> requests.Response:
        """Send the form of a page, with its CSRF token."""
        token = find(r'name="csrf_token" value="([^"]+)"', self.get(page).text, "form")
        response = self.http.post(
            self.base + path,
            data={"csrf_token": token, **data},
            files=files,
            # Over HTTPS the CSRF check wants to see where a form came from.
            headers={"Referer": self.base + page},
            timeout=TIMEOUT_SECONDS,
        )
        return expect(response, 200, f"POST {path}")

    def versions(self) -> str:
        """Web and API run the expected revision."""
        seen = []
        for path in ("/version", "/api/v1/version"):
            response = self.get(path)
            revision = response.json()["revision"]
            if response.headers.get("X-Beanft-Revision") != revision:
                raise StepError(f"GET {path} has another revision in its header.")
            if self.revision and revision != self.revision:
                raise StepError(f"GET {path} says {revision}, not {self.revision}.")
            seen.append(revision)
        if seen[0] != seen[1]:
            raise StepError(f"Web runs {seen[0]} and the API {seen[1]}.")
        self.seen = str(seen[0])
        return self.seen[:12]

    def metrics_hidden(self) -> str:
        """Nobody outside sees /metrics."""
        status = self.http.get(f"{self.base}/metrics", timeout=TIMEOUT_SECONDS).status_code
        if status not in {403, 404}:
            raise StepError(f"GET /metrics answered {status}: it must not be reachable.")
        return f"status {status}"

    def register(self) -> str:
        """A new person registers."""
        self.post("/register", "/register", {"email": self.email, "password": self.password})
        self.registered = True
        return self.email

    def log_in(self) -> str:
        """They log out and in again."""
        self.post("/account", "/logout", {})
        self.post("/login", "/login", {"email": self.email, "password": self.password})
        if self.email not in self.get("/account").text:
            raise StepError("After logging in the account page doesn't show the address.")
        return ""

    def upload(self) -> str:
        """They upload the sample data."""
        content = self.get("/samples/iris.csv").content
        answer = self.post(
            "/datasets", "/datasets", {}, {"file": ("iris.csv", content, "text/csv")}
        )
        self.dataset = find(r"/datasets/([0-9a-f]+)$", answer.url, "data set in its address")
        return f"{len(content.splitlines()) - 1} rows"

    def train(self) -> str:
        """They train a model and wait for it."""
        page = f"/datasets/{self.dataset}/train"
        features = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
        answer = self.post(
            page,
            page,
            {"target": TARGET, "features": features, "estimator": "logistic_regression"},
        )
        end = time.monotonic() + TRAIN_SECONDS
        job = re.search(r"(/jobs/[0-9a-f]+)$", answer.url)
        while job and time.monotonic() < end:
            state = self.get(f"{job.group(1)}/status").json()
            if not state["active"]:
                if state["state"] != "succeeded":
                    raise StepError(f"The training {state['state']}: {state['message']}.")
                answer = self.get(job.group(1))
                break
            time.sleep(0.3)
        else:
            if job:
                raise StepError(f"The training took more than {self.train_seconds} seconds.")
        self.model = find(r"/models/([0-9a-f]+)$", answer.url, "model in its address")
        return "held out " + find(r'id="accuracy">([^<]+)<', answer.text, "accuracy")

    def _test_rows(self) -> tuple[bytes, list[dict[str, str]]]:
        content = self.get("/samples/iris_TEST.csv").content
        return content, list(csv.DictReader(io.StringIO(content.decode())))

    def _score(self, where: str, guesses: list[str], rows: list[dict[str, str]]) -> str:
        if len(guesses) != len(rows):
            raise StepError(f"{len(rows)} rows got {len(guesses)} predictions {where}.")
        hits = sum(guess == row[TARGET] for guess, row in zip(guesses, rows, strict=True))
        self.accuracy[where] = hits / len(rows)
        if self.accuracy[where] < LEAST_ACCURACY:
            raise StepError(f"The accuracy {where} is {self.accuracy[where]:.4f}.")
        return f"accuracy {self.accuracy[where]:.4f} on {len(rows)} rows"

    def predict_page(self) -> str:
        """They send the held-out file by page and get a CSV back."""
        content, rows = self._test_rows()
        page = f"/models/{self.model}"
        answer = self.post(
            page, f"{page}/predict-csv", {}, {"file": ("iris_TEST.csv", content, "text/csv")}
        )
        if "text/csv" not in answer.headers.get("Content-Type", ""):
            raise StepError("Predicting a file on the page didn't answer with a CSV file.")
        found = csv.DictReader(io.StringIO(answer.text))
        return self._score("by page", [row[f"predicted_{TARGET}"] for row in found], rows)

    def make_key(self) -> str:
        """They make an API key."""
        answer = self.post("/account", "/account/keys", {"name": "smoke test"})
        self.key = find(r'id="new-key">([^<]+)<', answer.text, "new key")
        return ""

    def predict_api(self) -> str:
        """A program sends the same rows with the key."""
        _content, rows = self._test_rows()
        with Client(self.base, self.key, timeout=TIMEOUT_SECONDS) as client:
            found = client.predict(self.model, _numbers(rows))
        return self._score("by API", [str(entry.label) for entry in found], rows)

    def all_by_api(self) -> str:
        """A program does all of it: upload, train, watch, predict a file, delete."""
        content, rows = self._test_rows()
        with Client(self.base, self.key, timeout=TIMEOUT_SECONDS) as client:
            dataset = client.upload(self.get("/samples/iris.csv").content, "iris.csv")
            started = client.train(dataset.id, TARGET, estimators=["logistic_regression"])
            trained = client.wait(started, seconds=self.train_seconds)
            model = client.model(str(trained.model))
            answer = client.predict_csv(model.series, content).decode()
            client.delete(model)
            client.delete(dataset)
            try:
                client.dataset(dataset.id)
            except NotFoundError:
                guesses = [
                    row[f"predicted_{TARGET}"] for row in csv.DictReader(io.StringIO(answer))
                ]
                return self._score("all by API", guesses, rows)
        raise StepError("A data set that was deleted over the API is still there.")

    def clean_up(self) -> str:
        """Everything they made is deleted with the account."""
        self.post("/account", "/account/delete", {"password": self.password})
        self.registered = False
        self.http.cookies.clear()
        self.post_fails_after_deletion()
        return ""

    def post_fails_after_deletion(self) -> None:
        """Check that nobody can log in any more."""
        page = self.get("/login").text
        token = find(r'name="csrf_token" value="([^"]+)"', page, "form")
        answer = self.http.post(
            f"{self.base}/login",
            data={"csrf_token": token, "email": self.email, "password": self.password},
            headers={"Referer": f"{self.base}/login"},
            timeout=TIMEOUT_SECONDS,
        )
        expect(answer, 422, "POST /login after the account's deletion")

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Return the steps in order."""
        return [
            ("revision of web and API", self.versions),
            ("/metrics is hidden", self.metrics_hidden),
            ("register", self.register),
            ("log in", self.log_in),
            ("upload iris.csv", self.upload),
            ("train", self.train),
            ("predict iris_TEST.csv by page", self.predict_page),
            ("make an API key", self.make_key),
            ("predict iris_TEST.csv by API", self.predict_api),
            ("upload, train, predict by API", self.all_by_api),
            ("delete the account", self.clean_up),
        ]


def run(smoke: Smoke) -> tuple[list[dict[str, Any]], str | None]:
    """Run the steps until one fails; return a row for each, and the failure."""
    rows: list[dict[str, Any]] = []
    for name, step in smoke.steps():
        started = time.monotonic()
        failure = None
        try:
            note = step()
        except FAILURES as error:
            note, failure = str(error), f"The step {name!r} failed: {error}"
        seconds = round(time.monotonic() - started, 3)
        row = {"name": name, "value": seconds, "unit": "s", "bound": None}
        rows.append({**row, "holds": failure is None, "note": note})
        print(f"{'ok ' if failure is None else 'NO '} {name:<32} {seconds:>8.3f} s  {note}")
        if failure is not None:
            return rows, failure
    return rows, None


def main() -> int:
    """Return 0 if every step passed, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base_url")
    parser.add_argument("--expect-revision")
    parser.add_argument("--train-seconds", type=int, default=TRAIN_SECONDS, help="%(default)s")
    parser.add_argument("--json", type=Path, help="write the table here, too")
    options = parser.parse_args()
    smoke = Smoke(options.base_url, options.expect_revision, options.train_seconds)
    rows, failure = run(smoke)
    if failure is not None and smoke.registered:
        try:
            smoke.clean_up()
        except FAILURES as error:
            print(f"The account {smoke.email} is left over: {error}", file=sys.stderr)
    for where, share in smoke.accuracy.items():
        holds = share >= LEAST_ACCURACY
        measure = {"name": f"accuracy {where}", "value": share, "unit": "share"}
        rows.append({**measure, "bound": LEAST_ACCURACY, "holds": holds, "note": ""})
        print(f"    accuracy {where:<23} {share:>8.4f}")
    if options.json:
        report = {
            "target": "smoke",
            "revision": smoke.seen or options.expect_revision,
            "machine": platform.platform(),
            "rows": rows,
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if failure is not None:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

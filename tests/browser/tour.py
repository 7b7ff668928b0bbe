"""Every page of the site, with something on it to see: what is judged and what is pictured."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import expect

from tests.browser.person import Person
from tests.browser.window import Window

# What is on each, in the order of a first visit.
PAGES = {
    "home": "The first page: what it is, and the sample model to try",
    "register": "Making an account",
    "login": "Logging in",
    "datasets": "Data sets: upload one, or take a sample",
    "dataset": "A data set: how it was read, its columns and values",
    "chart": "A data set at one look",
    "plot": "One column: its distribution, coloured by another column",
    "plot-2": "Two columns against each other",
    "plot-3": "Many columns: correlations, and each against each",
    "dashboards": "Tables to look at by a dashboard",
    "dashboard": "A dashboard: filters, charts and rows that answer at once",
    "train": "What to train: target, columns, estimators to compare",
    "job": "A training that was cancelled",
    "leaderboard": "The leaderboard of a model's versions",
    "models": "Models",
    "model": "A model: its card, measures, schema, drift and links",
    "model-chart": "A model's charts",
    "predict": "Predicting: one row with an explanation, a file, the latest",
    "shared": "A model that somebody shared by a link",
    "regression": "A model of a number",
    "account": "The account: picture, password, sessions, keys",
    "second-factor": "Setting up the second factor",
    "api": "The API's documentation",
    "not-found": "An error page",
}
FOR_STRANGERS = {"home", "register", "login", "shared", "api"}


@dataclass
class Tour:
    """Where each page is, once somebody has made what it shows."""

    person: Person
    stranger: Window
    paths: dict[str, str] = field(
        default_factory=lambda: {
            "home": "/",
            "register": "/register",
            "login": "/login",
            "datasets": "/datasets",
            "dashboards": "/dashboard",
            "dashboard": "/dashboard/mtcars",
            "models": "/models",
            "account": "/account",
            "second-factor": "/account/second-factor",
            "api": "/api/v1/docs",
            "not-found": "/nowhere",
        }
    )

    def prepare(self) -> None:
        """Make an account and what its pages show."""
        person, paths = self.person, self.paths
        person.register()
        person.take_sample("diabetes")
        person.train(only=["Linear regression"])
        person.wait_for_models()
        paths["regression"] = person.here

        person.take_sample("iris")
        iris = paths["dataset"] = person.here
        paths["train"] = f"{iris}/train"
        paths["chart"] = f"{iris}/chart"
        paths["plot"] = f"{iris}/plot?column=petal_length&by=species"
        paths["plot-2"] = f"{iris}/plot_2?by=species"
        paths["plot-3"] = f"{iris}/plot_3?by=species"
        person.train("species")
        paths["job"] = person.here
        person.press("Cancel")
        person.heading("species")
        person.go(iris)
        person.train("species")
        person.wait_for_models()
        paths["leaderboard"] = person.here
        person.follow("Version 1")
        paths["model"] = person.here
        paths["model-chart"] = f"{person.here}/chart"
        paths["predict"] = f"{person.here}/predict"
        person.press("Make a link")
        paths["shared"] = "/" + person.page.locator("#new-link").inner_text().split("/", 3)[3]
        person.go(paths["predict"])
        person.predict(petal_length="6.1", petal_width="2.2")
        person.make_key("nightly report")
        person.go(paths["second-factor"])
        person.press("Set it up")

    def window(self, name: str) -> Window:
        """Return the window in which a page is seen."""
        return self.stranger if name in FOR_STRANGERS else self.person.window

    def open(self, name: str) -> None:
        """Open a page in its window, and do what shows what it is for."""
        self.window(name).page.goto(self.paths[name])
        if name == "predict":
            self.person.predict(petal_length="6.1", petal_width="2.2")
            expect(self.person.answer).to_be_visible()
        if name == "model":
            for detail in self.person.page.locator("#access summary").all():
                detail.click()
        self.window(name).reveal()

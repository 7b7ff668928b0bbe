"""Files as spreadsheets and other programs write them, from upload to a prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.person import Person

ROWS = 60
MOST_COLUMNS = 200


@dataclass(frozen=True)
class Awkward:
    """A file, what its page has to show, and a prediction: cells for the form, and the answer."""

    content: bytes
    shown: tuple[str, ...]
    target: str
    cells: dict[str, str]
    answer: str


def table(header: str, line: Callable[[int], str], end: str = "\n") -> str:
    """Return a table of ``ROWS`` lines; odd and even rows are of two kinds."""
    return end.join([header, *(line(i) for i in range(ROWS))]) + end


def kind(i: int) -> str:
    """Return a row's class."""
    return "heavy" if i % 2 else "light"


FILES = {
    "semicolons": Awkward(
        table(
            "width;weight;kind", lambda i: f"{i % 7}.5;{i % 2 * 9}.{i % 10};{kind(i)}", "\r\n"
        ).encode(),
        ("width", "weight", "heavy"),
        "kind",
        {"weight": "9.5"},
        "heavy",
    ),
    "Latin-1": Awkward(
        table(
            "Größe,Gewicht,Stück",
            lambda i: f"{i % 7}.5,{i % 2 * 9}.{i % 10},{('Äpfel', 'Nüsse')[i % 2]}",
        ).encode("latin-1"),
        ("Größe", "Stück", "Nüsse"),
        "Stück",
        {"Gewicht": "9.5"},
        "Nüsse",
    ),
    "a byte order mark": Awkward(
        table("width,weight,kind", lambda i: f"{i % 7},{i % 2 * 9},{kind(i)}").encode("utf-8-sig"),
        ("width", "weight"),
        "kind",
        {"width": "3", "weight": "9"},
        "heavy",
    ),
    "columns named by numbers": Awkward(
        table("0,1,2", lambda i: f"{i % 7},{i % 2 * 9},{kind(i)}").encode(),
        ("0", "1", "2"),
        "2",
        {"0": "3", "1": "9"},
        "heavy",
    ),
    "missing values": Awkward(
        table(
            "width,weight,colour,kind",
            lambda i: (
                f"{'' if i % 5 == 0 else i % 7},{'NA' if i % 11 == 0 else i % 2 * 9},"
                f"{'' if i % 3 == 0 else 'red'},{kind(i)}"
            ),
        ).encode(),
        ("colour", "red"),
        "kind",
        {"width": "", "weight": "9"},
        "heavy",
    ),
    "line breaks within quotes": Awkward(
        table(
            '"the\nwidth",weight,note,kind',
            lambda i: f'{i % 7},{i % 2 * 9},"first line\nsecond, ""quoted""",{kind(i)}',
        ).encode(),
        ("weight", "kind"),
        "kind",
        {"weight": "9"},
        "heavy",
    ),
    "as many columns as may be": Awkward(
        table(
            ",".join([*(f"c{n}" for n in range(MOST_COLUMNS - 1)), "kind"]),
            lambda i: ",".join(
                [
                    *(str((i % 3 == 0) * 9 + i * n % 3) for n in range(MOST_COLUMNS - 1)),
                    kind(i % 3 == 0),
                ]
            ),
        ).encode(),
        ("c0", f"c{MOST_COLUMNS - 2}"),
        "kind",
        {"c0": "1"},  # the form holds the medians, and two rows of three are light
        "light",
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_an_awkward_file_becomes_a_model(
    name: str, person: Person, files: Callable[[str, bytes], Path]
) -> None:
    given = FILES[name]
    person.upload(files("awkward.csv", given.content))
    for text in given.shown:
        expect(person.page.get_by_text(text, exact=True).first).to_be_attached()
    assert not person.window.overflow()
    person.train(given.target, only=["Logistic regression"])
    person.wait_for_models()
    person.follow("Predict")
    person.predict(**given.cells)
    expect(person.answer).to_contain_text(given.answer)
    person.window.look("phone", "light")
    assert not person.window.barriers()
    assert not person.window.overflow()

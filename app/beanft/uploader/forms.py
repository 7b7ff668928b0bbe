"""The form that corrects how a file was read. Its fields come from the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from werkzeug.datastructures import MultiDict

from beanft.ml.cells import Kind
from beanft.ml.dialect import DELIMITER_NAMES, ENCODINGS
from beanft.ml.errors import DataError
from beanft.ml.profile import TableProfile
from beanft.ml.reading import Reading

# A tab wouldn't survive as a form's value.
_DELIMITERS = {name: delimiter for delimiter, name in DELIMITER_NAMES.items()}


@dataclass(slots=True)
class ReadingForm:
    """What the page shows: what is chosen, and errors by field and by column."""

    delimiter: str
    encoding: str
    header: bool
    kinds: dict[str, str]
    errors: dict[str, list[str]] = field(default_factory=dict)
    column_errors: dict[str, str] = field(default_factory=dict)

    encodings = ENCODINGS

    def show(self, error: DataError) -> None:
        """Put problems beside the fields they are about."""
        for problem in error.problems:
            if problem.field == "kinds" and problem.column in self.kinds:
                self.column_errors.setdefault(problem.column, problem.message)
            else:
                self.errors.setdefault(problem.field or "delimiter", []).append(problem.message)


def _plain(encoding: str) -> str:
    return encoding.removesuffix("-sig")


def shown(profile: TableProfile) -> ReadingForm:
    """Return the form that says how the file was read."""
    dialect = profile.dialect
    return ReadingForm(
        DELIMITER_NAMES[dialect.delimiter],
        _plain(dialect.encoding),
        dialect.header,
        {column.name: column.kind for column in profile.columns},
    )


def read(
    profile: TableProfile, before: Reading, sent: MultiDict[str, str]
) -> tuple[ReadingForm, Reading]:
    """Return the form as it was sent, and what it says.

    Types are taken over only where the columns stay the same ones: a file cut in another way
    has others. A type is kept if it is not what was found out.
    """
    form = ReadingForm(
        sent.get("delimiter", ""),
        sent.get("encoding", ""),
        sent.get("header", "yes") == "yes",
        {
            column.name: sent.get(f"kind{position}", column.kind)
            for position, column in enumerate(profile.columns)
        },
    )
    now = shown(profile)
    same = (form.delimiter, form.encoding, form.header) == (
        now.delimiter,
        now.encoding,
        now.header,
    )
    kinds = {
        name: cast("Kind", kind)  # Reading.check looks
        for name, kind in form.kinds.items()
        if same and (kind != now.kinds[name] or name in before.kinds)
    }
    delimiter = _DELIMITERS.get(form.delimiter, form.delimiter)
    return form, Reading(delimiter, form.encoding, form.header, kinds)

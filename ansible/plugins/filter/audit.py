"""Filter that turns release records into the lines of an audit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Record = Mapping[str, Any]
HEAD = ("number", "version", "revision", "who", "from", "when", "seconds", "result", "phases")
NUMBERS = ("number", "seconds")
REASON_WIDTH = 160


def text(value: object) -> str:
    """Return a value as one line; what no record says is a dash, and nothing moves a terminal's cursor."""
    line = " ".join(str("" if value is None else value).split())
    return "".join(letter for letter in line if letter.isprintable()) or "-"


def seconds(value: object) -> str:
    """Return seconds with one digit, or a dash."""
    return f"{value:.1f}" if isinstance(value, int | float) else "-"


def phases(record: Record) -> str:
    """Return the phases in the order they were run, with their seconds."""
    return (
        ", ".join(
            f"{text(name)} {seconds(value)}" for name, value in (record.get("phases") or {}).items()
        )
        or "-"
    )


def result(record: Record) -> str:
    """Return what became of a release."""
    if record.get("current"):
        return "current"
    return "rolled back" if record.get("is_rolled_back") else text(record.get("result"))


def notes(record: Record) -> list[str]:
    """Return what is to be said below a release: why it failed, what a rollback left and restored."""
    lines = []
    if record.get("rolled_back") is not None:
        restored = record.get("restores")
        back = (
            f"restored release {text(restored)}"
            if restored is not None
            else "what it restored is not recorded"
        )
        lines.append(f"left release {text(record['rolled_back'])}, {back}")
    if record.get("reason"):
        reason = text(record["reason"])
        lines.append(
            "reason: "
            + (reason if len(reason) <= REASON_WIDTH else f"{reason[: REASON_WIDTH - 1]}…")
        )
    return lines


def audit(records: Iterable[Record]) -> list[str]:
    """Return the lines of an audit, the newest release first."""
    ordered = sorted(records, key=lambda record: int(record["number"]), reverse=True)
    if not ordered:
        return ["no release is on record"]
    rows = [
        (
            text(record["number"]),
            text(record.get("version")),
            text(record.get("revision")),
            text(record.get("by")),
            text(record.get("where")),
            text(record.get("at"))[:19].replace("T", " "),
            seconds(record.get("seconds")),
            result(record),
            phases(record),
        )
        for record in ordered
    ]
    widths = [max(len(row[column]) for row in [HEAD, *rows]) for column in range(len(HEAD))]

    def line(row: tuple[str, ...]) -> str:
        cells = [
            cell.rjust(width) if name in NUMBERS else cell.ljust(width)
            for name, cell, width in zip(HEAD, row, widths, strict=True)
        ]
        return "  ".join(cells).rstrip()

    indent = " " * (widths[0] + 2)
    lines = [line(HEAD)]
    for record, row in zip(ordered, rows, strict=True):
        lines += [line(row), *(indent + note for note in notes(record))]
    return lines


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, object]:
        """Return the filters by name."""
        return {"audit": audit}

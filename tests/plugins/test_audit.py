"""The audit: who, what, when, how long, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

Load = Callable[[str], ModuleType]


def record(number: int, **values: Any) -> dict[str, Any]:
    return {
        "number": number,
        "version": "0.1.0",
        "revision": f"a34dbc593e2{number}",
        "by": "ada",
        "where": "ci-7",
        "at": f"2026-01-0{number % 10}T10:00:00+00:00",
        "seconds": 12.34,
        "phases": {"plan": 0.4, "pull": 1.25},
        "result": "succeeded",
        **values,
    }


@pytest.fixture
def audit(plugin: Load) -> Callable[..., list[str]]:
    """The filter under its name."""
    return plugin("filter/audit").FilterModule().filters()["audit"]  # type: ignore[no-any-return]


def test_a_release_in_columns(audit: Callable[..., list[str]]) -> None:
    assert audit([record(9), record(10, current=True, seconds=7, by="grace h")]) == [
        "number  version  revision       who      from  when                 seconds  result     phases",
        "    10  0.1.0    a34dbc593e210  grace h  ci-7  2026-01-00 10:00:00      7.0  current    plan 0.4, pull 1.2",
        "     9  0.1.0    a34dbc593e29   ada      ci-7  2026-01-09 10:00:00     12.3  succeeded  plan 0.4, pull 1.2",
    ]


def test_a_rollback_says_what_it_left_and_restored(audit: Callable[..., list[str]]) -> None:
    lines = audit(
        [
            record(1),
            record(2, is_rolled_back=True),
            record(3, rolled_back=2, restores=1, current=True),
            record(4, result="failed", reason="task x: exit 1.\nIts log ends:\n  boom"),
            record(5, rolled_back=3),
        ]
    )
    assert [line for line in lines if line.startswith(" " * 8)] == [
        "        left release 3, what it restored is not recorded",
        "        reason: task x: exit 1. Its log ends: boom",
        "        left release 2, restored release 1",
    ]
    # Each below its own release.
    assert lines.index("        left release 2, restored release 1") == 6
    assert " rolled back  " in lines[7]
    assert lines[3].split()[-5:] == ["failed", "plan", "0.4,", "pull", "1.2"]


def test_old_records_say_less(audit: Callable[..., list[str]]) -> None:
    assert audit([{"number": 1, "result": "succeeded", "revision": "r"}])[1].split() == [
        "1", "-", "r", "-", "-", "-", "-", "succeeded", "-",
    ]  # fmt: skip


def test_nothing_breaks_a_line_or_moves_a_cursor(audit: Callable[..., list[str]]) -> None:
    lines = audit(
        [record(1, by="eve\x1b[2J\nx", result="failed", reason="a\r\nb\x07 " + "c" * 500)]
    )
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    assert "eve[2J x" in lines[1]
    assert lines[2].endswith("c…")
    assert len(lines[2]) < 180


def test_columns_are_aligned_and_nothing_trails(audit: Callable[..., list[str]]) -> None:
    lines = audit([record(1, version="10.20.30", by="x" * 30), record(2, phases={})])
    column = lines[0].index("phases")
    assert lines[2][column:] == "plan 0.4, pull 1.2"
    assert lines[1][column:] == "-"
    assert lines == [line.rstrip() for line in lines]


def test_no_records(audit: Callable[..., list[str]]) -> None:
    assert audit([]) == ["no release is on record"]

"""A board's form, read from the address: filters by the positions of columns, and choices."""

from __future__ import annotations

from werkzeug.datastructures import MultiDict

from beanft.core.sent import meant
from beanft.dashboard.service import Board, Filter
from beanft.ml.csv_text import parse_number

Sent = MultiDict[str, str]


def _bound(board: Board, name: str, sent: Sent) -> float | None:
    text = sent.get(name, "").strip()
    if not text:
        return None
    number = parse_number(text)
    if number is None:
        board.errors[name] = f"{text[:40]!r} is not a number. Write it like 2.5."
    return number


def _read_filter(board: Board, chosen: Filter, sent: Sent) -> None:
    if chosen.ticks:
        sent_ticks = sent.getlist(f"in{chosen.position}")
        ticked = [meant(chosen.ticks, value) for value in sent_ticks]
        chosen.ticked = frozenset(value for value in ticked if value in chosen.ticks)
        if len(chosen.ticked) < len(set(ticked)):
            board.errors[f"in{chosen.position}"] = "Tick values of the list."
        return
    low, high = f"low{chosen.position}", f"high{chosen.position}"
    chosen.low, chosen.high = _bound(board, low, sent), _bound(board, high, sent)
    if chosen.low is not None and chosen.high is not None and chosen.low > chosen.high:
        board.errors[low] = "The lower end is above the upper one. Change one of them."


def read_board(board: Board, sent: Sent) -> None:
    """Fill a board with what was sent; errors go to ``board.errors``."""
    for chosen in board.filters:
        _read_filter(board, chosen, sent)
    for field in ("x", "y", "by", "show"):
        name = meant(board.names(), sent.get(field, getattr(board, field)))
        numbers = board.names("number") if field in "xy" else board.names()
        if name in numbers or (field == "by" and not name) or name == getattr(board, field):
            setattr(board, field, name)
        else:
            board.errors[field] = f"There is no such column {name[:40]!r}. Choose one of the list."
    sorts = sent.getlist("sort")
    board.sort = sorts[-1] if sorts else ""
    if board.sort and board.sorted_by not in board.columns:
        board.errors["sort"] = "There is no such column to sort by. Choose one of the table."
        board.sort = ""

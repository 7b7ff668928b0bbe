"""Pages of the dashboard: choose a table, filter it, look at what passes."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from beanft.core.errors import InvalidError
from beanft.dashboard import service
from beanft.dashboard.forms import read_board
from beanft.dashboard.service import Board
from beanft.extensions import site
from beanft.ml.csv_text import write_csv
from beanft.plots.service import SAMPLE_TITLES, sample_sources
from beanft.plots.views import csv_name, figure_csv, figure_json
from beanft.uploader.service import datasets_of
from beanft.users.current import current_user

blueprint = Blueprint("dashboard", __name__, url_prefix="/dashboard")


def _board(source_id: str) -> Board:
    here, user = site(), current_user()
    source = service.find_source(
        here.database, here.storage, here.settings.limits, user.id if user else None, source_id
    )
    board = service.open_board(here.columns, source)
    read_board(board, request.args)
    return board


@blueprint.get("")
def index() -> ResponseReturnValue:
    """List what can be looked at: samples, and a person's data sets."""
    user = current_user()
    return render_template(
        "dashboard/index.html",
        datasets=datasets_of(site().database, user.id) if user else [],
        samples=sample_sources().values(),
        titles=SAMPLE_TITLES,
    )


@blueprint.get("/<source_id>")
def board(source_id: str) -> ResponseReturnValue:
    """Show a board; its form works without JavaScript, too."""
    found = _board(source_id)
    query = request.query_string.decode("ascii", "replace")
    page = render_template(
        "dashboard/board.html",
        board=found,
        answer=service.answer(found),
        title=SAMPLE_TITLES.get(source_id, found.source.name),
        data_url=url_for("dashboard.data", source_id=source_id),
        csv_url=url_for("dashboard.table", source_id=source_id) + (f"?{query}" if query else ""),
    )
    return make_response(page, 422 if found.errors else 200)


@blueprint.get("/<source_id>/data")
def data(source_id: str) -> ResponseReturnValue:
    """Answer the page's script: figures, means, and the first rows that pass."""
    found = _board(source_id)
    if found.errors:
        errors = [{"field": field, "message": text} for field, text in found.errors.items()]
        return make_response(jsonify(errors=errors), 422)
    answer = service.answer(found)
    return figure_json(
        answer.figures,
        rows=len(answer.rows),
        total=answer.total,
        means=answer.means,
        sort=found.sort,
        table={"rows": answer.table.rows, "numeric": sorted(answer.table.numeric)},
    )


@blueprint.get("/<source_id>/csv")
def table(source_id: str) -> ResponseReturnValue:
    """Send a figure's data, or without ``figure`` all rows that pass, as CSV."""
    found = _board(source_id)
    if found.errors:
        raise InvalidError(next(iter(found.errors.values())))
    answer = service.answer(found)
    if "figure" in request.args:
        return figure_csv(answer.figures, found.source.name)
    response = Response(write_csv(*service.passed_rows(found, answer)), mimetype="text/csv")
    name = csv_name(found.source.name, "filtered")
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response

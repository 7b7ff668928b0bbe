"""Pages of plots: of one column, of two, of many; a data set and a model at one look.

Each page has its figures as JSON at ``/data`` and one of them as CSV at ``/csv?figure=…``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from beanft.core.errors import InvalidError, NotFoundError
from beanft.extensions import site
from beanft.ml.csv_text import write_csv
from beanft.plots import forms, service
from beanft.plots.columns import Source
from beanft.plots.figures import Figure
from beanft.plots.model_figures import model_figures
from beanft.plots.service import Choice
from beanft.training.service import get_model
from beanft.uploader.service import get_dataset
from beanft.users.current import current_user, require_user

blueprint = Blueprint("plots", __name__)


@dataclass(frozen=True, slots=True)
class Look:
    """What one request looks at: a template with its values, and figures."""

    template: str
    values: dict[str, Any]
    figures: list[Figure]
    errors: dict[str, str]


def _source(dataset_id: str) -> Source:
    here = site()
    dataset = get_dataset(here.database, require_user().id, dataset_id)
    return service.dataset_source(here.storage, here.settings.limits, dataset)


def _chosen(
    template: str,
    source: Source,
    choice: Choice,
    draw: Callable[..., list[Figure]],
) -> Look:
    figures = [] if choice.errors else draw(site().columns, source, choice)
    values = {"source": source, "choice": choice, "kinds": forms.KINDS, "methods": forms.METHODS}
    return Look(template, values, figures, choice.errors)


def _plot(dataset_id: str) -> Look:
    source = _source(dataset_id)
    choice = forms.read_plot(source, request.args)
    return _chosen("plots/plot.html", source, choice, service.plot_figures)


def _plot_2(dataset_id: str) -> Look:
    source = _source(dataset_id)
    choice = forms.read_scatter(source, request.args)
    return _chosen("plots/plot_2.html", source, choice, service.scatter_figures)


def _plot_3(dataset_id: str) -> Look:
    source = _source(dataset_id)
    choice = forms.read_many(source, request.args)
    return _chosen("plots/plot_3.html", source, choice, service.many_figures)


def _chart(dataset_id: str) -> Look:
    source = _source(dataset_id)
    figures = service.chart_figures(site().columns, source)
    return Look("plots/chart.html", {"source": source}, figures, {})


def _model_chart(model_id: str) -> Look:
    user = current_user()
    model = get_model(site().database, user.id if user else None, model_id)
    figures = model_figures(model.metrics, model.schema)
    return Look("plots/model_chart.html", {"model": model, "schema": model.schema}, figures, {})


def csv_name(name: str, key: str) -> str:
    """Return a file's name of plain letters for what is downloaded."""
    stem = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.rsplit(".", 1)[0])
    return f"{stem.strip('-')[:60] or 'data'}-{key}.csv"


def figure_csv(figures: list[Figure], name: str) -> Response:
    """Return the figure that the address names as CSV, with harmless cells.

    Raises:
        NotFoundError: there is no such figure.

    """
    key = request.args.get("figure", figures[0].key if figures else "")
    for figure in figures:
        if figure.key == key:
            table = figure.download
            response = Response(write_csv(table.header, iter(table.rows)), mimetype="text/csv")
            response.headers.set(
                "Content-Disposition", "attachment", filename=csv_name(name, figure.key)
            )
            return response
    raise NotFoundError("There is no such figure on this page.")


def figure_json(figures: list[Figure], **more: Any) -> Response:
    """Return figures by their keys as JSON."""
    return jsonify(figures={figure.key: figure.to_dict() for figure in figures}, **more)


def _register(rule: str, name: str, look: Callable[[str], Look]) -> None:
    """Serve a page, its figures as JSON and as CSV; ``rule`` has one id."""

    def address(endpoint: str, ids: dict[str, Any]) -> str:
        query = request.query_string.decode("ascii", "replace")
        return url_for(endpoint, **ids) + (f"?{query}" if query else "")

    def page(**ids: str) -> ResponseReturnValue:
        found = look(*ids.values())
        body = render_template(
            found.template,
            figures=found.figures,
            errors=found.errors,
            data_url=address(f"plots.{name}_data", ids),
            csv_url=address(f"plots.{name}_csv", ids),
            **found.values,
        )
        return make_response(body, 422 if found.errors else 200)

    def data(**ids: str) -> ResponseReturnValue:
        found = look(*ids.values())
        if found.errors:
            errors = [{"field": field, "message": text} for field, text in found.errors.items()]
            return make_response(jsonify(errors=errors), 422)
        return figure_json(found.figures)

    def table(**ids: str) -> ResponseReturnValue:
        found = look(*ids.values())
        if found.errors:
            raise InvalidError(next(iter(found.errors.values())))
        named = found.values.get("source") or found.values["model"]
        return figure_csv(found.figures, named.name)

    blueprint.add_url_rule(rule, name, page)
    blueprint.add_url_rule(f"{rule}/data", f"{name}_data", data)
    blueprint.add_url_rule(f"{rule}/csv", f"{name}_csv", table)


_register("/datasets/<dataset_id>/plot", "plot", _plot)
_register("/datasets/<dataset_id>/plot_2", "plot_2", _plot_2)
_register("/datasets/<dataset_id>/plot_3", "plot_3", _plot_3)
_register("/datasets/<dataset_id>/chart", "chart", _chart)
_register("/models/<model_id>/chart", "model_chart", _model_chart)

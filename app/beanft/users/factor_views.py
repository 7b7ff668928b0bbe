"""Pages of the second factor: set it up, turn it off, new recovery codes."""

from __future__ import annotations

from flask import Blueprint, Response, flash, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from markupsafe import Markup

from beanft.core.errors import InvalidError
from beanft.core.logs import logger
from beanft.extensions import site
from beanft.users import second_factor, service
from beanft.users.current import require_user, visitor
from beanft.users.forms import ConfirmFactorForm, EnableFactorForm
from beanft.users.views import show_errors

blueprint = Blueprint("second_factor", __name__, url_prefix="/account/second-factor")


def _page(
    status: int = 200, *, form: FlaskForm | None = None, codes: list[str] | None = None
) -> Response:
    database = site().database
    user = service.find_user(database, require_user().id)  # as it is after a change
    if user is None:
        raise RuntimeError("an account that is logged in is gone")
    enabled = user.totp_enabled_at is not None
    waiting = user.totp_secret is not None and not enabled
    shown = form or (ConfirmFactorForm if enabled else EnableFactorForm)(formdata=None)
    page = render_template(
        "users/second_factor.html",
        user=user,
        enabled=enabled,
        waiting=waiting,
        # Made by us of an address whose parts are encoded: no text of a person gets in.
        qr=Markup(second_factor.qr_svg(user)) if waiting else None,  # noqa: S704
        left=second_factor.codes_left(database, user.id),
        form=shown,
        codes=codes,
    )
    return make_response(page, status)


def _confirmed() -> tuple[ConfirmFactorForm, bool]:
    """Return the form with password and code, and whether both are right."""
    user, database, address = require_user(), site().database, visitor().address
    form = ConfirmFactorForm()
    if not form.validate_on_submit():
        return form, False
    try:
        service.confirm_password(database, user, form.current_password.data, address)
        second_factor.confirm(database, user.id, form.code.data, address)
    except InvalidError as error:
        show_errors(form, error)
        return form, False
    return form, True


@blueprint.get("")
def index() -> ResponseReturnValue:
    """Show whether it is on, and what can be done."""
    require_user()
    return _page()


@blueprint.post("/begin")
def begin() -> ResponseReturnValue:
    """Make a secret for the person's app."""
    second_factor.begin(site().database, require_user().id)
    return redirect(url_for("second_factor.index"))


@blueprint.post("/enable")
def enable() -> ResponseReturnValue:
    """Turn it on and show the recovery codes, this once."""
    user, database = require_user(), site().database
    form = EnableFactorForm()
    if not form.validate_on_submit():
        return _page(422, form=form)
    try:
        service.confirm_password(database, user, form.current_password.data, visitor().address)
        codes = second_factor.enable(database, user.id, form.code.data)
    except InvalidError as error:
        show_errors(form, error)
        return _page(422, form=form)
    logger().info("second_factor_enabled", user=user.id)
    return _page(codes=codes)


@blueprint.post("/codes")
def renew_codes() -> ResponseReturnValue:
    """Make new recovery codes and show them, this once."""
    form, right = _confirmed()
    if not right:
        return _page(422, form=form)
    return _page(codes=second_factor.renew_codes(site().database, require_user().id))


@blueprint.post("/disable")
def disable() -> ResponseReturnValue:
    """Turn it off."""
    form, right = _confirmed()
    if not right:
        return _page(422, form=form)
    user = require_user()
    second_factor.disable(site().database, user.id)
    logger().info("second_factor_disabled", user=user.id)
    flash("The second factor is off.", "good")
    return redirect(url_for("users.account", _anchor="second-factor"))

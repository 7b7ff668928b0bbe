"""Pages of accounts."""

from __future__ import annotations

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm

from beanft.core.errors import BeanftError, ConflictError, InvalidError
from beanft.extensions import site
from beanft.security.redirects import safe_next
from beanft.users import keys, service
from beanft.users.current import (
    current_session_id,
    current_user,
    log_in,
    log_out,
    require_user,
    visitor,
)
from beanft.users.forms import (
    DeleteAccountForm,
    KeyForm,
    LoginForm,
    RegisterForm,
    SetPasswordForm,
)

blueprint = Blueprint("users", __name__)
WRONG = "The e-mail address or the password is wrong."


def show_errors(form: FlaskForm, error: BeanftError) -> None:
    """Put a service's errors beside the form's fields they are about."""
    for entry in error.errors:
        field = form._fields.get(entry.get("field", ""))
        if field is not None:
            field.errors = [*field.errors, entry["message"]]


def _next() -> str:
    return safe_next(request.args.get("next"), url_for("uploader.index"))


@blueprint.route("/register", methods=["GET", "POST"])
def register() -> ResponseReturnValue:
    """Make an account."""
    if current_user():
        return redirect(_next())
    form = RegisterForm()
    status = 200
    if form.validate_on_submit():
        try:
            user = service.register(site().database, form.email.data, form.password.data)
        except (InvalidError, ConflictError) as error:
            show_errors(form, error)
            status = int(error.status)
        else:
            log_in(user)
            flash("Welcome. Upload a table to begin.", "good")
            return redirect(_next())
    elif form.errors:
        status = 422
    return make_response(render_template("users/register.html", form=form), status)


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """Log in."""
    if current_user():
        return redirect(_next())
    form = LoginForm()
    status = 200
    if form.validate_on_submit():
        user = service.authenticate(
            site().database, form.email.data, form.password.data, visitor().address
        )
        if user is not None:
            log_in(user)
            return redirect(_next())
        form.password.errors = [WRONG]
        status = 422
    elif form.errors:
        status = 422
    return make_response(render_template("users/login.html", form=form), status)


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Log out."""
    log_out()
    flash("You are logged out.", "good")
    return redirect(url_for("home.index"))


@blueprint.route("/welcome/<token>", methods=["GET", "POST"])
def welcome(token: str) -> ResponseReturnValue:
    """Set a password by a one-time link."""
    form = SetPasswordForm()
    if form.validate_on_submit():
        user = service.use_link(site().database, token, form.password.data)
        log_in(user)
        flash("Your password is set.", "good")
        return redirect(url_for("uploader.index"))
    status = 422 if form.errors else 200
    return make_response(render_template("users/welcome.html", form=form), status)


def _account(
    status: int = 200,
    *,
    key_form: KeyForm | None = None,
    delete_form: DeleteAccountForm | None = None,
    new_key: str | None = None,
) -> ResponseReturnValue:
    user = require_user()
    here = site()
    page = render_template(
        "users/account.html",
        user=user,
        keys=keys.keys_of(here.database, user.id),
        sessions=service.sessions_of(here.database, user.id),
        session_id=current_session_id(),
        key_form=key_form or KeyForm(formdata=None),
        delete_form=delete_form or DeleteAccountForm(formdata=None),
        new_key=new_key,
        key_seconds=here.settings.key_cache_seconds,
    )
    return make_response(page, status)


@blueprint.get("/account")
def account() -> ResponseReturnValue:
    """Show the account: keys, sessions, deletion."""
    return _account()


@blueprint.post("/account/keys")
def make_key() -> ResponseReturnValue:
    """Make an API key and show it, this once."""
    user = require_user()
    form = KeyForm()
    if not form.validate_on_submit():
        return _account(422, key_form=form)
    try:
        _key, secret = keys.make_key(site().database, user.id, form.name.data)
    except InvalidError as error:
        show_errors(form, error)
        return _account(422, key_form=form)
    return _account(new_key=secret)


@blueprint.post("/account/keys/<key_id>/revoke")
def revoke_key(key_id: str) -> ResponseReturnValue:
    """Revoke an API key."""
    keys.revoke_key(site().database, require_user().id, key_id)
    flash("The key is revoked.", "good")
    return redirect(url_for("users.account"))


@blueprint.post("/account/sessions/<session_id>/end")
def end_session(session_id: str) -> ResponseReturnValue:
    """End a session, this one or another."""
    service.end_session(site().database, require_user().id, session_id)
    flash("The session is ended.", "good")
    return redirect(url_for("users.account"))


@blueprint.post("/account/delete")
def delete_account() -> ResponseReturnValue:
    """Delete the account and all that belongs to it."""
    user = require_user()
    here = site()
    form = DeleteAccountForm()
    if not form.validate_on_submit():
        return _account(422, delete_form=form)
    try:
        service.delete_account(here.database, here.storage, user.id, form.password.data)
    except InvalidError as error:
        show_errors(form, error)
        return _account(422, delete_form=form)
    log_out()
    flash("Your account and everything in it is deleted.", "good")
    return redirect(url_for("home.index"))

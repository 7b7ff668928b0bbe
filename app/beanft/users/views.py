"""Pages to register, log in and log out."""

from __future__ import annotations

from flask import Blueprint, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm

from beanft.core.errors import BeanftError, ConflictError, InvalidError
from beanft.core.logs import logger
from beanft.extensions import site
from beanft.security.redirects import safe_next
from beanft.users import second_factor, service
from beanft.users.current import (
    ask_for_code,
    current_user,
    log_in,
    log_out,
    user_asked_for_code,
    visitor,
)
from beanft.users.forms import CodeForm, LoginForm, RegisterForm, SetPasswordForm
from beanft.users.models import User

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


def _enter(user: User) -> ResponseReturnValue:
    """Let somebody in whose password is right, or ask for their code first."""
    if user.totp_enabled_at is not None:
        ask_for_code(user)
        return redirect(url_for("users.login_code", next=request.args.get("next")))
    log_in(user)
    logger().info("logged_in", user=user.id)
    return redirect(_next())


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
            return _enter(user)
        logger().info("log_in_refused", step="password")
        form.password.errors = [WRONG]
        status = 422
    elif form.errors:
        status = 422
    return make_response(render_template("users/login.html", form=form), status)


@blueprint.route("/login/code", methods=["GET", "POST"])
def login_code() -> ResponseReturnValue:
    """Log in, second step: a code from the person's app."""
    user = user_asked_for_code()
    if user is None:
        return redirect(url_for("users.login", next=request.args.get("next")))
    form = CodeForm()
    status = 422 if form.is_submitted() else 200
    if form.validate_on_submit():
        if second_factor.accept(site().database, user.id, form.code.data, visitor().address):
            log_in(user)
            logger().info("logged_in", user=user.id, second_factor=True)
            return redirect(_next())
        logger().info("log_in_refused", step="code", user=user.id)
        form.code.errors = [second_factor.WRONG_CODE]
    return make_response(render_template("users/code.html", form=form), status)


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
    status = 422 if form.is_submitted() else 200
    if form.validate_on_submit():
        try:
            user = service.use_link(site().database, token, form.password.data)
        except InvalidError as error:
            show_errors(form, error)
        else:
            flash("Your password is set.", "good")
            return _enter(user)
    return make_response(render_template("users/welcome.html", form=form), status)

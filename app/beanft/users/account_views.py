"""The account's page: picture, password, sessions, API keys, deletion."""

from __future__ import annotations

import datetime as dt

from flask import Response, flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm

from beanft.core.database import utcnow
from beanft.core.errors import InvalidError
from beanft.core.logs import logger
from beanft.extensions import site
from beanft.users import keys, pictures, service, sessions
from beanft.users.current import current_session_id, log_in, log_out, require_user, visitor
from beanft.users.forms import ChangePasswordForm, DeleteAccountForm, KeyForm, PictureForm
from beanft.users.views import blueprint, show_errors

__all__ = ["blueprint"]  # the same as of the log-in, with these pages
PICTURE_SECONDS = 86400
FORMS = {
    "picture_form": PictureForm,
    "password_form": ChangePasswordForm,
    "key_form": KeyForm,
    "delete_form": DeleteAccountForm,
}


def _account(status: int = 200, *, new_key: str | None = None, **sent: FlaskForm) -> Response:
    """Return the page; a form that was sent and is wrong is shown with what is."""
    user = require_user()
    here = site()
    page = render_template(
        "users/account.html",
        user=user,
        keys=keys.keys_of(here.database, user.id),
        scopes=keys.SCOPES,
        now=utcnow(),
        sessions=sessions.sessions_of(here.database, user.id),
        session_id=current_session_id(),
        browser_name=sessions.browser_name,
        new_key=new_key,
        key_seconds=here.settings.key_cache_seconds,
        **{name: sent.get(name) or form(formdata=None) for name, form in FORMS.items()},
    )
    return make_response(page, status)


def _done(part: str, text: str) -> ResponseReturnValue:
    flash(text, "good")
    return redirect(url_for("users.account", _anchor=part))


@blueprint.get("/account")
def account() -> ResponseReturnValue:
    """Show the account."""
    return _account()


@blueprint.get("/account/picture")
def picture() -> ResponseReturnValue:
    """Send the person's own picture, or their initials."""
    user = require_user()
    found = pictures.open_picture(site().storage, user)
    response = Response(found.content, mimetype=found.content_type)
    version = pictures.version(user)
    response.set_etag(version)
    response.vary.add("Cookie")
    response.cache_control.private = True
    if request.args.get("v") == version:
        response.cache_control.max_age = PICTURE_SECONDS
    else:
        response.cache_control.no_cache = True
    return response.make_conditional(request)


@blueprint.post("/account/picture")
def set_picture() -> ResponseReturnValue:
    """Take a picture."""
    user = require_user()
    here = site()
    form = PictureForm()
    sent = form.picture.data
    try:
        if not form.validate_on_submit() or not sent:
            message = "Choose a picture first."
            raise InvalidError(message, errors=[{"field": "picture", "message": message}])
        content = sent.stream.read(pictures.MAX_BYTES + 1)
        pictures.set_picture(here.database, here.storage, user.id, content)
    except InvalidError as error:
        show_errors(form, error)
        return _account(422, picture_form=form)
    return _done("picture", "Your picture is changed.")


@blueprint.post("/account/picture/delete")
def delete_picture() -> ResponseReturnValue:
    """Go back to the initials."""
    here = site()
    pictures.remove_picture(here.database, here.storage, require_user().id)
    return _done("picture", "Your picture is deleted.")


@blueprint.post("/account/password")
def change_password() -> ResponseReturnValue:
    """Change the password; every other session ends."""
    user = require_user()
    database = site().database
    form = ChangePasswordForm()
    if not form.validate_on_submit():
        return _account(422, password_form=form)
    try:
        service.confirm_password(database, user, form.current_password.data, visitor().address)
        service.change_password(database, user, form.password.data)
    except InvalidError as error:
        show_errors(form, error)
        return _account(422, password_form=form)
    log_in(user)
    logger().info("password_changed", user=user.id)
    return _done("password", "Your password is changed. Every other session is ended.")


@blueprint.post("/account/keys")
def make_key() -> ResponseReturnValue:
    """Make an API key and show it, this once."""
    user = require_user()
    form = KeyForm()
    if not form.validate_on_submit():
        return _account(422, key_form=form)
    days = form.life_days()
    try:
        _key, secret = keys.make_key(
            site().database,
            user.id,
            form.name.data,
            form.chosen_scopes(),
            None if days is None else dt.timedelta(days=days),
        )
    except InvalidError as error:
        show_errors(form, error)
        return _account(422, key_form=form)
    return _account(new_key=secret)


@blueprint.post("/account/keys/<key_id>/revoke")
def revoke_key(key_id: str) -> ResponseReturnValue:
    """Revoke an API key."""
    keys.revoke_key(site().database, require_user().id, key_id)
    return _done("keys", "The key is revoked.")


@blueprint.post("/account/sessions/<session_id>/end")
def end_session(session_id: str) -> ResponseReturnValue:
    """End a session, this one or another."""
    sessions.end_session(site().database, require_user().id, session_id)
    return _done("sessions", "The session is ended.")


@blueprint.post("/account/sessions/end-others")
def end_other_sessions() -> ResponseReturnValue:
    """End every session but this one."""
    ended = sessions.end_other_sessions(site().database, require_user().id, current_session_id())
    return _done("sessions", f"Sessions ended: {ended}. You stay logged in here.")


@blueprint.post("/account/delete")
def delete_account() -> ResponseReturnValue:
    """Delete the account and all that belongs to it."""
    user = require_user()
    here = site()
    form = DeleteAccountForm()
    if not form.validate_on_submit():
        return _account(422, delete_form=form)
    address = visitor().address
    if service.authenticate(here.database, user.email, form.password.data, address) is None:
        form.password.errors = ["The password is wrong. Nothing was deleted."]
        return _account(422, delete_form=form)
    service.delete_account(here.database, here.storage, user.id)
    log_out()
    flash("Your account and everything in it is deleted.", "good")
    return redirect(url_for("home.index"))

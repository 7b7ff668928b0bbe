"""Forms of accounts."""

from __future__ import annotations

from flask_wtf import FlaskForm
from wtforms import EmailField, PasswordField, StringField
from wtforms.validators import DataRequired, EqualTo, Length

from beanft.security.passwords import MAX_CHARS, MIN_CHARS

_PASSWORD = Length(MIN_CHARS, MAX_CHARS, f"Use {MIN_CHARS} to {MAX_CHARS} characters.")


class RegisterForm(FlaskForm):
    """A new account."""

    email = EmailField(
        "E-mail address",
        [DataRequired("Enter an e-mail address.")],
        render_kw={"autocomplete": "email"},
    )
    password = PasswordField(
        "Password",
        [DataRequired("Enter a password."), _PASSWORD],
        description=f"At least {MIN_CHARS} characters; a few words are good.",
        render_kw={"autocomplete": "new-password"},
    )


class LoginForm(FlaskForm):
    """Log in."""

    email = EmailField(
        "E-mail address",
        [DataRequired("Enter your e-mail address.")],
        render_kw={"autocomplete": "username"},
    )
    password = PasswordField(
        "Password",
        [DataRequired("Enter your password.")],
        render_kw={"autocomplete": "current-password"},
    )


class SetPasswordForm(FlaskForm):
    """A password, by a one-time link."""

    password = PasswordField(
        "New password",
        [DataRequired("Enter a password."), _PASSWORD],
        render_kw={"autocomplete": "new-password"},
    )
    again = PasswordField(
        "The same again",
        [EqualTo("password", "The two passwords differ.")],
        render_kw={"autocomplete": "new-password"},
    )


class KeyForm(FlaskForm):
    """A new API key."""

    name = StringField(
        "Name",
        [DataRequired("Give the key a name."), Length(max=80)],
        description="What uses it, such as “nightly report”.",
    )


class DeleteAccountForm(FlaskForm):
    """The password again, before everything goes."""

    password = PasswordField(
        "Your password",
        [DataRequired("Enter your password.")],
        render_kw={"autocomplete": "current-password"},
    )

"""Forms of accounts."""

from __future__ import annotations

from typing import Any

from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import (
    EmailField,
    Field,
    PasswordField,
    RadioField,
    SelectChoice,
    SelectField,
    SelectMultipleField,
    StringField,
)
from wtforms.validators import DataRequired, EqualTo, Length

from beanft.security.passwords import MAX_CHARS, MIN_CHARS, RECOMMENDED_CHARS
from beanft.users.keys import SCOPES

_PASSWORD = Length(MIN_CHARS, MAX_CHARS, f"Use {MIN_CHARS} to {MAX_CHARS} characters.")
_ADVICE = (
    f"At least {MIN_CHARS} characters, {RECOMMENDED_CHARS} or more are better. "
    "A few words are good, and spaces are fine."
)
LIVES = {"": "never", "7": "in 7 days", "30": "in 30 days", "90": "in 90 days", "365": "in a year"}
EVERYTHING, PREDICT, CHOSEN = "everything", "predict", "chosen"


def _current_password(label: str = "Your password") -> Field:
    return PasswordField(
        label,
        [DataRequired("Enter your password.")],
        render_kw={"autocomplete": "current-password"},
    )


def _code() -> Field:
    return StringField(
        "Code",
        [DataRequired("Enter the code."), Length(max=64)],
        description="Six digits from your app, or one of your recovery codes.",
        render_kw={
            "autocomplete": "one-time-code",
            "autocapitalize": "none",
            "spellcheck": "false",
        },
    )


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
        description=_ADVICE,
        render_kw={"autocomplete": "new-password"},
    )


class LoginForm(FlaskForm):
    """Log in."""

    email = EmailField(
        "E-mail address",
        [DataRequired("Enter your e-mail address.")],
        render_kw={"autocomplete": "username"},
    )
    password = _current_password("Password")


class CodeForm(FlaskForm):
    """The second step of a log-in."""

    code = _code()


class SetPasswordForm(FlaskForm):
    """A password, by a one-time link."""

    password = PasswordField(
        "New password",
        [DataRequired("Enter a password."), _PASSWORD],
        description=_ADVICE,
        render_kw={"autocomplete": "new-password"},
    )
    again = PasswordField(
        "The same again",
        [EqualTo("password", "The two passwords differ.")],
        render_kw={"autocomplete": "new-password"},
    )


class ChangePasswordForm(SetPasswordForm):
    """Another password."""

    current_password = _current_password("Present password")
    field_order = ("current_password", "password", "again")


class PictureForm(FlaskForm):
    """A profile picture."""

    picture = FileField(
        "Picture",
        description="JPEG, PNG, WebP or GIF. Its middle is cut out as a square.",
        render_kw={"accept": "image/jpeg,image/png,image/webp,image/gif"},
    )


class EnableFactorForm(FlaskForm):
    """Turn the second factor on."""

    code = StringField(
        "Code that the app shows",
        [DataRequired("Enter the code that the app shows."), Length(max=64)],
        render_kw={"autocomplete": "one-time-code", "inputmode": "numeric"},
    )
    current_password = _current_password()


class ConfirmFactorForm(FlaskForm):
    """Password and code, before the second factor or its recovery codes change."""

    current_password = _current_password()
    code = _code()


class KeyForm(FlaskForm):
    """A new API key."""

    name = StringField(
        "Name",
        [DataRequired("Give the key a name."), Length(max=80)],
        description="What uses it, such as “nightly report”.",
    )
    access = RadioField(
        "What it may do",
        choices=[
            SelectChoice(EVERYTHING, "Everything"),
            SelectChoice(PREDICT, "Predict only"),
            SelectChoice(CHOSEN, "What is ticked here"),
        ],
        default=EVERYTHING,
        validate_choice=False,
    )
    scopes = SelectMultipleField(
        "Allowed",
        choices=[SelectChoice(scope, text.capitalize()) for scope, text in SCOPES.items()],
        validate_choice=False,
    )
    life = SelectField(
        "Expires",
        choices=[SelectChoice(days, text) for days, text in LIVES.items()],
        default="",
        validate_choice=False,
    )

    def chosen_scopes(self) -> list[str] | None:
        """Return what the key may do; None for everything, as for a form without that question."""
        if self.access.data == PREDICT:
            return [PREDICT]
        found: list[str] = self.scopes.data or []
        return found if self.access.data == CHOSEN else None

    def life_days(self) -> int | None:
        """Return how many days it works; None for ever."""
        chosen: Any = self.life.data
        return int(chosen) if chosen in LIVES and chosen else None


class DeleteAccountForm(FlaskForm):
    """The password again, before everything goes."""

    password = _current_password()

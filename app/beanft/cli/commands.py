"""Commands that do one thing and end; what they print is for programs."""

from __future__ import annotations

import json
import sys

from beanft.config import Settings
from beanft.core import migrate
from beanft.core.backup import BackupError
from beanft.core.database import Database
from beanft.core.errors import BeanftError


def connect(settings: Settings) -> Database:
    """Return the installation's database."""
    return Database(settings.database_url, settings.database_access)


def database(settings: Settings, action: str, backed_up: str | None = None) -> int:
    """Upgrade the schema, or print the present revision or the pending ones as JSON.

    An upgrade prints the present revision, what it applied, and the backup from before.
    """
    done: dict[str, object] = {}
    if action == "upgrade":
        try:
            upgraded = migrate.upgrade(
                settings.database_url, settings.database_access, backed_up=backed_up
            )
        except (BackupError, migrate.MigrationError) as error:
            print(f"beanft: {error}", file=sys.stderr)
            return 1
        done = {"applied": upgraded.applied, "backup": upgraded.backup}
    with connect(settings) as connected:
        answer: object = (
            migrate.pending(connected)
            if action == "pending"
            else {**migrate.current(connected), **done}
        )
    print(json.dumps(answer))
    return 0


def ensure_sample(settings: Settings) -> int:
    """Release the sample model unless there is one; print a line of JSON."""
    from beanft.storage.choose import open_storage
    from beanft.training.sample import ensure_sample as ensure

    with connect(settings) as connected:
        print(json.dumps(ensure(connected, open_storage(settings, connected))))
    return 0


def create_user(settings: Settings, email: str, *, from_stdin: bool) -> int:
    """Create an account; print a one-time link, unless the password came on stdin."""
    from beanft.users import service

    password = sys.stdin.readline().rstrip("\r\n") if from_stdin else None
    with connect(settings) as connected:
        try:
            user = service.register(connected, email, password)
        except BeanftError as error:
            print(f"beanft: {error.detail}", file=sys.stderr)
            return 1
        answer = {"email": user.email, "id": user.id}
        if password is None:
            answer["link"] = f"/welcome/{service.make_link(connected, user.id)}"
    print(json.dumps(answer))
    return 0


def recover_user(settings: Settings, email: str, *, second_factor: bool) -> int:
    """Print a one-time link for an account; the second factor goes if it isn't kept.

    The present password works until the link is used, which also ends all sessions.
    """
    from beanft.users import second_factor as factor
    from beanft.users import service

    with connect(settings) as connected:
        try:
            user = service.user_by_email(connected, email)
        except BeanftError as error:
            print(f"beanft: {error.detail}", file=sys.stderr)
            return 1
        had = user.totp_enabled_at is not None
        if not second_factor:
            factor.disable(connected, user.id)
        answer = {
            "email": user.email,
            "id": user.id,
            "second_factor": had and second_factor,
            "link": f"/welcome/{service.make_link(connected, user.id)}",
        }
    print(json.dumps(answer))
    return 0

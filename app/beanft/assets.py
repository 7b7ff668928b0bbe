"""The pages' scripts as ``bin/assets`` bundled them: ``static/dist``, with a hash in each name.

A name with a hash never changes its content, so browsers may keep it for a year. While a deploy
is under way, a page of the new release may ask a task of the old one for its script: that task
knows another hash and gives its own script of that name, which nobody may keep.
"""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

from flask import Flask, Response, send_from_directory, url_for

from beanft.core.errors import NotFoundError

DIST = Path(__file__).parent / "static" / "dist"
YEAR_SECONDS = 31_536_000
_HASHED = re.compile(r"^(?P<stem>[a-z0-9_-]+)-[A-Z0-9]{8}\.js$")


class AssetError(RuntimeError):
    """A page names a script that isn't there; the message says how to make it."""


@functools.cache
def manifest() -> dict[str, str]:
    """Return the names with hashes by the names without.

    Raises:
        AssetError: the scripts are not bundled.

    """
    try:
        found: dict[str, str] = json.loads((DIST / "manifest.json").read_bytes())
    except OSError:
        raise AssetError("The pages' scripts are not bundled: run bin/assets.") from None
    return found


def asset(name: str) -> str:
    """Return the address of a script, such as ``charts.js``.

    Raises:
        AssetError: there is none of that name, or they are not bundled.

    """
    try:
        file = manifest()[name]
    except KeyError:
        raise AssetError(
            f"There is no script {name!r} among {', '.join(sorted(manifest()))}: "
            "is it in app/frontend/src, and did bin/assets run since?"
        ) from None
    return url_for("dist", name=file)


def send(name: str) -> Response:
    """Send a script to be kept for a year, or in place of one of another release ours, for now."""
    if (DIST / name).is_file():
        response = send_from_directory(DIST, name, max_age=YEAR_SECONDS)
        if _HASHED.match(name):
            response.cache_control.public = True
            response.cache_control.immutable = True
            return response
        response.cache_control.max_age = 3600
        return response
    found = _HASHED.match(name)
    ours = manifest().get(f"{found['stem']}.js") if found else None
    if ours is None:
        raise NotFoundError("There is no such script.")
    response = send_from_directory(DIST, ours)
    response.headers["Cache-Control"] = "no-store"
    return response


def install(app: Flask) -> None:
    """Serve the scripts, and let templates name them by ``asset``."""
    app.add_url_rule("/static/dist/<name>", "dist", send)
    app.jinja_env.globals["asset"] = asset

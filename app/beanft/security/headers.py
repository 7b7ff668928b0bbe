"""Security headers of every response."""

from __future__ import annotations

import secrets

from flask import g
from werkzeug.datastructures import Headers

# What answers programs shows nothing: no part of it may do anything in a browser.
API_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PRESET = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: the CSRF check on HTTPS compares the referrer with the host.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
HSTS = "max-age=31536000; includeSubDomains"


def csp_nonce() -> str:
    """Return the nonce of the present response's scripts; a template puts it on each of them.

    It is made when it is first asked for: a page without scripts allows none.
    """
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    found: str = g.csp_nonce
    return found


def page_policy(nonce: str | None) -> str:
    """Return the Content-Security-Policy of a page.

    Scripts run by their nonce alone, modules that they import included; not by their address, so a
    file that somebody uploaded is no script, wherever it is served.
    """
    scripts = f"'nonce-{nonce}'" if nonce else "'none'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; "
        "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def secure(headers: Headers, *, https: bool, pages: bool) -> None:
    """Add what is missing; HSTS only where the visitor came by HTTPS.

    Args:
        headers: of a response; what is there already stays.
        https: the visitor came by HTTPS.
        pages: the response is for people, who see it in a browser.

    """
    policy = page_policy(g.get("csp_nonce")) if pages else API_POLICY
    headers.setdefault("Content-Security-Policy", policy)
    for name, value in PRESET.items():
        headers.setdefault(name, value)
    if https:
        headers.setdefault("Strict-Transport-Security", HSTS)

"""Errors as clouds word them: "Errors" in the references of Google's and Azure's APIs."""

from __future__ import annotations

from tests.cloud.tunnel import Refused


def of_google(status: int, reason: str, message: str) -> Refused:
    """Return an error of Google's APIs, of which the newer have the reason as a status."""
    errors = [{"message": message, "domain": "global", "reason": reason}]
    error = {"code": status, "message": message, "status": reason, "errors": errors}
    return Refused(status, {"error": error})


def of_azure(status: int, code: str, message: str) -> Refused:
    """Return an error of Azure's APIs."""
    return Refused(status, {"error": {"code": code, "message": message}})

"""GCP Secret Manager, for the fake of GCP.

It answers in the shapes of the Secret Manager API reference (v1): projects.secrets create, get, patch and addVersion,
and projects.secrets.versions.access; errors are google.rpc.Status. "Use entity tags for optimistic concurrency control"
says what an etag refuses (FAILED_PRECONDITION, 400) and that a new version leaves the secret's alone, "Assign an alias
to a secret version" what an alias is, and "Quotas and limits" that a payload has up to 64 KiB.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from tests.cloud.errors import of_google as refused
from tests.cloud.tunnel import Fault, Item

HOST = "secretmanager.googleapis.com"
NUMBER = "123456789012"
MOST_BYTES = 65_536


class Secrets:
    """The secrets of a project."""

    def __init__(self, project: str, fault_of: Callable[[str], Fault | None]) -> None:
        """Have none yet."""
        self.project = project
        self.fault_of = fault_of
        self.secrets: dict[str, Item] = {}
        self.versions: dict[str, list[str]] = {}
        """Payloads in base64, by the secret's name; the first is version 1."""
        self.number = 0

    def call(self, method: str, path: str, query: dict[str, str], body: bytes) -> Item:
        """Answer a call."""
        place, _, rest = path.partition("/secrets")
        verb = rest.partition(":")[2] or method
        fault = self.fault_of(f"{verb} secrets")
        if fault:
            raise refused(fault.status, fault.reason, fault.message)
        if place != f"/v1/projects/{self.project}":
            raise refused(403, "PERMISSION_DENIED", f"Permission denied on resource {place}.")
        content = json.loads(body) if body else {}
        if method == "POST" and not rest:
            return self.create(query["secretId"], content)
        name, _, version = rest.strip("/").partition(":")[0].partition("/versions/")
        if name not in self.secrets:
            raise refused(404, "NOT_FOUND", f"Secret [{self.path(name)}] not found.")
        if verb == "addVersion":
            return self.add(name, content["payload"]["data"])
        if verb == "access":
            return self.access(name, version)
        if verb == "PATCH":
            self.patch(name, query["updateMask"], content)
        return self.secrets[name]

    def path(self, name: str) -> str:
        """Return a secret's name as the API gives it: with the project's number."""
        return f"projects/{NUMBER}/secrets/{name}"

    def etag(self) -> str:
        """Return a new one."""
        self.number += 1
        return f'"{self.number:013x}"'

    def create(self, name: str, content: Item) -> Item:
        """Make a secret without a version."""
        if name in self.secrets:
            raise refused(409, "ALREADY_EXISTS", f"Secret [{self.path(name)}] already exists.")
        assert content == {"replication": {"automatic": {}}}
        self.versions[name] = []
        self.secrets[name] = {"name": self.path(name), **content, "etag": self.etag()}
        return self.secrets[name]

    def add(self, name: str, data: str) -> Item:
        """Add a version; the secret's etag stays."""
        if len(base64.b64decode(data)) > MOST_BYTES:
            raise refused(400, "INVALID_ARGUMENT", "The payload is too large.")
        self.versions[name].append(data)
        return {
            "name": f"{self.path(name)}/versions/{len(self.versions[name])}",
            "state": "ENABLED",
            "replicationStatus": {"automatic": {}},
            "etag": self.etag(),
        }

    def access(self, name: str, version: str) -> Item:
        """Give a version's payload, by its number, an alias or as the latest."""
        number = self.secrets[name].get("versionAliases", {}).get(version, version)
        if number == "latest":
            number = str(len(self.versions[name]))
        if not number.isdigit() or not 1 <= int(number) <= len(self.versions[name]):
            said = f"Secret Version [{self.path(name)}/versions/{version}] not found."
            raise refused(404, "NOT_FOUND", said)
        data = self.versions[name][int(number) - 1]
        return {"name": f"{self.path(name)}/versions/{number}", "payload": {"data": data}}

    def patch(self, name: str, mask: str, content: Item) -> None:
        """Change the aliases, if the etag is the secret's."""
        assert mask == "versionAliases"
        secret = self.secrets[name]
        if content.get("etag", secret["etag"]) != secret["etag"]:
            said = "The provided etag does not match the current etag of the resource."
            raise refused(400, "FAILED_PRECONDITION", said)
        secret |= {"versionAliases": content["versionAliases"], "etag": self.etag()}

    def text(self, name: str) -> str:
        """Return what is in force."""
        return base64.b64decode(self.access(name, "current")["payload"]["data"]).decode()

"""Azure Key Vault's secrets, for the fake of Azure.

It answers in the shapes of the Key Vault REST reference (7.4): "Set Secret", "Get Secret", "Get Secret Versions" with
pages, "Update Secret"; errors as "Authentication, requests and responses" has them. "About Azure Key Vault secrets"
says that a value has up to 25 KB, and that times are whole seconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from tests.cloud.errors import of_azure as refused
from tests.cloud.tunnel import Fault, Item

NAME = "beanft-of-a-test"
HOST = f"{NAME}.vault.azure.net"
SCOPE = "https://vault.azure.net/.default"
MOST_BYTES = 25_000
# The API's are of 25; these have to be turned sooner.
PAGE = 3


class Secrets:
    """The secrets of a key vault."""

    def __init__(self, fault_of: Callable[[str], Fault | None]) -> None:
        """Have none yet."""
        self.fault_of = fault_of
        self.versions: dict[str, list[Item]] = {}
        """Bundles by the secret's name, the oldest first."""
        self.number = 0

    def call(self, method: str, path: str, query: dict[str, str], body: bytes) -> Item:
        """Answer a call."""
        fault = self.fault_of(f"{method} secrets")
        if fault:
            raise refused(fault.status, fault.reason, fault.message)
        assert query["api-version"] == "7.4"
        _, kind, name, *rest = path.split("/")
        assert kind == "secrets"
        content = json.loads(body) if body else {}
        if method == "PUT":
            return self.put(name, content)
        if rest == ["versions"]:
            return self.page(name, int(query.get("$skiptoken", "0")))
        found = [item for item in self.versions.get(name, []) if item["id"].endswith(rest[0])]
        if not found:
            said = f"A secret with (name/id) {name}/{rest[0]} was not found in this key vault."
            raise refused(404, "SecretNotFound", said)
        if method == "PATCH":
            found[0]["attributes"] |= content["attributes"]
            return without_value(found[0])
        if not found[0]["attributes"]["enabled"]:
            said = "Operation get is not allowed on a disabled secret."
            raise refused(403, "Forbidden", said)
        return found[0]

    def put(self, name: str, content: dict[str, Any]) -> Item:
        """Make a version, which is the newest."""
        if len(content["value"].encode()) > MOST_BYTES:
            raise refused(400, "BadParameter", "The secret value is too long.")
        self.number += 1
        now = int(time.time())
        # Identifiers have no order.
        identifier = f"{self.number * 0x9E3779B97F4A7C15 % 2**64:032x}"
        bundle = {
            **content,
            "id": f"https://{HOST}/secrets/{name}/{identifier}",
            "attributes": {
                "enabled": True,
                "created": now,
                "updated": now,
                "recoveryLevel": "Recoverable+Purgeable",
                "recoverableDays": 90,
            },
        }
        self.versions.setdefault(name, []).append(bundle)
        return bundle

    def page(self, name: str, first: int) -> Item:
        """List some versions, without their values."""
        # As they come: the order is not documented.
        found = sorted(self.versions.get(name, []), key=lambda item: str(item["id"]))
        following = first + PAGE
        return {
            "value": [without_value(item) for item in found[first:following]],
            "nextLink": f"https://{HOST}/secrets/{name}/versions?api-version=7.4&$skiptoken={following}"
            if following < len(found)
            else None,
        }


def without_value(bundle: Item) -> Item:
    """Return what a list says of a version."""
    return {key: value for key, value in bundle.items() if key != "value"}

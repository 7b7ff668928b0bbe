"""Compute Engine behind a tunnel.

It answers in the shapes of the Compute Engine API reference (v1): networks, subnetworks, firewalls, addresses, disks,
instances with getGuestAttributes and aggregatedList, and operations, which are done at once. Those of a load balancer
are in gcp_balancer.py, Cloud Storage and accounts in gcp_storage.py, Cloud SQL and Cloud DNS in gcp_database.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from tests.cloud import gcp_balancer, gcp_database, gcp_storage
from tests.cloud.errors import of_google as refused
from tests.cloud.gcp_secrets import HOST, Secrets
from tests.cloud.tunnel import Answer, Fault, Item, Tunnel

PROJECT = "project-of-a-test"
TOKEN = "token-of-a-test"
ROOT = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}"
PREFIX = f"/compute/v1/projects/{PROJECT}"
TERM = re.compile(r"\(?([a-z][a-zA-Z0-9._-]*) = ([a-zA-Z0-9_-]+)\)?")
LABEL = re.compile(r"[a-z0-9_-]{0,63}")


def matches(item: Item, query: str) -> bool:
    """Tell whether something meets all terms of a filter."""
    if TERM.sub("", query).strip():
        raise refused(400, "invalid", f"Invalid value for field 'filter': '{query}'.")
    for field, wanted in TERM.findall(query):
        name, _, label = field.partition(".")
        value = item.get(name, {}).get(label) if label else item.get(name)
        if value != wanted:
            return False
    return True


class Fake(Tunnel):
    """One project."""

    hosts = (
        *("compute.googleapis.com", "www.googleapis.com", HOST),
        *(gcp_storage.HOST, gcp_storage.ACCOUNTS_HOST),
        *(gcp_database.HOST, gcp_database.NAMES_HOST),
    )

    def __init__(self, directory: Path) -> None:
        """Have nothing yet."""
        super().__init__(directory)
        self.items: dict[str, Item] = {}
        """By their paths below the project, as global/networks/x."""
        self.operations: dict[str, Item] = {}
        self.secrets = Secrets(PROJECT, self.fault_of)
        self.accounts = gcp_storage.Accounts(PROJECT, self.fault_of)
        self.storage = gcp_storage.Storage(PROJECT, self.fault_of, self.accounts)
        self.sql = gcp_database.Sql(PROJECT, self.fault_of)
        self.names = gcp_database.Names(PROJECT, self.fault_of)
        self.members: dict[str, list[str]] = {}
        """The links of the machines that are in a group, by the group's path."""
        self.host_keys: dict[str, str] = {}
        """What machines that are there have told, by their names; of others it is made up."""
        self.number = 0

    def respond(
        self,
        method: str,
        host: str,
        path: str,
        query: dict[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        """Answer a call."""
        if headers["Authorization"] != f"Bearer {TOKEN}":
            raise refused(401, "authError", "Invalid Credentials")
        if host == HOST:
            return Answer(self.secrets.call(method, path, query, body))
        if host == gcp_storage.HOST:
            return Answer(self.storage.call(method, path, query, body))
        if host == gcp_storage.ACCOUNTS_HOST:
            return Answer(self.accounts.call(method, path, body))
        if host == gcp_database.HOST:
            return Answer(self.sql.call(method, path, body))
        if host == gcp_database.NAMES_HOST:
            return Answer(self.names.call(method, path, body))
        if not path.startswith(PREFIX):
            raise refused(404, "notFound", f"There is no {path}")
        return Answer(self.call(method, path[len(PREFIX) :].strip("/"), query, body))

    def named(self, kind: str) -> dict[str, Item]:
        """Return all of a kind, as instances, by name."""
        return {
            path.rsplit("/", 1)[-1]: item
            for path, item in self.items.items()
            if path.split("/")[-2] == kind
        }

    # ------------------------------------------------------------- the API
    def call(self, method: str, path: str, query: dict[str, str], body: bytes) -> Item:
        """Answer one call."""
        parts = path.split("/")
        kinds = [part for part in parts if part in KINDS]
        kind = kinds[-1] if kinds else parts[-1]
        if parts[-1] in gcp_balancer.ACTIONS:
            kind = parts[-1]
        fault = self.fault_of(f"{method} {kind}")
        if fault and not fault.late:
            raise refused(fault.status, fault.reason, fault.message)
        if not path:
            return {"kind": "compute#project", "name": PROJECT}
        if parts[0] == "aggregated":
            found = [item for item in self.named(kind).values() if matches(item, query["filter"])]
            zones: dict[str, Item] = {}
            for item in found:
                zone = f"zones/{item['zone'].rsplit('/', 1)[-1]}"
                zones.setdefault(zone, {"instances": []})["instances"].append(item)
            return {"items": zones or {"zones/none": {"warning": {"code": "NO_RESULTS_ON_PAGE"}}}}
        if "operations" in parts:
            return self.operations[parts[-1]]
        if parts[-1] == "getGuestAttributes":
            return self.guest_attributes("/".join(parts[:-1]))
        if parts[-1] in ("start", "stop"):
            item = self.existing("/".join(parts[:-1]))
            item["status"] = {"start": "RUNNING", "stop": "TERMINATED"}[parts[-1]]
            return self.operation("/".join(parts[:-1]), fault)
        if kind in gcp_balancer.ACTIONS:
            group = "/".join(parts[:-1])
            self.existing(group)
            return self.in_group(group, kind, json.loads(body), fault)
        if method == "PATCH":
            if not fault:
                self.patch(kind, self.existing(path), json.loads(body))
            return self.operation(path, fault)
        if method == "POST":
            content = json.loads(body)
            target = f"{path}/{content['name']}"
            if target in self.items:
                raise refused(409, "alreadyExists", f"The resource '{target}' already exists")
            if not fault:
                self.insert(target, kind, content)
            return self.operation(target, fault)
        if method == "DELETE":
            self.delete(path, self.existing(path))
            return self.operation(path, fault)
        if parts[-1] == kind:
            found = [
                item
                for key, item in self.items.items()
                if key.rsplit("/", 1)[0] == path and matches(item, query.get("filter", ""))
            ]
            return {"items": found} if found else {}
        return self.existing(path)

    def existing(self, path: str) -> Item:
        """Return something that there is."""
        if path not in self.items:
            raise refused(404, "notFound", f"The resource '{path}' was not found")
        return self.items[path]

    def operation(self, target: str, fault: Fault | None) -> Item:
        """Return an operation that is done, or that has failed."""
        self.number += 1
        scope = "/".join(target.split("/")[: 1 if target.startswith("global") else 2])
        operation: Item = {
            "kind": "compute#operation",
            "name": f"operation-{self.number}",
            "status": "DONE",
            "targetLink": f"{ROOT}/{target}",
            "selfLink": f"{ROOT}/{scope}/operations/operation-{self.number}",
        }
        if fault:
            operation["error"] = {"errors": [{"code": fault.reason, "message": fault.message}]}
        self.operations[operation["name"]] = operation
        return operation

    def insert(self, path: str, kind: str, content: Item) -> None:
        """Make something, and fill in what the API does."""
        self.number += 1
        item = {**content, "id": str(self.number), "selfLink": f"{ROOT}/{path}"}
        item["kind"] = f"compute#{KINDS[kind]}"
        if kind in gcp_balancer.FINGERPRINTED:
            item["fingerprint"] = f"print{self.number}"
        links = {entry["selfLink"] for entry in self.items.values()} | self.sql.attachments()
        said = gcp_balancer.wrong(kind, item, links)
        if said:
            raise refused(400, "invalid", said)
        scope = path.rsplit("/", 2)[0]
        if kind == "addresses":
            # One of a subnet is of its range.
            first = "10.70.1" if item.get("addressType") == "INTERNAL" else "203.0.113"
            item |= {"address": f"{first}.{self.number}", "region": f"{ROOT}/{scope}"}
        elif kind == "subnetworks":
            item["region"] = f"{ROOT}/{scope}"
        elif kind == "firewalls":
            item["direction"] = "INGRESS"
        elif kind == "instances":
            self.start(item, scope)
        self.items[path] = item

    def patch(self, kind: str, item: Item, content: Item) -> None:
        """Change something."""
        if kind not in gcp_balancer.CHANGED:
            raise refused(404, "notFound", f"There is no way to change {kind}")
        told = content.pop("fingerprint", None)
        if kind in gcp_balancer.FINGERPRINTED and told != item["fingerprint"]:
            raise refused(412, "conditionNotMet", "Invalid fingerprint.")
        self.number += 1
        item |= content
        if kind in gcp_balancer.FINGERPRINTED:
            item["fingerprint"] = f"print{self.number}"

    def in_group(self, group: str, action: str, content: Item, fault: Fault | None) -> Item:
        """List, add or remove machines of a group."""
        members = self.members.setdefault(group, [])
        if action == "listInstances":
            return gcp_balancer.listed(members)
        links = [entry["instance"] for entry in content["instances"]]
        zone = "/".join(group.split("/")[:2])
        for link in links:
            self.existing(link.removeprefix(f"{ROOT}/"))
            if f"/{zone}/instances/" not in link:
                raise refused(400, "invalid", f"'{link}' is not in {zone}")
        if said := gcp_balancer.refusal(action, links, members):
            raise refused(400, *said)
        if action == "addInstances":
            members += links
        else:
            members[:] = [link for link in members if link not in links]
        return self.operation(group, fault)

    def start(self, item: Item, scope: str) -> None:
        """Start a machine: its disk, its addresses, its account."""
        for account in item.get("serviceAccounts", []):
            if account["email"] not in self.accounts.accounts:
                raise refused(400, "invalid", f"The account {account['email']} was not found.")
        for value in item["labels"].values():
            if not LABEL.fullmatch(value):
                raise refused(400, "invalid", f"Invalid label: {value}")
        item |= {"status": "RUNNING", "zone": f"{ROOT}/{scope}", "labelFingerprint": "x"}
        for interface in item["networkInterfaces"]:
            interface["networkIP"] = f"10.70.0.{self.number % 250 + 2}"
            for access in interface.get("accessConfigs", []):
                access.setdefault("natIP", f"203.0.113.{self.number}")
        for disk in item["disks"]:
            if "source" not in disk:
                new = disk.pop("initializeParams")
                path = f"{scope}/disks/{new['diskName']}"
                if path in self.items:
                    raise refused(409, "alreadyExists", f"The resource '{path}' already exists")
                size = str(new["diskSizeGb"])
                disk["source"] = f"{ROOT}/{path}"
                self.items[path] = {
                    "kind": "compute#disk",
                    "name": new["diskName"],
                    "sizeGb": size,
                    "sourceImage": new["sourceImage"],
                    "zone": f"{ROOT}/{scope}",
                    "selfLink": f"{ROOT}/{path}",
                }

    def delete(self, path: str, item: Item) -> None:
        """Remove something, as long as nothing needs it."""
        for other in self.items.values():
            if item["selfLink"] in json.dumps({**other, "selfLink": ""}):
                message = f"The {path} resource is already being used by '{other['selfLink']}'"
                raise refused(400, "resourceInUseByAnotherResource", message)
            if "address" in item and other.get("IPAddress") == item["address"]:
                message = f"The {path} resource is already being used by '{other['selfLink']}'"
                raise refused(400, "resourceInUseByAnotherResource", message)
        del self.items[path]
        self.members.pop(path, None)
        # A machine that is gone is in no group any more.
        for members in self.members.values():
            members[:] = [link for link in members if link != item["selfLink"]]
        for disk in item.get("disks", []):
            if disk.get("autoDelete"):
                del self.items[disk["source"].removeprefix(f"{ROOT}/")]

    def guest_attributes(self, path: str) -> Item:
        """Return what a machine's guest agent has told."""
        item = self.existing(path)
        told = {entry["key"]: entry["value"] for entry in item["metadata"]["items"]}
        if told.get("enable-guest-attributes") != "TRUE":
            raise refused(404, "notFound", "Guest attributes are not enabled")
        key = self.host_keys.get(item["name"], f"AAAA{item['id']}")
        return {
            "kind": "compute#guestAttributes",
            "queryPath": "hostkeys/",
            "queryValue": {
                "items": [
                    {"namespace": "hostkeys", "key": kind, "value": key}
                    for kind in ("ecdsa-sha2-nistp256", "ssh-ed25519")
                ]
            },
        }


KINDS = {
    "networks": "network",
    "subnetworks": "subnetwork",
    "firewalls": "firewall",
    "addresses": "address",
    "disks": "disk",
    "instances": "instance",
    **gcp_balancer.KINDS,
}

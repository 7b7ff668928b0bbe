"""Cloud SQL and Cloud DNS, for the fake of GCP.

Cloud SQL answers in the shapes of its Admin API reference (v1): instances list, insert, patch, delete,
listServerCertificates, and operations, which are done when they are looked at. "Private Service Connect overview" says
what such an instance has, "Configure SSL/TLS certificates" which authorities name it, "Prevent deletion of an
instance" what keeps it. Cloud DNS answers in those of its reference (v1): managedZones and their rrsets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from tests.cloud.errors import of_google as refused
from tests.cloud.tunnel import Fault, Item

HOST, NAMES_HOST = "sqladmin.googleapis.com", "dns.googleapis.com"
TIERS = re.compile(r"db-custom-\d+-\d+")
LEAST_DISK_GB = 10
# An authority and the one that will follow it.
AUTHORITIES = [
    f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----"
    for name in ("bm93", "bmV4dA==")
]
FaultOf = Callable[[str], Fault | None]


class Sql:
    """The databases of a project."""

    def __init__(self, project: str, fault_of: FaultOf) -> None:
        """Have none yet."""
        self.project, self.fault_of = project, fault_of
        self.instances: dict[str, Item] = {}
        self.passwords: dict[str, str] = {}
        self.operations: dict[str, Item] = {}
        self.number = 0

    def attachments(self) -> set[str]:
        """Return the links of what forwarding rules may lead to."""
        return {item["pscServiceAttachmentLink"] for item in self.instances.values()}

    def call(self, method: str, path: str, body: bytes) -> Item:
        """Answer a call."""
        root = f"/v1/projects/{self.project}/"
        if not path.startswith(root):
            raise refused(403, "forbidden", "The client is not authorized to make this request.")
        kind, _, name = path.removeprefix(root).partition("/")
        if kind == "operations":
            return self.operations[name] | {"status": "DONE"}
        fault = self.fault_of(f"{method} sql {kind}")
        if fault and not fault.late:
            raise refused(fault.status, fault.reason, fault.message)
        name, _, part = name.partition("/")
        if method == "GET" and not name:
            found = list(self.instances.values())
            return {"kind": "sql#instancesList", **({"items": found} if found else {})}
        if method == "POST":
            asked = json.loads(body)
            name = asked["name"]
            if name in self.instances:
                raise refused(
                    409, "instanceAlreadyExists", "The Cloud SQL instance already exists."
                )
            if not fault:
                self.insert(asked)
            return self.operation(name, fault)
        if name not in self.instances:
            raise refused(404, "instanceDoesNotExist", "The Cloud SQL instance does not exist.")
        if part == "listServerCertificates":
            return {"caCerts": [{"cert": text} for text in AUTHORITIES], "serverCerts": []}
        if method == "PATCH":
            self.patch(self.instances[name], json.loads(body)["settings"])
        if method == "DELETE":
            if self.instances[name]["settings"]["deletionProtectionEnabled"]:
                said = "The instance is protected. Please disable the deletion protection and try again."
                raise refused(400, "invalidRequest", said)
            del self.instances[name]
        return self.operation(name, fault)

    def operation(self, name: str, fault: Fault | None) -> Item:
        """Return an operation that has begun, and fails where that is said."""
        self.number += 1
        operation: Item = {
            "kind": "sql#operation",
            "name": f"operation-{self.number}",
            "status": "PENDING",
            "targetId": name,
        }
        if fault:
            error = {"kind": "sql#operationError", "code": fault.reason, "message": fault.message}
            operation["error"] = {"kind": "sql#operationErrors", "errors": [error]}
        self.operations[operation["name"]] = operation
        return operation

    def insert(self, asked: Item) -> None:
        """Make a database."""
        self.number += 1
        self.passwords[asked["name"]] = asked.pop("rootPassword")
        self.judge(asked["settings"])
        region = asked["region"]
        self.instances[asked["name"]] = {
            **asked,
            "kind": "sql#instance",
            "state": "RUNNABLE",
            "project": self.project,
            # Of Google's project, and without a host.
            "pscServiceAttachmentLink": f"projects/of-google/regions/{region}/serviceAttachments/a-{self.number}",
            "dnsName": f"a{self.number}.b.{region}.sql.goog.",
        }

    def judge(self, settings: Item) -> None:
        """Refuse what a database may not be."""
        size = settings["dataDiskSizeGb"]
        if not isinstance(size, str) or int(size) < LEAST_DISK_GB:
            raise refused(400, "invalid", f"Invalid request: Invalid disk size: {size}.")
        if settings["edition"] != "ENTERPRISE" or not TIERS.fullmatch(settings["tier"]):
            said = f"Invalid Tier ({settings['tier']}) for ({settings['edition']}) Edition."
            raise refused(400, "invalid", said)

    def patch(self, instance: Item, asked: Item) -> None:
        """Change a database."""
        settings = instance["settings"]
        wanted = {**settings, **asked}
        self.judge(wanted)
        if int(wanted["dataDiskSizeGb"]) < int(settings["dataDiskSizeGb"]):
            raise refused(400, "invalid", "Disk size cannot be decreased.")
        instance["settings"] = wanted


class Names:
    """The zones of a project, and what is in them."""

    def __init__(self, project: str, fault_of: FaultOf) -> None:
        """Have none yet."""
        self.project, self.fault_of = project, fault_of
        self.zones: dict[str, Item] = {}
        self.records: dict[str, list[Item]] = {}

    def call(self, method: str, path: str, body: bytes) -> Item:
        """Answer a call."""
        root = f"/dns/v1/projects/{self.project}/managedZones"
        zone, _, part = path.removeprefix(root).strip("/").partition("/")
        part, _, record = part.partition("/")
        if fault := self.fault_of(f"{method} {part or 'managedZones'}"):
            raise refused(fault.status, fault.reason, fault.message)
        if method == "POST" and not zone:
            return self.insert(json.loads(body))
        if zone not in self.zones:
            said = f"The 'parameters.managedZone' resource named '{zone}' does not exist."
            raise refused(404, "notFound", said)
        if part == "rrsets":
            return self.of_zone(method, zone, record, body)
        if method == "DELETE":
            if any(item["type"] not in ("NS", "SOA") for item in self.records[zone]):
                said = f"The resource named '{zone}' cannot be deleted because it contains records."
                raise refused(400, "containerNotEmpty", said)
            del self.zones[zone], self.records[zone]
            return {}
        return self.zones[zone]

    def insert(self, asked: Item) -> Item:
        """Make a zone."""
        if asked["name"] in self.zones:
            raise refused(409, "alreadyExists", f"The resource '{asked['name']}' already exists")
        name = asked["dnsName"]
        if not name.endswith("."):
            raise refused(
                400, "invalid", f"Invalid value for 'entity.managedZone.dnsName': '{name}'"
            )
        self.zones[asked["name"]] = {**asked, "kind": "dns#managedZone", "id": "1"}
        soa = "ns-gcp-private.googledomains.com. cloud-dns-hostmaster.google.com. 1 21600 3600 259200 300"
        self.records[asked["name"]] = [
            {
                "kind": "dns#resourceRecordSet",
                "name": name,
                "type": "SOA",
                "ttl": 21600,
                "rrdatas": [soa],
            }
        ]
        return self.zones[asked["name"]]

    def of_zone(self, method: str, zone: str, record: str, body: bytes) -> Item:
        """List records, put one in or take one out."""
        records = self.records[zone]
        if method == "GET":
            return {"kind": "dns#resourceRecordSetsListResponse", "rrsets": records}
        name, _, kind = record.partition("/")
        asked = json.loads(body) if method == "POST" else {"name": name, "type": kind}
        found = [
            item
            for item in records
            if (item["name"], item["type"]) == (asked["name"], asked["type"])
        ]
        if method == "DELETE":
            if not found:
                raise refused(404, "notFound", f"The resource '{record}' does not exist.")
            records.remove(found[0])
            return {}
        if found:
            raise refused(409, "alreadyExists", f"The resource '{asked['name']}' already exists")
        if not asked["name"].endswith(self.zones[zone]["dnsName"]):
            raise refused(400, "invalid", f"Invalid value for 'entity.change': '{asked['name']}'")
        records.append({"kind": "dns#resourceRecordSet", **asked})
        return records[-1]

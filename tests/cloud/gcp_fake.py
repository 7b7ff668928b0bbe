"""Compute Engine on loopback, behind a CONNECT proxy that lets nobody go anywhere else.

Google's endpoints stand in its clients' code. The proxy takes CONNECT for them alone, ends TLS with a certificate of
its own, and answers in the shapes of the Compute Engine API reference (v1): networks, subnetworks, firewalls,
addresses, disks, instances with getGuestAttributes and aggregatedList, and operations, which are done at once.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
import ssl
import tempfile
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOSTS = ("compute.googleapis.com", "www.googleapis.com")
PROJECT = "project-of-a-test"
TOKEN = "token-of-a-test"
ROOT = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}"
PREFIX = f"/compute/v1/projects/{PROJECT}"
TERM = re.compile(r"\(?([a-z][a-zA-Z0-9._-]*) = ([a-zA-Z0-9_-]+)\)?")
LABEL = re.compile(r"[a-z0-9_-]{0,63}")
Item = dict[str, Any]


@dataclasses.dataclass
class Fault:
    """What some calls get instead of an answer; `late` ones are accepted and fail as an operation."""

    call: str
    """As `POST instances`."""
    status: int
    reason: str
    message: str
    times: int = 1
    after: int = 0
    late: bool = False

    def strikes(self) -> bool:
        """Tell whether this call is one of them."""
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return self.times >= 0


class Refused(Exception):  # noqa: N818 - what the API does
    """An answer that is an error."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.content = {
            "error": {
                "code": status,
                "message": message,
                "errors": [{"message": message, "domain": "usageLimits", "reason": reason}],
            }
        }


def matches(item: Item, query: str) -> bool:
    """Tell whether something meets all terms of a filter."""
    if TERM.sub("", query).strip():
        raise Refused(400, "invalid", f"Invalid value for field 'filter': '{query}'.")
    for field, wanted in TERM.findall(query):
        name, _, label = field.partition(".")
        value = item.get(name, {}).get(label) if label else item.get(name)
        if value != wanted:
            return False
    return True


class Fake:
    """The proxy and the project behind it, for a `with` block."""

    def __init__(self, directory: Path) -> None:
        """Write the authority's certificate to `ca.pem` in a directory."""
        self.authority = directory / "ca.pem"
        self.items: dict[str, Item] = {}
        """By their paths below the project, as global/networks/x."""
        self.operations: dict[str, Item] = {}
        self.calls: Counter[str] = Counter()
        self.refused_hosts: list[str] = []
        self.faults: list[Fault] = []
        self.number = 0
        self.lock = threading.RLock()
        fake, context = self, certificate(self.authority)

        class Handler(BaseHTTPRequestHandler):
            """One connection."""

            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_CONNECT(self) -> None:
                """Open a tunnel to the hosts that there are, which are here."""
                if self.path not in {f"{host}:443" for host in HOSTS}:
                    fake.refused_hosts.append(self.path)
                    self.send_error(403)
                    return
                self.send_response(200)
                self.end_headers()
                self.close_connection = False
                self.connection = context.wrap_socket(self.connection, server_side=True)
                self.rfile = self.connection.makefile("rb")
                self.wfile = self.connection.makefile("wb", buffering=0)

            def finish(self) -> None:
                """Close what TLS was laid over, too."""
                super().finish()
                self.connection.close()

            def answer(self) -> None:
                """Answer a call of the API."""
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                url = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(url.query).items()}
                try:
                    if self.headers["Authorization"] != f"Bearer {TOKEN}":
                        raise Refused(401, "authError", "Invalid Credentials")
                    if not url.path.startswith(PREFIX):
                        raise Refused(404, "notFound", f"There is no {url.path}")
                    path = url.path[len(PREFIX) :].strip("/")
                    with fake.lock:
                        status, content = 200, fake.call(self.command, path, query, body)
                except Refused as error:
                    status, content = error.status, error.content
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = answer  # noqa: N815

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def __enter__(self) -> Fake:
        """Serve."""
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        """Where the proxy is."""
        return f"http://127.0.0.1:{self.server.server_port}"

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
        self.calls[f"{method} {kind}"] += 1
        fault = next((f for f in self.faults if f.call == f"{method} {kind}" and f.strikes()), None)
        if fault and not fault.late:
            raise Refused(fault.status, fault.reason, fault.message)
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
        if method == "POST":
            content = json.loads(body)
            target = f"{path}/{content['name']}"
            if target in self.items:
                raise Refused(409, "alreadyExists", f"The resource '{target}' already exists")
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
            raise Refused(404, "notFound", f"The resource '{path}' was not found")
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
        scope = path.rsplit("/", 2)[0]
        if kind == "addresses":
            item |= {"address": f"203.0.113.{self.number}", "region": f"{ROOT}/{scope}"}
        elif kind == "subnetworks":
            item["region"] = f"{ROOT}/{scope}"
        elif kind == "firewalls":
            item["direction"] = "INGRESS"
        elif kind == "instances":
            self.start(item, scope)
        self.items[path] = item

    def start(self, item: Item, scope: str) -> None:
        """Start a machine: its disk, its addresses."""
        for value in item["labels"].values():
            if not LABEL.fullmatch(value):
                raise Refused(400, "invalid", f"Invalid label: {value}")
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
                    raise Refused(409, "alreadyExists", f"The resource '{path}' already exists")
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
                raise Refused(400, "resourceInUseByAnotherResource", message)
        del self.items[path]
        for disk in item.get("disks", []):
            if disk.get("autoDelete"):
                del self.items[disk["source"].removeprefix(f"{ROOT}/")]

    def guest_attributes(self, path: str) -> Item:
        """Return what a machine's guest agent has told."""
        item = self.existing(path)
        told = {entry["key"]: entry["value"] for entry in item["metadata"]["items"]}
        if told.get("enable-guest-attributes") != "TRUE":
            raise Refused(404, "notFound", "Guest attributes are not enabled")
        return {
            "kind": "compute#guestAttributes",
            "queryPath": "hostkeys/",
            "queryValue": {
                "items": [
                    {"namespace": "hostkeys", "key": kind, "value": f"AAAA{item['id']}"}
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
}


def certificate(authority: Path) -> ssl.SSLContext:
    """Write the authority's certificate, return what a server with one of its own needs."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOSTS[0])])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(host) for host in HOSTS]
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=6))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = signed.public_bytes(serialization.Encoding.PEM)
    authority.write_bytes(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with tempfile.NamedTemporaryFile() as both:
        both.write(private + text)
        both.flush()
        context.load_cert_chain(both.name)
    return context

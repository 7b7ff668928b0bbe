"""Compute Engine on loopback, as far as its inventory asks: `fake_gcp.py FLEET CA`.

Google's endpoints stand in the client's code, so that this is a proxy: it takes CONNECT for
www.googleapis.com, ends TLS with a certificate whose authority it writes to CA, and answers
`instances.aggregatedList` from the JSON file FLEET. It prints its port and serves until it is killed.
"""

from __future__ import annotations

import datetime
import json
import re
import ssl
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST = "www.googleapis.com"
PATH = re.compile(r"/compute/v1/projects/([a-z0-9-]+)/aggregated/instances")
TERM = re.compile(r"\(?([a-z][a-zA-Z0-9._-]*) = ([a-zA-Z0-9_-]+)\)?")
LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
PAGE = 2


def certificate(authority: Path) -> ssl.SSLContext:
    """Write the authority's certificate, return what a server with one of its own needs."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = signed.public_bytes(serialization.Encoding.PEM)
    authority.write_bytes(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as both:
        both.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + text
        )
        both.flush()
        context.load_cert_chain(both.name)
    return context


def instance(machine: dict[str, Any], project: str) -> dict[str, Any]:
    """Return a machine as Compute Engine describes it; refuse labels that it would refuse."""
    for key, value in machine["tags"].items():
        if not LABEL_KEY.fullmatch(key) or not LABEL_VALUE.fullmatch(value):
            raise ValueError(f"Invalid label: {key}={value}")
    root = f"https://{HOST}/compute/v1/projects/{project}"
    interface: dict[str, Any] = {
        "name": "nic0",
        "network": f"{root}/global/networks/default",
        "subnetwork": f"{root}/regions/europe-west3/subnetworks/default",
        "networkIP": machine["private"],
    }
    if machine["public"]:
        interface["accessConfigs"] = [
            {"type": "ONE_TO_ONE_NAT", "name": "External NAT", "natIP": machine["public"]}
        ]
    return {
        "id": str(abs(hash(machine["name"]))),
        "name": machine["name"],
        "status": "RUNNING" if machine["running"] else "TERMINATED",
        "zone": f"{root}/zones/europe-west3-a",
        "machineType": f"{root}/zones/europe-west3-a/machineTypes/e2-small",
        "selfLink": f"{root}/zones/europe-west3-a/instances/{machine['name']}",
        "labels": machine["tags"],
        "tags": {"fingerprint": "42WmSpB8rSM="},
        "metadata": {"fingerprint": "x", "items": [{"key": "enable-oslogin", "value": "FALSE"}]},
        "networkInterfaces": [interface],
    }


def matches(item: dict[str, Any], query: str) -> bool:
    """Tell whether an instance meets all terms of a filter."""
    terms = TERM.findall(query)
    if TERM.sub("", query).strip():
        raise ValueError(f"Invalid value for field 'filter': '{query}'.")
    for field, wanted in terms:
        name, _, label = field.partition(".")
        value = item[name].get(label) if label else item[name]
        if value != wanted:
            return False
    return True


class Handler(BaseHTTPRequestHandler):
    """The proxy, and behind it the API."""

    protocol_version = "HTTP/1.1"
    timeout = 20
    context: ssl.SSLContext
    fleet: Path

    def do_CONNECT(self) -> None:
        """Open a tunnel to the one host that there is, which is here."""
        if self.path != f"{HOST}:443":
            self.send_error(403)
            return
        self.send_response(200)
        self.end_headers()
        self.close_connection = False
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)

    def do_GET(self) -> None:
        """Answer a question of the API."""
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        project = PATH.fullmatch(url.path)
        if self.headers["Authorization"] != "Bearer token-of-a-test" or not project:
            self.answer(401 if project else 404, error(401, "Invalid Credentials"))
            return
        try:
            machines = json.loads(self.fleet.read_text(encoding="utf-8"))
            items = [instance(machine, project[1]) for machine in machines]
            found = [item for item in items if matches(item, query.get("filter", ""))]
        except ValueError as reason:
            self.answer(400, error(400, str(reason)))
            return
        start = int(query.get("pageToken", "0"))
        page: dict[str, Any] = {
            "items": {
                "zones/europe-west3-a": {"instances": found[start : start + PAGE]},
                "zones/europe-west3-b": {"warning": {"code": "NO_RESULTS_ON_PAGE"}},
            }
        }
        if len(found) > start + PAGE:
            page["nextPageToken"] = str(start + PAGE)
        self.answer(200, page)

    def answer(self, status: int, content: dict[str, Any]) -> None:
        """Send JSON."""
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


def error(code: int, message: str) -> dict[str, Any]:
    """Return an error as Google's APIs report it."""
    return {"error": {"code": code, "message": message, "errors": [{"message": message}]}}


def main() -> None:
    """Serve."""
    Handler.fleet = Path(sys.argv[1])
    Handler.context = certificate(Path(sys.argv[2]))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

"""What fakes of clouds have in common whose endpoints stand in their clients' code: a CONNECT proxy on loopback.

It takes CONNECT for a cloud's hosts alone, ends TLS with a certificate of its own, and lets nobody go anywhere else.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import ssl
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Item = dict[str, Any]


@dataclasses.dataclass
class Fault:
    """What some calls get instead of an answer; `late` ones are accepted, and fail as an operation."""

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


@dataclasses.dataclass
class Answer:
    """What a call gets."""

    content: Any
    status: int = 200
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


class Refused(Exception):  # noqa: N818 - what the API does
    """An answer that is an error."""

    def __init__(self, status: int, content: Item) -> None:
        super().__init__(str(content))
        self.status = status
        self.content = content


class Tunnel:
    """The proxy and the cloud behind it, for a `with` block."""

    hosts: tuple[str, ...] = ()

    def __init__(self, directory: Path) -> None:
        """Write the authority's certificate to a file in a directory."""
        self.authority = directory / f"{type(self).__name__}-ca.pem"
        self.calls: Counter[str] = Counter()
        self.refused_hosts: list[str] = []
        self.faults: list[Fault] = []
        self.before: dict[str, Callable[[], None]] = {}
        """What happens once, before a call whose method and path end so is answered, as `POST :addVersion`."""
        self.lock = threading.RLock()
        tunnel, context = self, certificate(self.authority, self.hosts)

        class Handler(BaseHTTPRequestHandler):
            """One connection."""

            protocol_version = "HTTP/1.1"
            timeout = 30
            host = ""

            def do_CONNECT(self) -> None:
                """Open a tunnel to the hosts that there are, which are here."""
                if self.path not in {f"{host}:443" for host in tunnel.hosts}:
                    tunnel.refused_hosts.append(self.path)
                    self.send_error(403)
                    return
                self.host = self.path.removesuffix(":443")
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

            def body(self) -> bytes:
                """Return what a call brings along."""
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def answer(self) -> None:
                """Answer a call of the API."""
                body = self.body()
                url = urlsplit(self.path)
                query = {key: values[0] for key, values in parse_qs(url.query).items()}
                tunnel.happen(f"{self.command} {url.path}")
                try:
                    with tunnel.lock:
                        answer = tunnel.respond(
                            self.command, self.host, url.path, query, self.headers, body
                        )
                except Refused as error:
                    answer = Answer(error.content, error.status)
                data = answer.content
                if not isinstance(data, bytes):
                    data = b"" if data is None else json.dumps(data).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)

            do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = do_HEAD = answer  # noqa: N815

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def respond(
        self,
        method: str,
        host: str,
        path: str,
        query: dict[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        """Answer a call.

        Raises:
            Refused: it is answered with an error.
        """
        raise NotImplementedError

    def happen(self, call: str) -> None:
        """Do what happens before a call."""
        method, _, path = call.partition(" ")
        for wanted in list(self.before):
            verb, _, end = wanted.partition(" ")
            if verb == method and path.endswith(end):
                self.before.pop(wanted)()

    def fault_of(self, call: str) -> Fault | None:
        """Count a call, and return what is wrong with it."""
        self.calls[call] += 1
        return next((item for item in self.faults if item.call == call and item.strikes()), None)

    def __enter__(self) -> Self:
        """Serve."""
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        """Where the proxy is."""
        return f"http://127.0.0.1:{self.server.server_port}"


def certificate(authority: Path, hosts: tuple[str, ...]) -> ssl.SSLContext:
    """Write the authority's certificate, return what a server with one of its own needs."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hosts[0])])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName(host) for host in hosts]
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

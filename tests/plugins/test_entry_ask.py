"""entry_ask: pages are asked for in turns, for as long as it is told, and at least some times."""

from __future__ import annotations

import datetime
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def site() -> Iterator[http.server.ThreadingHTTPServer]:
    """An entry at 127.0.0.1 whose API fails."""

    class Handler(http.server.BaseHTTPRequestHandler):
        log_message = staticmethod(lambda *_: None)  # type: ignore[assignment]

        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(500 if self.path.startswith("/api") else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    asked: list[str] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = asked  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate that nobody signed, for a name that is not asked for, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "beanft.example")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def entry(
    docker: Any, plugin: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], None]:
    """Let this machine have an entry at a port of 127.0.0.1."""

    def act(port: int) -> None:
        end = {"IPv4Address": "127.0.0.1/16"}
        docker.says(
            {
                "ps --quiet": "c1",
                "container inspect c1": json.dumps([{"Id": "c1", "Created": "2026-11-29"}]),
                "network inspect": json.dumps([{"Containers": {"c1": end}}]),
            }
        )
        monkeypatch.setattr(plugin("modules/entry_ask"), "PORTS", {False: port, True: port})

    return act


def test_each_page_is_asked_for_some_times_however_short_the_time(
    run: Run, entry: Callable[[int], None], site: http.server.ThreadingHTTPServer
) -> None:
    entry(site.server_port)
    result = run("entry_ask", stack="e", seconds=0)
    assert not result["changed"]
    # Two of four paths are the API's.
    assert result["answers"] == {"200": 10, "500": 10}
    paths = site.asked  # type: ignore[attr-defined]
    assert paths[:4] == ["/", "/login", "/api/v1/version", "/api/v1/models"]


def test_https_is_asked_whoever_signed_the_certificate(
    run: Run,
    entry: Callable[[int], None],
    site: http.server.ThreadingHTTPServer,
    certificate: Path,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    site.socket = context.wrap_socket(site.socket, server_side=True)
    entry(site.server_port)
    result = run("entry_ask", stack="e", seconds=0, tls=True)
    assert result["answers"] == {"200": 10, "500": 10}


def test_it_goes_on_for_as_long_as_it_is_told(
    run: Run, entry: Callable[[int], None], site: http.server.ThreadingHTTPServer
) -> None:
    entry(site.server_port)
    result = run("entry_ask", stack="e", seconds=1, every=0.02, paths=["/"])
    assert 5 < result["answers"]["200"] <= 51


def test_no_answer_is_counted_and_no_failure_of_the_run(
    run: Run, entry: Callable[[int], None], site: http.server.ThreadingHTTPServer
) -> None:
    entry(site.server_port)
    site.shutdown()
    site.socket.close()
    assert run("entry_ask", stack="e", seconds=0)["answers"] == {"none": 20}


def test_a_machine_without_an_entry_is_asked_nothing(run: Run, docker: Any) -> None:
    docker.says({"ps --quiet": ""})
    assert run("entry_ask", stack="e", seconds=5)["answers"] == {}


def test_check_mode_asks_nothing(
    run: Run, entry: Callable[[int], None], site: http.server.ThreadingHTTPServer
) -> None:
    entry(site.server_port)
    assert run("entry_ask", check=True, stack="e", seconds=5)["answers"] == {}
    assert site.asked == []  # type: ignore[attr-defined]

"""What a visitor gets: HTTPS with the certificate that the ACME server issued, on every entry."""

from __future__ import annotations

import ssl
import warnings

import pytest
import requests
from cryptography import x509
from entry_helpers import container
from helpers import entry, machine, secure_entry
from testinfra.host import Host
from tls_helpers import MACHINES, issuer, serials, served, shake_hands

testinfra_hosts = ["m1"]
EVIDENCE = [
    "docker service logs --tail 20 beanft-edge_haproxy",
    "journalctl --unit 'beanft-tls*' --lines 30 --no-pager",
    "journalctl --unit pebble-test --lines 30 --no-pager",
]
HTTPS_PORT = {name: secure_entry(name).rsplit(":", 1)[-1] for name in MACHINES}


def context(
    highest: ssl.TLSVersion | None = None, ciphers: str = "ALL:@SECLEVEL=0"
) -> ssl.SSLContext:
    """Return a client that would take anything, so that a refusal is the entry's."""
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found.minimum_version = ssl.TLSVersion.TLSv1
    if highest:
        found.maximum_version = highest
    return found


def test_the_certificate_is_the_issued_one_on_every_entry() -> None:
    assert len(serials()) == 1
    for name in MACHINES:
        assert "Pebble Intermediate CA" in issuer(name)
        names = served(name).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert set(names.get_values_for_type(x509.DNSName)) == {"beanft.test", "localhost"}


def test_a_client_that_knows_the_root_trusts_every_entry(web: str, root: str) -> None:
    for name in MACHINES:
        assert requests.get(secure_entry(name), verify=root, timeout=10).status_code == 200


def test_a_client_that_does_not_know_the_root_trusts_none() -> None:
    with pytest.raises(requests.exceptions.SSLError, match="certificate verify failed"):
        requests.get(secure_entry("m1"), timeout=10)


@pytest.mark.parametrize("name", MACHINES)
def test_tls_1_1_is_refused(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = context(ssl.TLSVersion.TLSv1_1)
    with pytest.raises(ssl.SSLError) as refused:
        shake_hands(name, old)
    assert refused.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"


# They fit the certificate's key, so it is the entry's choice: without authenticated encryption, and with SHA-1.
@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA"])
def test_a_weak_cipher_is_refused(cipher: str) -> None:
    weak = context(ssl.TLSVersion.TLSv1_2, f"{cipher}:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError) as refused:
        shake_hands("m1", weak)
    assert refused.value.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"


@pytest.mark.parametrize(
    ("highest", "version"),
    [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")],
)
def test_modern_clients_are_served(highest: ssl.TLSVersion, version: str) -> None:
    modern = context(highest, "DEFAULT")
    modern.set_alpn_protocols(["h2", "http/1.1"])
    assert shake_hands("m1", modern) == (version, "h2")


def test_http_leads_to_https_and_keeps_the_method(web: str, root: str) -> None:
    for name in MACHINES:
        url = f"{entry(name)}/some/page?a=b"
        for method in ("GET", "POST"):
            answer = requests.request(method, url, allow_redirects=False, timeout=10)
            assert answer.status_code == 308
            there = f"https://127.0.0.1:{HTTPS_PORT[name]}/some/page?a=b"
            assert answer.headers["Location"] == there
            assert "Strict-Transport-Security" not in answer.headers
    posted = requests.post(
        entry("m1").replace("127.0.0.1", "localhost"), data="x", verify=root, timeout=10
    )
    assert posted.json()["headers"]["x-forwarded-proto"] == "https"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_are_answered_over_http(path: str, web: str) -> None:
    answer = requests.get(entry("m1") + path, allow_redirects=False, timeout=10)
    assert answer.status_code == 200
    assert answer.json()["headers"]["x-forwarded-proto"] == "http"


def test_browsers_are_told_to_come_back_by_https(web: str, root: str) -> None:
    for path in ("/", "/metrics"):
        answer = requests.get(secure_entry("m1") + path, verify=root, timeout=10)
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


def test_the_task_is_told_how_the_visitor_came(web: str, root: str) -> None:
    forged = {"X-Forwarded-Proto": "http"}
    answer = requests.get(secure_entry("m1"), headers=forged, verify=root, timeout=10)
    assert answer.json()["headers"]["x-forwarded-proto"] == "https"


def test_every_entry_answers_a_challenge_for_this_account_alone() -> None:
    answers = set()
    for name in MACHINES:
        url = f"{entry(name)}/.well-known/acme-challenge/"
        answer = requests.get(f"{url}a-Token_1", allow_redirects=False, timeout=10)
        assert answer.status_code == 200
        answers.add(answer.text)
        assert requests.get(f"{url}<b>", allow_redirects=False, timeout=10).status_code == 308
    (said,) = answers
    token, _, thumbprint = said.partition(".")
    assert token == "a-Token_1"  # noqa: S105 - of no service
    assert len(thumbprint) == 43


@pytest.mark.parametrize("name", MACHINES)
def test_nobody_but_root_and_the_entry_reads_the_key(name: str) -> None:
    host = machine(name)
    file, folder = host.file("/etc/beanft/tls/entry.pem"), host.file("/etc/beanft/tls")
    assert (file.user, file.gid, oct(file.mode)) == ("root", 10002, "0o640")
    assert (folder.user, folder.gid, oct(folder.mode)) == ("root", 10002, "0o750")
    ids = host.check_output("docker exec %s id", container(host))
    assert "uid=10002(haproxy) gid=10002(haproxy)" in ids
    inside = host.run("docker exec %s touch /etc/beanft/tls/x", container(host))
    assert "Read-only file system" in inside.stderr


@pytest.mark.parametrize("name", MACHINES)
def test_when_it_ends_is_told_to_whoever_collects_figures(name: str) -> None:
    said = machine(name).file("/var/lib/prometheus/node-exporter/beanft_certificate.prom")
    assert oct(said.mode) == "0o644"
    stamp = int(served(name).not_valid_after_utc.timestamp())
    assert f"\nbeanft_certificate_not_after_timestamp_seconds {stamp}\n" in said.content_string


def test_nothing_of_the_way_to_the_machines_is_left(host: Host) -> None:
    assert "beanft-tls" not in host.check_output("docker service ls; docker secret ls")
    left = host.check_output("find /etc/beanft/tls -name '.*' -type f")
    assert left == ""

"""Filters on certificates, and acme_account with the real openssl."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Load = Callable[[str], ModuleType]
Run = Callable[..., dict[str, Any]]
PEM = serialization.Encoding.PEM


class Pair:
    """A key and its certificate, in PEM."""

    def __init__(
        self, *names: str, start: int = -1, end: int = 60, issuer: Pair | None = None
    ) -> None:
        """Make both; valid from and until so many days from now."""
        now = datetime.datetime.now(datetime.UTC)
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"it {id(self)}")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name if issuer else self.name)
            .public_key(self.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=start))
            .not_valid_after(now + datetime.timedelta(days=end))
        )
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(it) for it in names])
            builder = builder.add_extension(alternatives, critical=False)
        signer = issuer.private if issuer else self.private
        self.chain = builder.sign(signer, hashes.SHA256()).public_bytes(PEM).decode()

    def key(self, passphrase: bytes | None = None) -> str:
        """Return the key."""
        secret = serialization.BestAvailableEncryption(passphrase) if passphrase else None
        form = serialization.PrivateFormat.PKCS8
        found = self.private.private_bytes(PEM, form, secret or serialization.NoEncryption())
        return found.decode()


@pytest.fixture
def problems(plugin: Load) -> Callable[..., list[str]]:
    """Return the filter."""
    found: Callable[..., list[str]] = plugin("filter/certificates").certificate_problems
    return found


def test_a_good_one_has_no_problems(problems: Callable[..., list[str]]) -> None:
    root = Pair()
    site = Pair("www.example.org", "*.api.example.org", issuer=root)
    names = ["WWW.example.org", "v1.api.example.org"]
    assert problems(site.chain + root.chain, site.key(), names) == []


@pytest.mark.parametrize(
    ("chain", "key", "names", "words"),
    [
        (lambda it: "nothing", lambda it: it.key(), [], "holds no certificate"),
        (lambda it: it.chain[:-80] + "\n", lambda it: it.key(), [], "holds no certificate"),
        (lambda it: Pair(end=-0).chain, lambda it: it.key(), [], "expired on "),
        (lambda it: Pair(start=5).chain, lambda it: it.key(), [], "is not valid before "),
        (
            lambda it: it.chain,
            lambda it: Pair().key(),
            [],
            "is not the key of tls_certificate_file",
        ),
        (lambda it: it.chain, lambda it: it.key(b"secret"), [], "encrypted with a passphrase"),
        (lambda it: it.chain, lambda it: "", [], "holds 0 private keys"),
        (lambda it: it.chain, lambda it: it.key() * 2, [], "holds 2 private keys"),
        (lambda it: it.chain, lambda it: it.key(), ["b.org"], "tls_names has b.org"),
        (lambda it: it.chain, lambda it: it.key(), ["x.y.a.org"], "is for a.org, *.a.org"),
        (
            lambda it: it.chain + Pair().chain,
            lambda it: it.key(),
            [],
            "certificate 1 was not issued",
        ),
    ],
)
def test_what_is_wrong_is_said(
    problems: Callable[..., list[str]],
    chain: Callable[[Pair], str],
    key: Callable[[Pair], str],
    names: list[str],
    words: str,
) -> None:
    pair = Pair("a.org", "*.a.org")
    found = problems(chain(pair), key(pair), names)
    assert any(words in problem for problem in found), found


def test_a_bundle_has_certificates_before_the_key_and_no_empty_line(plugin: Load) -> None:
    pair = Pair("a.org")
    bundle = plugin("filter/certificates").pem_bundle
    found = bundle(f"Bag Attributes\n\n{pair.chain}\n\n".replace("\n", "\r\n"), f"\n{pair.key()}\n")
    assert found == pair.chain + pair.key()
    with pytest.raises(Exception, match="it takes certificates, and one key"):
        bundle(pair.chain, "")


@pytest.mark.parametrize(
    ("name", "wanted"), [("a.org", "DNS:a.org"), ("10.0.0.1", "IP:10.0.0.1"), ("::1", "IP:::1")]
)
def test_names_and_addresses_are_told_apart(plugin: Load, name: str, wanted: str) -> None:
    assert plugin("filter/certificates").alternative_name(name) == wanted


def account(run: Run, path: Path, check: bool = False) -> dict[str, Any]:
    """Run acme_account and return what it says."""
    directory = "https://acme.example.org:14000/dir"
    said = run("acme_account", check=check, directory=directory, email="a@b.org", path=str(path))
    said.pop("invocation", None)
    return said


def test_an_account_is_made_once(run: Run, tmp_path: Path) -> None:
    key = tmp_path / "it/accounts/acme.example.org_14000/a@b.org/keys/a@b.org.key"
    (tmp_path / "it").mkdir()
    assert account(run, tmp_path / "it", check=True) == {"changed": True, "thumbprint": ""}
    assert not key.exists()
    first = account(run, tmp_path / "it")
    assert first["changed"]
    assert key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "it/accounts").stat().st_mode & 0o777 == 0o700
    assert account(run, tmp_path / "it") == {"changed": False, "thumbprint": first["thumbprint"]}


def test_the_thumbprint_is_that_of_rfc_7638(plugin: Load, tmp_path: Path) -> None:
    # The key is the number 1, so its point is the base of the curve, which the standard prints.
    private = ec.derive_private_key(1, ec.SECP256R1())
    form = serialization.PrivateFormat.TraditionalOpenSSL
    path = tmp_path / "key"
    path.write_bytes(private.private_bytes(PEM, form, serialization.NoEncryption()))
    assert plugin("modules/acme_account").thumbprint(path) == (
        "xx0BcA-wMohw8atYDJOe6peGModklG2wRHBlXHMvl0M"
    )


def test_a_key_that_is_none_is_named(run: Run, tmp_path: Path) -> None:
    account(run, tmp_path)
    (key,) = tmp_path.rglob("*.key")
    key.write_text("nothing")
    said = account(run, tmp_path)["msg"]
    assert "the key of the ACME account a@b.org can't be had: openssl ec:" in said


def test_what_is_made_is_a_key_for_lego(run: Run, tmp_path: Path) -> None:
    account(run, tmp_path)
    (key,) = tmp_path.rglob("*.key")
    assert key.read_text().startswith("-----BEGIN EC PRIVATE KEY-----\n")
    shown = subprocess.run(
        ["openssl", "ec", "-in", str(key), "-noout", "-text"], capture_output=True, check=True
    )
    assert b"prime256v1" in shown.stdout

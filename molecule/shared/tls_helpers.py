"""What the entries of this scenario serve over HTTPS, and other certificates for them."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import urllib.parse
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from helpers import ROOT, Run, apply, secure_entry

MACHINES = ("m1", "m2", "m3")
ACME: dict[str, Any] = yaml.safe_load((ROOT / "molecule/tls/vars/main.yml").read_text())


def tls(**variables: Any) -> Run:
    """Apply the role with the scenario's variables, and some others."""
    return apply("tls", variables=ACME | variables)


def shake_hands(name: str, context: ssl.SSLContext) -> tuple[str | None, str | None]:
    """Shake hands with the entry of a machine, whoever vouches for it; return the version, and the protocol in it."""
    url = urllib.parse.urlsplit(secure_entry(name))
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", url.port or 443), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="beanft.test") as secure,
    ):
        return secure.version(), secure.selected_alpn_protocol()


def served(name: str) -> x509.Certificate:
    """Return the certificate that the entry of a machine serves."""
    url = urllib.parse.urlsplit(secure_entry(name))
    return x509.load_pem_x509_certificate(
        ssl.get_server_certificate(("127.0.0.1", url.port or 443)).encode()
    )


def issuer(name: str) -> str:
    """Return who issued what the entry of a machine serves."""
    return served(name).issuer.rfc4514_string()


def serials() -> set[int]:
    """Return the serial numbers of what all entries serve: one, where all is well."""
    return {served(name).serial_number for name in MACHINES}


def write_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Make a key, and write it to a file."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    )
    return key


def write_certificate(
    path: Path, key: ec.EllipticCurvePrivateKey, names: list[str], days: int = 60
) -> None:
    """Write a certificate for a key that is valid for so many days from yesterday on."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "molecule")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    alternatives: list[x509.GeneralName] = [x509.DNSName(it) for it in names]
    alternatives.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM))

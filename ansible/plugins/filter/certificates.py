"""Filters on certificates in PEM: what is wrong with one, and one with its key as HAProxy reads it."""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import re
from typing import Any

from ansible.errors import AnsibleFilterError
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\n[A-Za-z0-9+/=\s:,-]+?\n-----END \1-----")
CERTIFICATE = "CERTIFICATE"
CHAIN, KEY, NAMES = "tls_certificate_file", "tls_key_file (or tls_key)", "tls_names"


def blocks(text: str) -> list[tuple[str, str]]:
    """Return the parts of a text in PEM, each with its kind; what stands between them is left out."""
    return [(match[1], match[0]) for match in BLOCK.finditer(text.replace("\r\n", "\n"))]


def names_of(certificate: x509.Certificate) -> list[str]:
    """Return the names and addresses that a certificate is for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = found.get_values_for_type(x509.IPAddress)
    return [*found.get_values_for_type(x509.DNSName), *map(str, addresses)]


def covers(names: list[str], wanted: str) -> bool:
    """Tell whether names of a certificate hold a wanted one; a wildcard stands for one label."""
    _, _, parent = wanted.partition(".")
    lower = [name.lower() for name in names]
    return wanted.lower() in lower or (bool(parent) and f"*.{parent.lower()}" in lower)


def key_problems(leaf: x509.Certificate, key: str) -> list[str]:
    """Return what is wrong with the key of a certificate."""
    found = [block for kind, block in blocks(key) if kind.endswith("PRIVATE KEY")]
    if len(found) != 1:
        return [f"{KEY} holds {len(found)} private keys in PEM, and has to hold one"]
    try:
        private = serialization.load_pem_private_key(found[0].encode(), None)
    except TypeError:
        return [f"{KEY} is encrypted with a passphrase, which nobody could type: decrypt it"]
    except ValueError:
        return [f"{KEY} holds no private key that can be read"]
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        return [f"{KEY} is not the key of {CHAIN}: name the key that the certificate was made with"]
    return []


def chain_problems(chain: list[x509.Certificate]) -> list[str]:
    """Return what is wrong with the order of certificates."""
    for number, (one, issuer) in enumerate(itertools.pairwise(chain), start=1):
        try:
            one.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            return [
                f"{CHAIN}: certificate {number} was not issued by certificate {number + 1}: "
                "put the one of the site first, and after each the one of its issuer"
            ]
    return []


def certificate_problems(chain: str, key: str, names: list[str]) -> list[str]:
    """Return why browsers, or HAProxy, would refuse a certificate with its key; a sentence each."""
    try:
        found = [
            x509.load_pem_x509_certificate(block.encode())
            for kind, block in blocks(chain)
            if kind == CERTIFICATE
        ]
    except ValueError:
        found = []
    if not found:
        return [f"{CHAIN} holds no certificate in PEM that can be read"]
    leaf, now = found[0], datetime.datetime.now(datetime.UTC)
    problems = []
    if leaf.not_valid_after_utc <= now:
        problems.append(f"{CHAIN} expired on {leaf.not_valid_after_utc:%Y-%m-%d}: renew it")
    if leaf.not_valid_before_utc > now:
        problems.append(
            f"{CHAIN} is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: "
            "wait, or set the clock right"
        )
    there = names_of(leaf)
    missing = [name for name in names if not covers(there, name)]
    if missing:
        problems.append(
            f"{NAMES} has {', '.join(missing)}, and {CHAIN} is for {', '.join(there) or 'no name'}: "
            "take the name out, or get a certificate with it"
        )
    return problems + key_problems(leaf, key) + chain_problems(found)


def pem_bundle(chain: str, key: str) -> str:
    """Return a certificate, its issuers and its key as HAProxy reads them, without an empty line."""
    certificates = [block for kind, block in blocks(chain) if kind == CERTIFICATE]
    keys = [block for kind, block in blocks(key) if kind.endswith("PRIVATE KEY")]
    if not certificates or len(keys) != 1:
        raise AnsibleFilterError("pem_bundle: it takes certificates, and one key, in PEM")
    lines = "\n".join([*certificates, *keys]).splitlines()
    return "".join(f"{line.strip()}\n" for line in lines if line.strip())


def alternative_name(name: str) -> str:
    """Return a name as a subject alternative name, by its kind: DNS:… or IP:…."""
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


class FilterModule:
    """The filters."""

    def filters(self) -> dict[str, Any]:
        """Return them by their names."""
        return {
            "certificate_problems": certificate_problems,
            "pem_bundle": pem_bundle,
            "alternative_name": alternative_name,
        }

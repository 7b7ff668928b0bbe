"""What a user of role inside_tls gets: a key that stays, a certificate that clients can check, and a next one."""

from __future__ import annotations

import datetime
import ipaddress
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from helpers import ROOT, Run, apply, machine
from testinfra.host import Host

testinfra_hosts = ["m1", "m2"]  # Debian 12 and 13
DIRECTORY = "/etc/beanft/inside"
AUTHORITY = yaml.safe_load((ROOT / "molecule/shared/vars/inside.yml").read_text(encoding="utf-8"))
SIGNED = [
    "inside_tls : Certificate, signed on the control machine",
    "inside_tls : Certificates on the machine",
]


def again(**variables: Any) -> Run:
    """Apply the role with other variables."""
    return apply("inside_tls", variables={**AUTHORITY, **variables})


def certificate(host: Host, name: str = "certificate.pem") -> x509.Certificate:
    """Return a certificate of a machine."""
    return x509.load_pem_x509_certificate(host.file(f"{DIRECTORY}/{name}").content)


def own_address(host: Host) -> str:
    """Return a machine's address."""
    return str(host.check_output("ip -4 -oneline address show dev eth0").split()[3].split("/")[0])


def test_certificate_is_of_this_machine_by_the_authority(host: Host) -> None:
    found = certificate(host)
    found.verify_directly_issued_by(certificate(host, "ca.pem"))
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [host.check_output("uname -n")]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address(own_address(host))]
    days = (found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)).days
    assert 90 < days <= 500
    constraints = found.extensions.get_extension_for_class(x509.KeyUsage).value
    assert not constraints.key_cert_sign


def test_key_fits_and_is_roots_alone(host: Host) -> None:
    key = host.file(f"{DIRECTORY}/key.pem")
    assert (key.user, key.mode) == ("root", 0o600)
    private = serialization.load_pem_private_key(key.content, None)
    assert private.public_key() == certificate(host).public_key()
    assert host.run("sudo -u deploy cat %s", key.path).rc != 0


def test_the_authoritys_key_is_on_no_machine(host: Host) -> None:
    assert host.check_output("ls %s", DIRECTORY).split() == [
        "ca.pem",
        "certificate.pem",
        "key.pem",
        "request.pem",
    ]


def test_machines_have_keys_of_their_own() -> None:
    keys = {machine(name).file(f"{DIRECTORY}/key.pem").content for name in ("m1", "m2")}
    assert len(keys) == 2


def test_what_ends_soon_is_made_anew_with_the_same_key() -> None:
    before = {name: certificate(machine(name)) for name in testinfra_hosts}
    soon = (
        min(it.not_valid_after_utc for it in before.values()) - datetime.datetime.now(datetime.UTC)
    ).days
    run = again(inside_tls_valid_days=soon + 90, inside_tls_renew_days=soon + 30)
    assert run.messages == []
    assert run.changed == dict.fromkeys(("m1", "m2"), SIGNED)
    for name, old in before.items():
        new = certificate(machine(name))
        assert new.not_valid_after_utc > old.not_valid_after_utc
        assert new.public_key() == old.public_key()
        new.verify_directly_issued_by(certificate(machine(name), "ca.pem"))


def test_another_name_changes_the_certificate_and_nothing_else() -> None:
    try:
        run = again(inside_tls_names=["database.example.org"])
        assert run.messages == []
        assert run.changed == {key: ["inside_tls : Request", *SIGNED] for key in ("m1", "m2")}
        names = certificate(machine("m1")).extensions
        found = names.get_extension_for_class(x509.SubjectAlternativeName).value
        assert found.get_values_for_type(x509.DNSName) == ["database.example.org"]
    finally:
        assert again().code == 0


def test_days_that_make_no_sense_are_refused() -> None:
    run = again(inside_tls_valid_days=30)
    assert run.code != 0
    assert run.changed == {}
    assert (
        "inside_tls_valid_days (30) has to be more than inside_tls_renew_days (90)"
        in run.messages[0]
    )

"""The program of role tls: when it asks for a certificate, and what it makes of HAProxy's answers.

That it issues, carries and loads is tested on machines: molecule/tls.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SETTINGS: dict[str, Any] = {
    "names": ["a.org"],
    "directory": "https://acme.example.org/d",
    "renew_days": 30,
}


@pytest.fixture
def it(
    role_file: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> ModuleType:
    """Return the program, with files of its own."""
    found = role_file("tls/files/beanft_tls.py")
    monkeypatch.setattr(found, "ISSUED", tmp_path / "entry.pem")
    monkeypatch.setattr(found, "ISSUED_FOR", tmp_path / "issued.json")
    return found


def bundle(days: int) -> str:
    """Return a certificate for so many days and its key, in PEM."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=90))
        .not_valid_after(now + datetime.timedelta(days=days, hours=1))
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(pem, form, serialization.NoEncryption())
    return (built.public_bytes(pem) + private).decode()


def test_without_one_it_asks(it: ModuleType) -> None:
    assert it.reason(SETTINGS) == "there is none"


@pytest.mark.parametrize(
    ("days", "before", "why"),
    [
        (31, {}, ""),
        (29, {}, "it has 29 days left"),
        (-3, {}, "it has -3 days left"),
        (80, {"names": ["a.org", "b.org"]}, "it is for other names"),
        (80, {"directory": "https://staging.example.org/d"}, "it is of another server"),
    ],
)
def test_with_one_it_asks_in_time(
    it: ModuleType, days: int, before: dict[str, Any], why: str
) -> None:
    it.ISSUED.write_text(bundle(days))
    it.ISSUED_FOR.write_text(json.dumps(SETTINGS | before))
    assert it.reason(SETTINGS) == why


@pytest.mark.parametrize(("days", "does"), [(2, True), (-1, False)])
def test_one_that_is_about_to_expire_does_and_an_expired_one_does_not(
    it: ModuleType, days: int, does: bool
) -> None:
    it.ISSUED.write_text(bundle(days))
    it.ISSUED_FOR.write_text(json.dumps(SETTINGS))
    assert it.does(SETTINGS) is does
    assert not it.does(SETTINGS | {"names": ["b.org"]})


def test_a_machine_that_is_down_is_not_waited_for(it: ModuleType, docker: Any) -> None:
    it.ISSUED.write_text(bundle(60))
    it.ISSUED_FOR.write_text(json.dumps(SETTINGS))
    mounts = [{"Source": "/etc/beanft/tls"}]
    container = {"Image": "edge@sha256:1", "Mounts": mounts}
    node = {
        "Description": {"Hostname": "m3"},
        # Nobody listens there.
        "Status": {"Addr": "127.0.0.1", "State": "down"},
        "Spec": {"Labels": {"beanft.edge": "true"}},
    }
    docker.says(
        {
            "service inspect s_haproxy": json.dumps(
                [{"Spec": {"TaskTemplate": {"ContainerSpec": container}}}]
            ),
            "node ls": "1",
            "node inspect 1": json.dumps([node]),
        }
    )
    with pytest.raises(it.LateError, match="m3 is down; a run after it came back"):
        it.renew(SETTINGS | {"mode": "acme", "stack": "s", "port": 1})
    assert docker.calls("service create") == []


EXEC = "exec --interactive c bash -c exec 3<>/dev/tcp/127.0.0.1/8405 || exit 1; cat >&3; cat <&3"


def test_a_key_goes_by_stdin_and_ends_with_an_empty_line(it: ModuleType, docker: Any) -> None:
    text = bundle(60)
    wanted = it.sha1(it.leaf(text))
    other, same = "SHA1 FingerPrint: 00", f"SHA1 FingerPrint: {wanted}"
    answers = [other, "", "Transaction created for certificate", "Committing\nSuccess!", same]
    docker.says({EXEC: answers})
    assert it.load_certificate("c", text)
    asked = [call["stdin"] for call in docker.calls("exec")]
    assert asked[2] == f"set ssl cert /etc/beanft/tls/entry.pem <<\n{text}\n"
    assert asked[3] == "commit ssl cert /etc/beanft/tls/entry.pem\n"
    assert all("PRIVATE KEY" not in call["command"] for call in docker.calls())


def test_the_same_certificate_and_an_entry_without_tls_are_left_alone(
    it: ModuleType, docker: Any
) -> None:
    text = bundle(60)
    docker.says({EXEC: [f"SHA1 FingerPrint: {it.sha1(it.leaf(text))}", "Can't display it"]})
    assert not it.load_certificate("c", text)
    assert not it.load_certificate("c", text)
    assert len(docker.calls()) == 2


def test_what_haproxy_refuses_is_quoted_and_taken_back(it: ModuleType, docker: Any) -> None:
    answers = ["SHA1 FingerPrint: 00", "", "unable to load the\nprivate key", ""]
    docker.says({EXEC: answers})
    with pytest.raises(
        it.TlsError, match="does not take the certificate: unable to load the private"
    ):
        it.load_certificate("c", bundle(60))
    assert docker.calls()[-1]["stdin"] == "abort ssl cert /etc/beanft/tls/entry.pem\n"


def test_a_map_gets_what_is_new_and_loses_what_is_gone(it: ModuleType, docker: Any) -> None:
    docker.says({EXEC: ["0x1 port :1\n0x2 gone x\n", "", "", ""]})
    assert it.load_map("c", "port :2\nthumbprint t\n")
    assert [call["stdin"].split("machine.map ")[-1] for call in docker.calls()][1:] == [
        "gone\n",
        "port :2\n",
        "thumbprint t\n",
    ]
    assert [call["stdin"].split()[0] for call in docker.calls()] == ["show", "del", "set", "add"]

"""Other ways to a certificate, and what is refused before anything changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from helpers import STATE, secure_entry
from testinfra.host import Host
from tls_helpers import MACHINES, issuer, serials, tls, write_certificate, write_key

testinfra_hosts = ["m1"]
EVIDENCE = ["journalctl --unit 'beanft-tls*' --lines 30 --no-pager"]
NAMES = ["beanft.test", "localhost"]
SWITCHED = [
    "tls : What this machine is to the outside",
    "tls : Settings",
    "tls : Certificate with its key",
]


@pytest.fixture(scope="module", autouse=True)
def back() -> Iterator[None]:
    """Have the certificate of the ACME server again, which was not thrown away."""
    before = serials()
    yield
    run = tls()
    assert run.messages == []
    assert "tls : Certificate of the ACME server" in run.changed["m1"]
    assert serials() == before


@pytest.fixture
def own(tmp_path: Path) -> dict[str, Any]:
    """Return the role's variables for a certificate of one's own."""
    write_certificate(tmp_path / "site.pem", write_key(tmp_path / "site.key"), NAMES)
    return {
        "tls_mode": "own",
        "tls_certificate_file": str(tmp_path / "site.pem"),
        "tls_key_file": str(tmp_path / "site.key"),
    }


def test_own_certificate_is_served_by_all_and_another_one_after_it(
    own: dict[str, Any], tmp_path: Path
) -> None:
    run = tls(**own)
    assert run.messages == []
    for name in MACHINES:
        assert set(SWITCHED) <= set(run.changed[name])
        assert issuer(name) == "CN=molecule"
    before = serials()
    assert tls(**own).changed == {}
    write_certificate(tmp_path / "site.pem", write_key(tmp_path / "site.key"), NAMES)
    changes = ["tls : Certificate with its key", "tls : Entry takes the certificate"]
    assert tls(**own).changed == dict.fromkeys(MACHINES, changes)
    assert len(serials()) == 1
    assert serials() != before


def test_the_key_may_come_from_a_vault(own: dict[str, Any]) -> None:
    key = Path(own["tls_key_file"]).read_text()
    run = tls(**own | {"tls_key_file": "", "tls_key": key})
    assert run.messages == []
    assert {issuer(name) for name in MACHINES} == {"CN=molecule"}


def test_without_acme_nothing_is_asked_for(own: dict[str, Any], host: Host) -> None:
    assert tls(**own).messages == []
    assert host.check_output("beanft-tls renew") == "nothing to renew: tls_mode is own"
    assert not host.service("beanft-tls-renew.timer").is_running
    url = f"{secure_entry('m1')}/.well-known/acme-challenge/x"
    answer = requests.get(url, verify=own["tls_certificate_file"], timeout=10)
    # No account, so no answer but the tasks' own.
    assert answer.status_code == 503


def refused(variables: dict[str, Any], *words: str) -> None:
    """Check that the role refuses variables with some words, and changes nothing."""
    before = serials()
    run = tls(**variables)
    assert run.code != 0
    assert run.changed == {}
    for word in words:
        assert word in run.messages[0], run.messages
    assert serials() == before


def test_an_unknown_mode_is_refused() -> None:
    refused({"tls_mode": "letsencrypt"}, "tls_mode", "none, self_signed, own, acme")


@pytest.mark.parametrize("variable", ["tls_certificate_file", "tls_key_file"])
def test_a_missing_file_is_refused(own: dict[str, Any], variable: str) -> None:
    refused(own | {variable: "/nowhere.pem"}, f"{variable} is '/nowhere.pem'", "in PEM")


def test_a_key_that_does_not_fit_is_refused(own: dict[str, Any]) -> None:
    write_key(Path(own["tls_key_file"]))
    refused(own, "tls_key_file (or tls_key) is not the key of tls_certificate_file")


def test_an_expired_certificate_is_refused(own: dict[str, Any]) -> None:
    path = Path(own["tls_certificate_file"])
    write_certificate(path, write_key(Path(own["tls_key_file"])), NAMES, days=0)
    refused(own, "tls_certificate_file expired on ", "renew it")


def test_a_name_that_is_not_in_the_certificate_is_refused(own: dict[str, Any]) -> None:
    refused(
        own | {"tls_names": [*NAMES, "www.beanft.test"]},
        "tls_names has www.beanft.test, and tls_certificate_file is for beanft.test, localhost",
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("tls_acme_directory", ""),
        ("tls_acme_directory", "http://acme.example.org"),
        ("tls_names", []),
        ("tls_names", ["*.beanft.test"]),
        ("tls_acme_email", "nobody"),
        ("tls_acme_ca_file", "/nowhere.pem"),
    ],
)
def test_half_of_acme_is_refused(variable: str, value: object) -> None:
    refused({variable: value}, "tls_mode is acme, and that needs", variable)


def test_self_signed_is_trusted_by_who_has_it() -> None:
    run = tls(tls_mode="self_signed", tls_names=[])
    assert run.messages == []
    assert tls(tls_mode="self_signed", tls_names=[]).changed == {}
    noted = json.loads((STATE / "tls/entry.json").read_text())
    assert noted["url"] == secure_entry("m1").replace("localhost", "127.0.0.1")
    for url in (noted["url"], *map(secure_entry, MACHINES)):
        answer = requests.get(url, verify=noted["ca_file"], timeout=10)
        assert answer.status_code == 503
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(noted["url"], timeout=10)
    key = STATE / "tls/key.pem"
    assert oct(key.stat().st_mode & 0o777) == "0o600"

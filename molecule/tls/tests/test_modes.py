"""Other ways to a certificate, and what is refused before anything changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from helpers import STATE, Run, secure_entry
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a certificate of one's own and its key."""
    path: Path = tmp_path_factory.mktemp("own")
    write_certificate(path / "site.pem", write_key(path / "site.key"), NAMES)
    return path


@pytest.fixture(scope="module")
def own(folder: Path) -> dict[str, Any]:
    """Return the role's variables for that certificate."""
    return {
        "tls_mode": "own",
        "tls_certificate_file": str(folder / "site.pem"),
        "tls_key_file": str(folder / "site.key"),
    }


@pytest.fixture(scope="module")
def with_own(own: dict[str, Any]) -> Run:
    """Apply the role with it."""
    return tls(**own)


def test_own_certificate_is_served_by_all(with_own: Run) -> None:
    assert with_own.messages == []
    for name in MACHINES:
        assert set(SWITCHED) <= set(with_own.changed[name])
        assert issuer(name) == "CN=molecule"


def test_without_acme_nothing_is_asked_for(with_own: Run, own: dict[str, Any], host: Host) -> None:
    assert host.check_output("beanft-tls renew") == "nothing to renew: tls_mode is own"
    assert not host.service("beanft-tls-renew.timer").is_running
    url = f"{secure_entry('m1')}/.well-known/acme-challenge/x"
    answer = requests.get(url, verify=own["tls_certificate_file"], timeout=10)
    # No account, so no answer but the tasks' own.
    assert answer.status_code == 503


def test_another_one_with_its_key_from_a_vault_replaces_it(
    with_own: Run, own: dict[str, Any], folder: Path
) -> None:
    before = serials()
    write_certificate(folder / "site.pem", write_key(folder / "vault.key"), NAMES)
    key = (folder / "vault.key").read_text()
    run = tls(**own | {"tls_key_file": "", "tls_key": key})
    changes = ["tls : Certificate with its key", "tls : Entry takes the certificate"]
    assert run.messages == []
    assert run.changed == dict.fromkeys(MACHINES, changes)
    assert len(serials()) == 1
    assert serials() != before


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


def test_a_certificate_that_browsers_would_refuse_is_refused(tmp_path: Path) -> None:
    write_certificate(tmp_path / "old.pem", write_key(tmp_path / "other.key"), NAMES, days=0)
    write_key(tmp_path / "other.key")
    refused(
        {
            "tls_mode": "own",
            "tls_certificate_file": str(tmp_path / "old.pem"),
            "tls_key_file": str(tmp_path / "other.key"),
            "tls_names": [*NAMES, "www.beanft.test"],
        },
        "tls_certificate_file expired on ",
        "tls_names has www.beanft.test, and tls_certificate_file is for beanft.test, localhost",
        "tls_key_file (or tls_key) is not the key of tls_certificate_file",
    )


def test_half_of_acme_is_refused() -> None:
    wrong = {
        "tls_acme_directory": "http://acme.example.org",
        "tls_names": ["*.beanft.test"],
        "tls_acme_email": "nobody",
        "tls_acme_ca_file": "/nowhere.pem",
    }
    refused(wrong, "tls_mode is acme, and that needs", *wrong)
    refused({"tls_names": [], "tls_acme_directory": ""}, "tls_names, what the certificate is for")


def test_self_signed_is_trusted_by_who_has_it() -> None:
    run = tls(tls_mode="self_signed", tls_names=[])
    assert run.messages == []
    assert tls(tls_mode="self_signed", tls_names=[]).changed == {}
    noted = json.loads((STATE / "tls/entry.json").read_text())
    by_address = [secure_entry(name).replace("localhost", "127.0.0.1") for name in MACHINES]
    for url in (*by_address, secure_entry("m1")):
        answer = requests.get(url, verify=noted["ca_file"], timeout=10)
        assert answer.status_code == 503
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(by_address[0], timeout=10)
    key = STATE / "tls/key.pem"
    assert oct(key.stat().st_mode & 0o777) == "0o600"

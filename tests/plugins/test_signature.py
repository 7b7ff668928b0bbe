"""Signed records: what is signed is what comes back, and nothing else does. With the real ssh-keygen."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

Load = Callable[[str], ModuleType]
RECORD = {"revision": "0123abc", "number": 7, "by": "Zoë", "stack": {"b": [1, None], "a": True}}


def new_key(path: Path) -> str:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True
    )
    return path.read_text()


@pytest.fixture
def filters(plugin: Load) -> dict[str, Any]:
    return dict(plugin("filter/signature").FilterModule().filters())


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    return new_key(tmp_path_factory.mktemp("key") / "key")


@pytest.fixture
def signers(plugin: Load, key: str, tmp_path: Path) -> str:
    """The file that names the key's owner."""
    public = plugin("module_utils/signatures").public_key(key)
    path = tmp_path / "allowed_signers"
    path.write_text(f'beanft-test namespaces="beanft-release" {public}\n')
    return str(path)


def test_record_comes_back(filters: dict[str, Any], key: str, signers: str) -> None:
    envelope = filters["signed"](RECORD, key)
    assert set(envelope) == {"record", "signature"}
    expected = '{"by":"Zoë","number":7,"revision":"0123abc","stack":{"a":true,"b":[1,null]}}'
    assert envelope["record"] == expected
    assert filters["verified"](envelope, signers) == RECORD
    again = json.loads(json.dumps(envelope))
    assert filters["verified"](again, signers) == RECORD, "also after a way through JSON"


def test_same_record_has_the_same_signature(filters: dict[str, Any], key: str) -> None:
    turned = dict(reversed(RECORD.items()))
    assert filters["signed"](RECORD, key) == filters["signed"](turned, key)


def test_any_tool_can_check_it(
    filters: dict[str, Any], key: str, signers: str, tmp_path: Path
) -> None:
    """The signature is ssh-keygen's own format, not ours."""
    envelope = filters["signed"](RECORD, key)
    (tmp_path / "signature").write_text(envelope["signature"])
    command = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        signers,
        "-I",
        "beanft-test",
        "-n",
        "beanft-release",
    ]
    done = subprocess.run(
        [*command, "-s", tmp_path / "signature"],
        input=envelope["record"].encode(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_changed_letter_of_the_record_is_refused(
    filters: dict[str, Any], key: str, signers: str
) -> None:
    envelope = filters["signed"]({"number": 7}, key)
    text = envelope["record"]
    for at, letter in enumerate(text):
        changed = text[:at] + chr(ord(letter) ^ 1) + text[at + 1 :]
        with pytest.raises(AnsibleFilterError, match="does not fit"):
            filters["verified"]({**envelope, "record": changed}, signers)


def test_every_changed_letter_of_the_signature_is_refused(
    filters: dict[str, Any], key: str, signers: str
) -> None:
    envelope = filters["signed"](RECORD, key)
    text = envelope["signature"]
    for at in range(0, len(text), 3):
        changed = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
        with pytest.raises(AnsibleFilterError, match="the record can't be trusted"):
            filters["verified"]({**envelope, "signature": changed}, signers)


@pytest.mark.parametrize("change", ["\n", " ", "x", "\n-----BEGIN SSH SIGNATURE-----\n"])
def test_what_is_added_to_a_signature_is_refused(
    filters: dict[str, Any], key: str, signers: str, change: str
) -> None:
    envelope = filters["signed"](RECORD, key)
    for changed in (envelope["signature"] + change, change + envelope["signature"]):
        with pytest.raises(AnsibleFilterError, match="damaged"):
            filters["verified"]({**envelope, "signature": changed}, signers)


def test_another_key_is_refused(
    filters: dict[str, Any], plugin: Load, signers: str, tmp_path: Path
) -> None:
    other = new_key(tmp_path / "other")
    utils = plugin("module_utils/signatures")
    print_of_it = utils.fingerprint(utils.public_key(other))
    with pytest.raises(AnsibleFilterError) as error:
        filters["verified"](filters["signed"](RECORD, other), signers)
    assert f"it is signed by {print_of_it}, who is not in {signers}" in str(error.value)


def test_signature_for_something_else_is_refused(
    filters: dict[str, Any], key: str, signers: str, tmp_path: Path
) -> None:
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_text(key)
    envelope = filters["signed"](RECORD, key)
    done = subprocess.run(
        ["ssh-keygen", "-Y", "sign", "-f", tmp_path / "key", "-n", "git"],
        input=envelope["record"].encode(),
        capture_output=True,
        check=True,
    )
    with pytest.raises(AnsibleFilterError, match="does not fit"):
        filters["verified"]({**envelope, "signature": done.stdout.decode()}, signers)


@pytest.mark.parametrize(
    "envelope", [None, {}, RECORD, {"record": "{}"}, {"record": {}, "signature": ""}, "text"]
)
def test_what_is_not_signed_is_refused(
    filters: dict[str, Any], signers: str, envelope: object
) -> None:
    with pytest.raises(AnsibleFilterError, match="it is not signed"):
        filters["verified"](envelope, signers)


def test_without_signers_nothing_is_trusted(
    filters: dict[str, Any], key: str, tmp_path: Path
) -> None:
    with pytest.raises(
        AnsibleFilterError, match="none is not there, so no signature can be trusted"
    ):
        filters["verified"](filters["signed"](RECORD, key), str(tmp_path / "none"))


def test_key_that_is_none_is_named_but_not_shown(filters: dict[str, Any]) -> None:
    with pytest.raises(AnsibleFilterError, match="the signing key can't be used") as error:
        filters["signed"](RECORD, "no key at all")
    assert "no key at all" not in str(error.value)


def test_key_with_a_passphrase_is_refused_at_once(filters: dict[str, Any], tmp_path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", tmp_path / "key"]
    subprocess.run(command, check=True)
    with pytest.raises(AnsibleFilterError, match="without a passphrase"):
        filters["signed"](RECORD, (tmp_path / "key").read_text())


@pytest.mark.parametrize("record", [{"x": float("nan")}, {"x": {1}}, {"x": "\ud800"}])
def test_record_that_json_can_not_say_is_refused(
    filters: dict[str, Any], key: str, record: dict[str, Any]
) -> None:
    with pytest.raises(AnsibleFilterError, match="not what JSON can say"):
        filters["signed"](record, key)


def test_key_leaves_no_file(plugin: Load, key: str, tmp_path: Path) -> None:
    utils = plugin("module_utils/signatures")
    with utils.key_file(key) as (path, files):
        assert files, "a file without a name"
        assert Path(path).read_text() == key
        assert os.fstat(files[0]).st_mode & 0o777 == 0o600
        assert os.fstat(files[0]).st_nlink == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(files[0])


def test_key_in_a_folder_where_there_are_no_such_files(
    plugin: Load, key: str, signers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    utils = plugin("module_utils/signatures")
    monkeypatch.delattr(os, "memfd_create")
    with utils.key_file(key) as (path, files):
        assert files == ()
        assert Path(path).stat().st_mode & 0o777 == 0o600
        assert Path(path).parent.stat().st_mode & 0o777 == 0o700
    assert not Path(path).parent.exists()
    assert utils.verify(b"data", utils.sign(b"data", key), Path(signers)) == "beanft-test"

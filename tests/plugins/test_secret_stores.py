"""Secrets in a store that is not the vault's file: what does not depend on a cloud. `tests/cloud` has the clouds."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleLookupError

Load = Callable[[str], ModuleType]
NOTE = {"secret_store": "aws", "secret": "beanft-aws-staging", "place": "eu-central-1"}


@pytest.fixture
def stores(program: Load) -> ModuleType:
    program("vault")
    return sys.modules["secret_stores"]


@pytest.fixture
def memory(stores: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, str]]:
    """A store `aws` that is here; by name, the text and the version."""
    kept: dict[str, tuple[str, str]] = {}
    numbers = itertools.count(1)

    class Memory(stores.Aws):  # type: ignore[misc, name-defined]
        """Compares before it writes."""

        def read(self) -> tuple[str, str] | None:
            """Return what is kept."""
            return kept.get(self.secret)

        def put(self, text: str, follows: str | None) -> None:
            """Keep it."""
            if (kept.get(self.secret) or ("", None))[1] != follows:
                raise self.overtaken()
            kept[self.secret] = text, str(next(numbers))

    monkeypatch.setitem(stores.STORES, "aws", Memory)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.delenv("SECRET_STORE", raising=False)
    return kept


@pytest.fixture
def vault(program: Load, memory: dict[str, Any], tmp_path: Path) -> Any:
    """The vault of an environment that has none yet."""
    assert memory == {}
    return program("vault").Vault(tmp_path / "aws-staging")


@pytest.fixture
def at_aws(vault: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One that was begun there."""
    with monkeypatch.context() as patch:
        patch.setenv("SECRET_STORE", "aws")
        vault.ensure()
    return vault


def test_one_variable_says_where_a_new_environment_has_its_secrets(
    at_aws: Any, memory: dict[str, tuple[str, str]]
) -> None:
    text, version = memory["beanft-aws-staging"]
    assert version == "1"
    assert yaml.safe_load(text) == at_aws.read()
    assert yaml.safe_load(at_aws.path.read_text()) == NOTE
    assert sorted(path.name for path in at_aws.state.iterdir()) == [
        ".vault.lock", "allowed_signers", "inside-ca.pem", "vault.yml"
    ]  # fmt: skip
    assert at_aws.ensure() == []


def test_without_it_they_are_in_the_vault(vault: Any, memory: dict[str, Any]) -> None:
    vault.ensure()
    assert memory == {}
    assert vault.path.read_bytes().startswith(b"$ANSIBLE_VAULT;")


def test_the_file_counts_and_another_variable_is_refused(
    at_aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = type(at_aws).ensure.__globals__["VaultProblem"]
    monkeypatch.setenv("SECRET_STORE", "gcp")
    for verb in (at_aws.ensure, at_aws.show, at_aws.edit, lambda: at_aws.rotate("x", None)):
        with pytest.raises(problem, match="in 'aws': bring them there by 'bin/vault move gcp'"):
            verb()


def test_the_lookup_goes_where_the_file_says(at_aws: Any, plugin: Load) -> None:
    lookup = plugin("lookup/vaulted").LookupModule()
    assert lookup.run([str(at_aws.path)]) == [at_aws.read()]


def test_the_lookup_says_what_is_wrong(
    at_aws: Any, plugin: Load, memory: dict[str, Any], tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere" / "vault.yml"
    other.parent.mkdir()
    shutil.copy(at_aws.path, other)
    memory.clear()
    with pytest.raises(AnsibleLookupError, match="there is no secret beanft-aws-staging of AWS"):
        plugin("lookup/vaulted").LookupModule().run([str(other)])


def test_a_copy_in_a_pipeline_may_add_to_a_store(at_aws: Any, memory: dict[str, Any]) -> None:
    (at_aws.state / ".copy").touch()
    assert at_aws.ensure(["jenkins_admin_password"]) == ["jenkins_admin_password"]
    assert "jenkins_admin_password" in memory["beanft-aws-staging"][0]
    with pytest.raises(Exception, match="is a copy and is not moved"):
        at_aws.move("vault")


def test_who_was_overtaken_changes_nothing(
    at_aws: Any, memory: dict[str, tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    dumped = type(at_aws).ensure.__globals__["vault_file"].dumped
    theirs = memory["beanft-aws-staging"][0] + "# theirs\n"

    def meanwhile(content: dict[str, Any]) -> str:
        memory["beanft-aws-staging"] = theirs, "another"
        return str(dumped(content))

    monkeypatch.setattr(type(at_aws).ensure.__globals__["vault_file"], "dumped", meanwhile)
    with pytest.raises(Exception, match="somebody else has changed secret beanft-aws-staging"):
        at_aws.rotate("data_queue_password", None)
    assert memory["beanft-aws-staging"] == (theirs, "another")


def test_move_there_and_back(vault: Any, memory: dict[str, tuple[str, str]]) -> None:
    vault.ensure()
    before = vault.read()
    vault.move("aws")
    assert yaml.safe_load(vault.path.read_text()) == NOTE
    assert vault.read() == before == yaml.safe_load(memory["beanft-aws-staging"][0])
    with pytest.raises(Exception, match=r"are in secret beanft-aws-staging of .* already"):
        vault.move("aws")
    vault.move("vault")
    assert vault.path.read_bytes().startswith(b"$ANSIBLE_VAULT;")
    assert vault.read() == before


def test_move_from_a_store_makes_the_vaults_password(at_aws: Any) -> None:
    before = at_aws.read()
    at_aws.move("vault")
    assert (at_aws.state / "vault-password").stat().st_mode & 0o777 == 0o600
    assert at_aws.read() == before


def test_move_does_not_replace_other_secrets(vault: Any, memory: dict[str, Any]) -> None:
    vault.ensure()
    memory["beanft-aws-staging"] = "secrets: {}\n", "1"
    with pytest.raises(Exception, match="there are other secrets in secret beanft-aws-staging"):
        vault.move("aws")
    assert vault.path.read_bytes().startswith(b"$ANSIBLE_VAULT;")
    assert memory["beanft-aws-staging"] == ("secrets: {}\n", "1")


def test_move_of_what_is_not_there(vault: Any) -> None:
    with pytest.raises(Exception, match="there is nothing to move"):
        vault.move("aws")


@pytest.mark.parametrize(
    "change",
    [{"secret_store": "other"}, {"secret": 5}, {"place": None}, {"more": "x"}],
)
def test_a_file_that_says_no_place_is_refused(at_aws: Any, change: dict[str, Any]) -> None:
    at_aws.path.write_text(yaml.safe_dump({**NOTE, **change}))
    with pytest.raises(Exception, match="does not say where the secrets are"):
        at_aws.read()


@pytest.mark.parametrize(
    ("store", "variable"),
    [("aws", "AWS_REGION"), ("gcp", "GCP_PROJECT"), ("azure", "AZURE_KEY_VAULT")],
)
@pytest.mark.parametrize("value", ["", "a/b"])
def test_without_a_place_the_variable_is_named(
    stores: ModuleType, monkeypatch: pytest.MonkeyPatch, store: str, variable: str, value: str
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(stores.VaultProblem, match=f"set {variable}, "):
        stores.named(store, "x")


@pytest.mark.parametrize(("store", "most"), [("aws", 65_536), ("gcp", 65_536), ("azure", 25_000)])
def test_what_is_too_large_is_not_sent(
    stores: ModuleType, monkeypatch: pytest.MonkeyPatch, store: str, most: int
) -> None:
    sent: list[str] = []
    kind = stores.STORES[store]
    monkeypatch.setattr(kind, "put", lambda _self, text, _follows: sent.append(text))
    there = stores.named(store, "x", "somewhere")
    # Bytes count, not letters.
    there.write("ä" * (most // 2), None)
    with pytest.raises(stores.VaultProblem, match=f"takes {most} as one secret"):
        there.write("ä" * (most // 2) + "xx", None)
    assert len(sent) == 1


def test_what_there_is_in_an_environment_is_far_from_too_large(
    at_aws: Any, memory: dict[str, tuple[str, str]]
) -> None:
    at_aws.ensure(["jenkins_admin_password", "backup_s3_key_id", "backup_s3_secret"])
    assert len(memory["beanft-aws-staging"][0].encode()) < 5_000


def version(
    name: str, created: int, follows: str | None = None, *, enabled: bool = True
) -> dict[str, Any]:
    """Return what Azure says of a version."""
    return {
        "id": f"https://x.vault.azure.net/secrets/s/{name}",
        "attributes": {"created": created, "enabled": enabled},
        **({"tags": {"follows": follows}} if follows else {}),
    }


FIRST, SECOND = version("a", 10, "nothing"), version("b", 20, "a")


@pytest.mark.parametrize(
    ("versions", "wanted"),
    [
        ([], None),
        ([FIRST, SECOND], "b"),
        # Two at once: the earlier, and of the same second one and the same for everybody.
        ([FIRST, SECOND, version("c", 21, "a")], "b"),
        ([FIRST, SECOND, version("0", 20, "a")], "0"),
        ([FIRST, version("0", 11, "nothing")], "a"),
        # What follows the one that does not count does not, either.
        ([FIRST, SECOND, version("c", 21, "a"), version("d", 30, "c")], "b"),
        ([FIRST, SECOND, version("c", 21, "a"), version("d", 30, "b")], "d"),
        # Somebody switched one off, or wrote one by hand.
        ([FIRST, version("b", 20, "a", enabled=False)], "a"),
        ([version("a", 10, "nothing", enabled=False)], None),
        ([FIRST, SECOND, version("h", 15), version("i", 25)], "i"),
        ([FIRST, version("h", 15), version("j", 30, "h"), version("k", 31, "a")], "j"),
    ],
)
def test_which_version_of_azure_counts(
    stores: ModuleType, versions: list[dict[str, Any]], wanted: str | None
) -> None:
    for order in itertools.permutations(versions):
        assert stores.in_force(list(order)) == wanted


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "set GCP_AUTH_KIND to application"),
        ({"GCP_AUTH_KIND": "serviceaccount"}, "set GCP_AUTH_KIND to application"),
        (
            {"GCP_AUTH_KIND": "serviceaccount", "GCP_SERVICE_ACCOUNT_FILE": "/absent"},
            "the credentials of GCP can't be used",
        ),
    ],
)
def test_credentials_of_gcp_that_are_none(
    stores: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    sentence: str,
) -> None:
    for name in ("GCP_AUTH_KIND", "GCP_SERVICE_ACCOUNT_FILE", "GCP_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(stores.VaultProblem, match=sentence):
        stores.named("gcp", "x", "a-project").read()

"""What has to hold for an environment's secrets in any cloud's secret manager, whose file of tests tells it."""

from __future__ import annotations

import hashlib
import importlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import yaml

from tests.cloud.stand_in import ROOT, Cloud, Run

SHARED = ROOT / "ansible" / "plugins" / "module_utils"
NAMES = ("data_database_password", "data_queue_password", "backup_password")
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars: {vault: "{{ lookup('vaulted', lookup('env', 'BEANFT_STATE') ~ '/vault.yml') }}"}
  tasks:
    - debug: {msg: "found: {{ vault.machine_secrets.data_queue_password | hash('sha256') }}"}
"""


class Story:
    """Tests that follow each other; `cloud` is a fixture of the file that has them."""

    store: str
    title: str
    place: str
    no_credentials: ClassVar[dict[str, str]]
    no_credentials_said: str
    wrong_credentials: ClassVar[dict[str, str]]
    most_bytes: int

    # -------------------------------------------------- what a cloud's file says
    def kept(self, cloud: Any) -> str | None:
        """Return what the stand-in has in force, asked of itself."""
        raise NotImplementedError

    def remove(self, cloud: Any) -> None:
        """Remove the secret there."""
        raise NotImplementedError

    def deny(self, cloud: Any) -> None:
        """Have the next calls answered by a refusal, in the cloud's shape."""
        raise NotImplementedError

    def between(self, cloud: Any, then: Callable[[], None]) -> None:
        """Have something happen once, after a writer has compared and before its text is in force."""
        raise NotImplementedError

    # ------------------------------------------------------------------- helpers
    @pytest.fixture(autouse=True)
    def clean(self, cloud: Any) -> Iterator[None]:
        """No fault outlives its test."""
        yield
        stand_in = getattr(cloud, "fake", None) or cloud.proxy
        stand_in.faults.clear()
        getattr(stand_in, "before", {}).clear()
        assert getattr(stand_in, "refused_hosts", []) == []

    @pytest.fixture
    def stores(self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        """Return the module of stores, which asks this stand-in."""
        for name, value in cloud.credentials().items():
            if name != "PYTHONPATH":
                monkeypatch.setenv(name, value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.syspath_prepend(str(SHARED))
        return importlib.import_module("secret_stores")

    def state(self, cloud: Cloud) -> Path:
        """Return the folder of the environment."""
        return cloud.tree / ".local" / f"{cloud.provider}-staging"

    def content(self, cloud: Cloud) -> dict[str, Any]:
        """Return the secrets that the stand-in has."""
        return dict(yaml.safe_load(self.kept(cloud) or ""))

    def vault(self, cloud: Cloud, said: list[str], *arguments: str, **more: str) -> Run:
        """Run `bin/vault`, and keep what it says."""
        done = cloud.program("vault", *arguments, **more)
        said.append(done.said)
        return done

    def refused(self, cloud: Cloud, said: list[str], *arguments: str, **more: str) -> str:
        """Run `bin/vault`, which has to say in one sentence why it does not."""
        done = self.vault(cloud, said, *arguments, **more)
        assert done.code == 1, done.said
        assert done.said.startswith("beanft: "), done.said
        assert done.said.count("\n") == 1, done.said
        return done.said

    def note(self) -> dict[str, str]:
        """Return what the vault's file says."""
        return {"secret_store": self.store, "secret": self.secret, "place": self.place}

    @property
    def secret(self) -> str:
        """The secret's name."""
        return f"beanft-{self.store}-staging"

    # --------------------------------------------------------------------- tests
    def test_without_credentials(self, cloud: Cloud, said: list[str]) -> None:
        variables = {"SECRET_STORE": self.store, **self.no_credentials}
        assert self.no_credentials_said in self.refused(cloud, said, "ensure", **variables)
        assert self.kept(cloud) is None
        assert not (self.state(cloud) / "vault.yml").exists()

    def test_wrong_credentials(self, cloud: Cloud, said: list[str]) -> None:
        text = self.refused(
            cloud, said, "ensure", **{"SECRET_STORE": self.store, **self.wrong_credentials}
        )
        assert "does not take these credentials" in text

    def test_what_is_made_is_there_and_nowhere_else(self, cloud: Cloud, said: list[str]) -> None:
        done = self.vault(cloud, said, "ensure", SECRET_STORE=self.store)
        assert done.code == 0, done.said
        assert f" in secret {self.secret} of {self.title} in {self.place}\n" in done.said
        # From then on the file says it.
        again = self.vault(cloud, said, "ensure")
        assert (again.code, again.said) == (0, "vault: complete\n")
        content, state = self.content(cloud), self.state(cloud)
        assert set(content["machine_secrets"]) == set(NAMES)
        assert yaml.safe_load((state / "vault.yml").read_text()) == self.note()
        assert not (state / "vault-password").exists()
        for path in state.rglob("*"):
            if path.is_file():
                assert not secrets_in(path.read_text(), content), path

    def test_rotate_changes_one_value(self, cloud: Cloud, said: list[str]) -> None:
        before = self.content(cloud)
        done = self.vault(cloud, said, "rotate", "data_queue_password")
        assert done.code == 0, done.said
        after = self.content(cloud)
        old = before["machine_secrets"].pop("data_queue_password")
        assert after["machine_secrets"].pop("data_queue_password") != old
        assert after == before

    def test_show_and_the_lookup_give_what_is_there(self, cloud: Cloud, said: list[str]) -> None:
        mark = hashlib.sha256(
            self.content(cloud)["machine_secrets"]["data_queue_password"].encode()
        ).hexdigest()
        shown = self.vault(cloud, said, "show")
        assert f"data_queue_password               {mark[:12]}\n" in shown.said
        play = cloud.tree / "ask.yml"
        play.write_text(PLAY)
        done = subprocess.run(
            ["bash", "-c", ". bin/_env; exec ansible-playbook -vvv -i localhost, ask.yml"],
            cwd=cloud.tree,
            env=cloud.variables(
                "staging",
                ANSIBLE_CONFIG=str(cloud.tree / "ansible" / "ansible.cfg"),
                ANSIBLE_STDOUT_CALLBACK="default",
            ),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        said.append(done.stdout + done.stderr)
        assert f"found: {mark}" in done.stdout, done.stdout + done.stderr

    def test_another_checkout_takes_what_is_there(
        self, cloud: Cloud, said: list[str], tmp_path: Path
    ) -> None:
        before = self.kept(cloud)
        for name in ("bin", "ansible", ".venv"):
            (tmp_path / name).symlink_to(cloud.tree / name)
        # `_env` looks where it is.
        (tmp_path / "bin").unlink()
        (tmp_path / "bin").mkdir()
        for path in (cloud.tree / "bin").iterdir():
            (tmp_path / "bin" / path.name).write_bytes(path.read_bytes())
            (tmp_path / "bin" / path.name).chmod(0o755)
        done = self.vault(cloud, said, "ensure", tree=tmp_path, SECRET_STORE=self.store)
        assert "made allowed_signers, inside-ca.pem in secret " in done.said
        assert self.kept(cloud) == before
        # A pipeline's state has no secret of these; and what an agent adds is not lost with it.
        saved = str(tmp_path / "saved")
        assert cloud.program("state", "save", saved).code == 0
        assert not secrets_in(Path(saved).read_text(errors="replace"), self.content(cloud))
        local = tmp_path / ".local" / self.state(cloud).name
        local.rename(tmp_path / "first")
        loaded = cloud.program("state", "load", saved, tree=tmp_path)
        assert loaded.code == 0, loaded.said
        done = self.vault(cloud, said, "ensure", "jenkins_admin_password", tree=tmp_path)
        assert "made jenkins_admin_password in secret " in done.said
        assert "jenkins_admin_password" in self.content(cloud)["machine_secrets"]

    def test_edit(self, cloud: Cloud, said: list[str], tmp_path: Path) -> None:
        editor = tmp_path / "editor"
        editor.write_text('#!/bin/sh\nsed -i "s/^secrets:/secrets:\\n  own: mine/" "$1"\n')
        editor.chmod(0o755)
        done = self.vault(cloud, said, "edit", EDITOR=str(editor))
        assert done.code == 0, done.said
        assert self.content(cloud)["secrets"]["own"] == "mine"
        before = self.kept(cloud)
        editor.write_text('#!/bin/sh\necho "secrets: [wrong]" >"$1"\n')
        assert "what you wrote was not kept" in self.refused(
            cloud, said, "edit", EDITOR=str(editor)
        )
        assert self.kept(cloud) == before

    def test_who_has_read_before_another_wrote_is_refused(
        self, cloud: Cloud, stores: ModuleType
    ) -> None:
        first, second = (stores.named(self.store, self.secret) for _ in range(2))
        text, version = first.read()
        second.write(text + "# second\n", version)
        with pytest.raises(stores.VaultProblem, match="somebody else has changed secret"):
            first.write(text + "# first\n", version)
        assert self.kept(cloud) == text + "# second\n"
        second.write(text, second.read()[1])

    def test_of_two_who_write_at_once_one_is_refused(
        self, cloud: Cloud, said: list[str], stores: ModuleType
    ) -> None:
        other, wrote = stores.named(self.store, self.secret), []

        def write() -> None:
            text, version = other.read()
            other.write(text + "# other\n", version)
            wrote.append(text + "# other\n")

        self.between(cloud, write)
        done = self.vault(cloud, said, "rotate", "data_queue_password")
        assert wrote
        # Whoever it is that was refused, the other's text is whole.
        assert done.code == 1, done.said
        assert "somebody else has changed secret" in done.said
        assert self.kept(cloud) == wrote[0]
        assert other.read()[0] == wrote[0]
        assert self.vault(cloud, said, "rotate", "data_queue_password").code == 0

    def test_of_two_who_begin_at_once_one_is_refused(
        self, cloud: Cloud, stores: ModuleType
    ) -> None:
        first, second = (stores.named(self.store, "beanft-at-once") for _ in range(2))
        assert first.read() is None
        assert second.read() is None
        first.write("first", None)
        with pytest.raises(stores.VaultProblem, match="somebody else has changed secret"):
            second.write("second", None)
        assert first.read()[0] == second.read()[0] == "first"

    def test_too_large(self, cloud: Cloud, said: list[str], tmp_path: Path) -> None:
        before = self.kept(cloud)
        (tmp_path / "large").write_text("x" * self.most_bytes)
        text = self.refused(
            cloud, said, "rotate", "data_queue_password", FROM=str(tmp_path / "large")
        )
        assert f"{self.title} takes {self.most_bytes} as one secret" in text
        assert self.kept(cloud) == before

    def test_denied(self, cloud: Cloud, said: list[str]) -> None:
        self.deny(cloud)
        text = self.refused(cloud, said, "show")
        assert f"does not let you use secret {self.secret} of {self.title} in {self.place}" in text
        assert "docs/clouds.md lists the rights" in text

    def test_out_of_reach(self, cloud: Cloud, said: list[str]) -> None:
        nobody = {"HTTPS_PROXY": "http://127.0.0.1:1", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
        assert " is out of reach (" in self.refused(cloud, said, "show", **nobody)

    def test_another_store_than_the_one_in_use(self, cloud: Cloud, said: list[str]) -> None:
        text = self.refused(cloud, said, "ensure", SECRET_STORE="vault")
        assert f"are in '{self.store}': bring them there by 'bin/vault move vault'" in text

    def test_to_a_vault_and_back(self, cloud: Cloud, said: list[str]) -> None:
        before, file = self.kept(cloud), self.state(cloud) / "vault.yml"
        done = self.vault(cloud, said, "move", "vault")
        assert done.code == 0, done.said
        assert f"the secret {self.secret} of {self.title}" in done.said
        assert file.read_bytes().startswith(b"$ANSIBLE_VAULT;")
        assert self.vault(cloud, said, "ensure").said == "vault: complete\n"
        # With what is still there, and the same.
        done = self.vault(cloud, said, "move", self.store)
        assert done.code == 0, done.said
        assert yaml.safe_load(file.read_text()) == self.note()
        assert self.kept(cloud) == before
        assert self.vault(cloud, said, "ensure").said == "vault: complete\n"
        # But not over others.
        self.vault(cloud, said, "move", "vault")
        self.vault(cloud, said, "rotate", "data_queue_password")
        text = self.refused(cloud, said, "move", self.store)
        assert "there are other secrets in " in text
        assert file.read_bytes().startswith(b"$ANSIBLE_VAULT;")
        assert self.kept(cloud) == before

    def test_a_vault_that_there_is_goes_to_the_store(self, cloud: Cloud, said: list[str]) -> None:
        self.remove(cloud)
        assert self.vault(cloud, said, "move", self.store).code == 0
        assert self.kept(cloud)
        assert self.vault(cloud, said, "ensure").said == "vault: complete\n"

    def test_nothing_that_was_said_is_secret(self, cloud: Cloud, said: list[str]) -> None:
        assert len(said) > 10
        assert not secrets_in("\n".join(said), self.content(cloud))

    def test_one_that_is_gone_is_not_made_anew(self, cloud: Cloud, said: list[str]) -> None:
        self.remove(cloud)
        for verb in (["ensure"], ["show"], ["rotate", "data_queue_password"], ["edit"]):
            text = self.refused(cloud, said, *verb)
            assert f"there is no secret {self.secret} of {self.title} in {self.place}" in text
        assert self.kept(cloud) is None


def secrets_in(text: str, content: dict[str, Any]) -> list[str]:
    """Return which secrets are in a text."""
    values = {**content["secrets"], **content["machine_secrets"]}
    lines = [*content["signing_key"].splitlines()[1:-1], *content["inside_ca"]["key"].splitlines()]
    values |= {
        f"line {number} of a key": line for number, line in enumerate(lines) if line[:1] != "-"
    }
    return [name for name, value in values.items() if len(value) > 8 and value in text]

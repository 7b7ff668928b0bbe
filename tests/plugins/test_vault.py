"""`bin/vault`, as people call it, and the lookup that opens what it keeps."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleLookupError
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

ROOT = Path(__file__).parents[2]
Load = Callable[[str], ModuleType]


@dataclass
class Tree:
    """A checkout with what `bin/vault` needs, and nothing else."""

    path: Path
    vault: ModuleType
    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    @property
    def state(self) -> Path:
        """Return the folder of the environment."""
        return self.path / ".local" / "local-local"

    def run(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """Run what `bin/vault` runs, in this process since starting it takes a second; return what it prints."""
        ended = 0
        with self.patch.context() as patch:
            patch.setattr(sys, "argv", ["vault", *arguments])
            for name, value in {"BEANFT_STATE": str(self.state), **variables}.items():
                patch.setenv(name, value)
            problem = ""
            try:
                self.vault.run()
            except SystemExit as end:
                ended, problem = 1, f"{end.code}\n"
        captured = self.capture.readouterr()
        text = captured.out + captured.err + problem
        assert ended == code, text
        return text

    def script(self, *arguments: str, **variables: str) -> str:
        """Run `bin/vault` itself and return what it prints."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.run(
            ["bin/vault", *arguments],
            cwd=self.path,
            env={**kept, "LANG": "C.UTF-8", **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    def open(self, vault: Path) -> dict[str, Any]:
        """Return what is in a vault."""
        return dict(self.vault.vault_file.read(vault))

    def content(self) -> dict[str, Any]:
        """Return what is in the environment's vault."""
        return self.open(self.state / "vault.yml")


@pytest.fixture
def tree(
    tmp_path: Path,
    program: Load,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Tree:
    path = tmp_path / "checkout"
    for name in ("bin/_env", "bin/vault", "bin/vault.py"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, path / name)
    shutil.copytree(ROOT / "ansible/plugins/module_utils", path / "ansible/plugins/module_utils")
    (path / ".venv").symlink_to(Path(sys.prefix))
    monkeypatch.chdir(path)
    return Tree(path, program("vault"), monkeypatch, capfd)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_ensure_makes_it_once(tree: Tree) -> None:
    text = tree.script("ensure")
    made = (
        "password, beanft_secret_key, signing_key, data_database_password, data_queue_password, backup_password, "
        "inside_ca"
    )
    assert f"made {made}, allowed_signers, inside-ca.pem in " in text
    content = tree.content()
    assert re.fullmatch("[A-Za-z0-9]{64}", content["secrets"]["beanft_secret_key"])
    assert content["signing_key"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    vault, password = tree.state / "vault.yml", tree.state / "vault-password"
    assert mode(vault) == mode(password) == 0o600
    assert vault.read_bytes().startswith(b"$ANSIBLE_VAULT;")
    before = {path: path.read_bytes() for path in tree.state.iterdir()}
    assert tree.script("ensure") == "vault: complete\n"
    assert {path: path.read_bytes() for path in tree.state.iterdir()} == before


def test_ensure_makes_what_not_every_environment_needs(tree: Tree) -> None:
    tree.run("ensure")
    assert "made jenkins_admin_password in " in tree.script("ensure", "jenkins_admin_password")
    made = tree.content()["machine_secrets"]["jenkins_admin_password"]
    assert re.fullmatch("[A-Za-z0-9]{64}", made)
    for names in ([], ["jenkins_admin_password"]):
        assert tree.run("ensure", *names) == "vault: complete\n"
    assert tree.content()["machine_secrets"]["jenkins_admin_password"] == made


def test_two_environments_share_nothing(tree: Tree) -> None:
    tree.script("ensure")
    tree.script("ensure", ENV="staging", CLOUD="aws")
    other = tree.open(tree.path / ".local/aws-staging/vault.yml")
    assert other["secrets"] != tree.content()["secrets"]
    assert other["signing_key"] != tree.content()["signing_key"]


def test_nothing_printed_is_secret(tree: Tree) -> None:
    text = tree.run("ensure") + tree.run("show") + tree.run("rotate", "beanft_secret_key")
    content = tree.content()
    text += tree.run("show")
    password = (tree.state / "vault-password").read_text().strip()
    inner = content["signing_key"].splitlines()[1:-1]
    inner += content["inside_ca"]["key"].splitlines()[1:-1]
    inner += content["machine_secrets"].values()
    for secret in (password, content["secrets"]["beanft_secret_key"], *inner):
        assert secret not in text


def test_former_secret_is_taken_over(tree: Tree) -> None:
    former = tree.state / "secrets" / "secret_key"
    former.parent.mkdir(parents=True)
    former.write_text("AbC123\n")
    tree.run("ensure")
    assert tree.content()["secrets"] == {"beanft_secret_key": "AbC123"}
    assert not former.parent.exists()


def test_former_secret_that_differs_is_not_thrown_away(tree: Tree) -> None:
    tree.run("ensure")
    before = tree.content()
    former = tree.state / "secrets" / "secret_key"
    former.parent.mkdir()
    former.write_text("AbC123\n")
    assert f"{former} has another value than the vault" in tree.run("ensure")
    assert tree.content() == before
    tree.run("rotate", "beanft_secret_key", FROM=".local/local-local/secrets/secret_key")
    tree.run("ensure")
    assert tree.content()["secrets"] == {"beanft_secret_key": "AbC123"}
    assert not former.exists()


def test_rotate_changes_one_value(tree: Tree) -> None:
    tree.run("ensure")
    before = tree.content()
    assert tree.run("rotate", "beanft_secret_key") == "vault: beanft_secret_key has a new value\n"
    after = tree.content()
    assert re.fullmatch("[A-Za-z0-9]{64}", after["secrets"]["beanft_secret_key"])
    assert after["secrets"] != before["secrets"]
    assert after["signing_key"] == before["signing_key"]


def test_rotate_from_a_file_takes_every_letter(tree: Tree, tmp_path: Path) -> None:
    tree.run("ensure")
    value = "ä: {{ x }} #'\"\\ \n  second line "
    (tmp_path / "own").write_text(value + "\n")
    tree.run("rotate", "beanft_secret_key", FROM=str(tmp_path / "own"))
    assert tree.content()["secrets"]["beanft_secret_key"] == value


def test_secrets_of_machines_are_no_secrets_of_the_swarm(tree: Tree) -> None:
    tree.run("ensure")
    before = tree.content()
    assert set(before["machine_secrets"]) == {
        "data_database_password",
        "data_queue_password",
        "backup_password",
    }
    assert set(before["secrets"]) == {"beanft_secret_key"}
    for value in before["machine_secrets"].values():
        assert re.fullmatch("[A-Za-z0-9]{64}", value)
    text = tree.run("rotate", "backup_password", code=1)
    assert "'backup_password' opens the backups that there are, and no other one does" in text
    tree.run("rotate", "data_queue_password")
    after = tree.content()
    assert after["machine_secrets"].pop("data_queue_password") != before["machine_secrets"].pop(
        "data_queue_password"
    )
    assert after == before


def test_authority_signs_machines_and_nothing_else(tree: Tree) -> None:
    tree.run("ensure")
    made = tree.content()["inside_ca"]
    public = tree.state / "inside-ca.pem"
    assert public.read_text() == made["certificate"]
    assert mode(public) == 0o644
    certificate = x509.load_pem_x509_certificate(made["certificate"].encode())
    certificate.verify_directly_issued_by(certificate)
    rights = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (rights.critical, rights.value.ca, rights.value.path_length) == (True, True, 0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.digital_signature) == (True, False)
    key = load_pem_private_key(made["key"].encode(), None)
    assert key.public_key() == certificate.public_key()
    # Whoever removes the file gets it back, and whoever changes it.
    public.write_text("another")
    assert tree.run("ensure").startswith("vault: made inside-ca.pem in ")
    assert public.read_text() == made["certificate"]
    mark = certificate.fingerprint(SHA256()).hex()
    assert re.search(rf"^inside_ca +SHA256:{mark}$", tree.run("show"), re.MULTILINE)


def test_authority_without_a_certificate_is_said(tree: Tree) -> None:
    tree.run("ensure")
    content = tree.content()
    content["inside_ca"]["certificate"] = "none"
    encrypt(tree, yaml.safe_dump(content))
    assert "'inside_ca' in " in tree.run("show", code=1)


def test_rotated_signing_key_leaves_the_former_signer(tree: Tree) -> None:
    tree.run("ensure")
    before = (tree.state / "allowed_signers").read_text()
    key = tree.content()["signing_key"]
    tree.run("rotate", "signing_key")
    assert tree.content()["signing_key"] != key
    after = (tree.state / "allowed_signers").read_text()
    assert after.startswith(before)
    assert len(after.splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "No such file or directory"),
        (b"", "is empty"),
        (b"\xff\xfe\0", "it is no text"),
        (b"a" * 500_001, "longer"),
    ],
)
def test_rotate_refuses_a_file_that_is_no_secret(
    tree: Tree, tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    tree.run("ensure")
    before = tree.content()
    if content is not None:
        (tmp_path / "own").write_bytes(content)
    text = tree.run("rotate", "beanft_secret_key", code=1, FROM=str(tmp_path / "own"))
    assert sentence in text
    assert tree.content() == before


def test_rotate_refuses_a_signing_key_that_is_none(tree: Tree, tmp_path: Path) -> None:
    tree.run("ensure")
    before = tree.content()
    (tmp_path / "own").write_text("none")
    text = tree.run("rotate", "signing_key", code=1, FROM=str(tmp_path / "own"))
    assert "the signing key can't be used" in text
    assert tree.content() == before


def test_rotate_of_an_unknown_name_says_which_there_are(tree: Tree) -> None:
    tree.run("ensure")
    text = tree.run("rotate", "unknown", code=1)
    assert "no secret 'unknown'" in text
    names = "backup_password, beanft_secret_key, data_database_password, data_queue_password, signing_key"
    assert f"there are: {names}." in text


def test_show_gives_the_names_end_in_the_swarm(tree: Tree, tmp_path: Path) -> None:
    tree.run("ensure")
    (tmp_path / "own").write_text("known")
    tree.run("rotate", "beanft_secret_key", FROM=str(tmp_path / "own"))
    text = tree.run("show")
    assert re.search(
        rf"^beanft_secret_key +{hashlib.sha256(b'known').hexdigest()[:12]}$", text, re.M
    )
    assert re.search(r"^signing_key +SHA256:\S{43}$", text, re.MULTILINE)


def test_lost_password_is_not_replaced(tree: Tree) -> None:
    tree.run("ensure")
    vault = (tree.state / "vault.yml").read_bytes()
    (tree.state / "vault-password").unlink()
    for command in (["ensure"], ["show"], ["rotate", "beanft_secret_key"], ["edit"]):
        text = tree.run(*command, code=1)
        assert "vault-password, which is not there: bring it back" in text
    assert not (tree.state / "vault-password").exists()
    assert (tree.state / "vault.yml").read_bytes() == vault


def test_wrong_password_is_said(tree: Tree) -> None:
    tree.run("ensure")
    vault = (tree.state / "vault.yml").read_bytes()
    (tree.state / "vault-password").write_text("another")
    for command in (["ensure"], ["show"], ["rotate", "beanft_secret_key"], ["edit"]):
        text = tree.run(*command, code=1)
        assert "does not open with the password in" in text
        assert len(text.splitlines()) == 1
    assert (tree.state / "vault.yml").read_bytes() == vault


@pytest.mark.parametrize("form", ["absolute", "relative"])
def test_password_file_may_be_elsewhere(tree: Tree, form: str) -> None:
    own = tree.path / "own-password"
    named = str(own) if form == "absolute" else "own-password"
    own.write_text("a password of ops\n")
    tree.script("ensure", VAULT_PASSWORD_FILE=named)
    assert not (tree.state / "vault-password").exists()
    assert "beanft_secret_key" in tree.run("show", VAULT_PASSWORD_FILE=named)


def test_edit_keeps_what_the_editor_wrote(tree: Tree, tmp_path: Path) -> None:
    tree.run("ensure")
    editor = tmp_path / "editor"
    editor.write_text(
        f'#!/bin/sh\necho "$1" >{tmp_path}/where\nsed -i "s/^secrets:/secrets:\\n  own: mine/" "$1"\n'
    )
    editor.chmod(0o755)
    tree.run("edit", EDITOR=str(editor))
    assert tree.content()["secrets"]["own"] == "mine"
    assert mode(tree.state / "vault.yml") == 0o600
    plain = Path((tmp_path / "where").read_text().strip())
    assert not plain.exists()
    if Path("/dev/shm").is_dir():  # noqa: S108 - where it has to be
        assert plain.is_relative_to("/dev/shm")  # noqa: S108
    assert tree.run("ensure") == "vault: complete\n"


@pytest.mark.parametrize(("answers", "kept"), [("", True), (EOFError, False)])
def test_a_slip_in_the_editor_loses_nothing(
    tree: Tree, tmp_path: Path, answers: str | type[Exception], kept: bool
) -> None:
    tree.run("ensure")
    before = tree.content()
    editor = tmp_path / "editor"
    # A tab is no indentation in YAML; the second time it is mended, and what was written at first is still there.
    editor.write_text(
        f"""#!/bin/sh
if test -e {tmp_path}/again; then sed -i "s/^\\t/  /" "$1"; exit; fi
touch {tmp_path}/again
sed -i "s/^secrets:/secrets:\\n\\town: mine/" "$1"
"""
    )
    editor.chmod(0o755)

    def answer(question: str) -> str:
        print(question)
        if isinstance(answers, str):
            return answers
        raise answers

    tree.patch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    tree.patch.setattr("builtins.input", answer)
    said = tree.run("edit", EDITOR=str(editor), code=0 if kept else 1)
    assert "Enter goes back to what you wrote" in said
    assert ("given up; the vault is as before" in said) is not kept
    if kept:
        assert tree.content()["secrets"]["own"] == "mine"
    else:
        assert tree.content() == before


def test_edit_mends_a_vault_and_keeps_nothing_worse(tree: Tree, tmp_path: Path) -> None:
    tree.run("ensure")
    encrypt(tree, "secrets: [a]\n")
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\necho 'secrets: {own: 5}' >\"$1\"\n")
    editor.chmod(0o755)
    before = (tree.state / "vault.yml").read_bytes()
    assert "what you wrote was not kept: in the vault " in tree.run(
        "edit", code=1, EDITOR=str(editor)
    )
    assert "did not end well (1)" in tree.run("edit", code=1, EDITOR="false")
    assert "nothing could be edited by EDITOR=absent" in tree.run("edit", code=1, EDITOR="absent")
    assert (tree.state / "vault.yml").read_bytes() == before
    editor.write_text("#!/bin/sh\necho 'secrets: {own: mine}' >\"$1\"\n")
    tree.run("edit", EDITOR=str(editor))
    assert tree.content()["secrets"] == {"own": "mine"}


def encrypt(tree: Tree, text: str) -> None:
    """Replace the vault's content, as somebody does who has the password."""
    files = tree.vault.vault_file
    path = tree.state / "vault.yml"
    files.replace(path, files.library(path).encrypt(text))


def test_what_is_missing_is_added_to_a_vault_of_ones_own(tree: Tree) -> None:
    tree.run("ensure")
    plain = tree.path / "plain.yml"
    plain.write_text("secrets: {beanft_database_url: sqlite}\n")
    command = [Path(sys.executable).parent / "ansible-vault", "encrypt", plain]
    command += ["--vault-password-file", tree.state / "vault-password"]
    command += ["--output", tree.state / "vault.yml"]
    subprocess.run(command, check=True, capture_output=True)
    text = tree.run("ensure")
    assert (
        "made beanft_secret_key, signing_key, data_database_password, data_queue_password" in text
    )
    assert tree.content()["secrets"]["beanft_database_url"] == "sqlite"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("secrets: [a]", "has to have 'secrets'"),
        ("just text", "has to have 'secrets'"),
        ("secrets: {hidden: 12345}", "these secrets are no text, or empty: hidden"),
        ("secrets: {hidden: ''}", "these secrets are no text, or empty: hidden"),
        ("secrets: {}\nsigning_key: 5", "has to have 'secrets'"),
        ("a: b\n c: sesame", "line 2 of the vault"),
        ("machine_secrets: [a]", "'machine_secrets' and 'inside_ca' are names to values"),
        ("machine_secrets: {hidden: 12345}", "these secrets are no text, or empty: hidden"),
        ("inside_ca: {key: hidden}", "has to have 'key' and 'certificate'"),
    ],
)
def test_vault_in_another_form_is_refused(tree: Tree, text: str, sentence: str) -> None:
    tree.run("ensure")
    encrypt(tree, text)
    said = tree.run("ensure", code=1)
    assert sentence in said
    assert "12345" not in said
    assert "sesame" not in said


def test_vault_that_is_not_encrypted_is_refused(tree: Tree) -> None:
    tree.run("ensure")
    (tree.state / "vault.yml").write_text(yaml.safe_dump(tree.content()))
    assert "is not encrypted" in tree.run("show", code=1)


def test_write_that_fails_leaves_the_vault(
    tree: Tree, plugin: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.run("ensure")
    files = plugin("lookup/vaulted").vault_file
    before = sorted(tree.state.iterdir()), tree.content()

    def fails(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="No space left"):
        files.write(tree.state / "vault.yml", {"secrets": {}})
    assert (sorted(tree.state.iterdir()), tree.content()) == before


def test_five_at_once_make_one_vault(tree: Tree) -> None:
    command = [tree.path / "bin/vault", "ensure"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    texts = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0] * 5
    assert sum("made password" in text for text in texts) == 1
    assert len((tree.state / "allowed_signers").read_text().splitlines()) == 1


def test_lookup_without_a_vault_says_what_makes_it(plugin: Load, tmp_path: Path) -> None:
    lookup = plugin("lookup/vaulted").LookupModule()
    with pytest.raises(
        AnsibleLookupError, match=r"there is no vault .*: 'bin/vault ensure' makes it"
    ):
        lookup.run([str(tmp_path / "vault.yml")])


def test_plays_open_the_vault_and_sign(tree: Tree, tmp_path: Path) -> None:
    """By the project's ansible.cfg, with no option for the vault; and a secret is no template."""
    tree.run("ensure")
    (tmp_path / "own").write_text("{{ 1 + 1 }}")
    tree.run("rotate", "beanft_secret_key", FROM=str(tmp_path / "own"))
    play = tmp_path / "play.json"
    variables = {
        "vault": f"{{{{ lookup('vaulted', '{tree.state}/vault.yml') }}}}",
        "name": "x{{ 1 + 1 }}",
        "record": {"name": "{{ name }}", "number": "{{ 3 | int }}", "list": ["{{ name }}"]},
        "envelope": "{{ record | signed(vault.signing_key) }}",
    }
    shown = "{{ vault.secrets.beanft_secret_key == own }} {{ envelope.record }}"
    shown += f" {{{{ (envelope | verified('{tree.state}/allowed_signers')).number }}}}"
    own = f"{{{{ lookup('ansible.builtin.file', '{tmp_path}/own') }}}}"
    tasks = [{"debug": {"msg": f"found: {shown}"}, "vars": {"own": own}}]
    play.write_text(
        json.dumps(
            [{"hosts": "localhost", "connection": "local", "vars": variables, "tasks": tasks}]
        )
    )
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", play],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LANG": "C.UTF-8",
            "ANSIBLE_CONFIG": str(ROOT / "ansible" / "ansible.cfg"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_STDOUT_CALLBACK": "json",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)["plays"][0]["tasks"][0]["hosts"]["localhost"]["msg"]
    assert said == 'found: True {"list":["x2"],"name":"x2","number":3} 3'

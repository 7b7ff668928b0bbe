"""What the pipeline's stages call and nobody else has tests for: requests, versions, states, what is left of tests.

In a repository of the test's own, with this tree's scripts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Tree:
    """A repository with the scripts and nothing else."""

    def __init__(self, path: Path) -> None:
        self.path = path
        shutil.copytree(ROOT / "bin", path / "bin")
        shutil.copytree(
            ROOT / "ansible/plugins/module_utils", path / "ansible/plugins/module_utils"
        )
        for name in ("Makefile", ".gitignore"):
            shutil.copy2(ROOT / name, path / name)
        (path / ".venv").symlink_to(Path(sys.prefix))
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("config", "user.name", "somebody")
        self.git("config", "user.email", "somebody@beanft.invalid")
        self.checkout = self.script("bash", "-c", ". bin/_env; printf %s $BEANFT_CHECKOUT")

    def git(self, *arguments: str) -> str:
        """Run git and return what it printed."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, name: str, content: str) -> str:
        """Write a file, commit all there is, and return the commit."""
        (self.path / name).write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", name)
        return self.git("rev-parse", "HEAD")

    def script(
        self, *command: str, code: int = 0, user: int | None = None, **variables: str
    ) -> str:
        """Run a command with variables and nothing of this run's, and return what it printed."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            command,
            cwd=self.path,
            env={**kept, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            user=user,
        )
        text = done.stdout + done.stderr
        assert done.returncode == code, text
        return text

    def refuses(self, *command: str, **variables: str) -> str:
        """Run what has to be refused, and return the one sentence that says why."""
        text = self.script(*command, code=1, **variables)
        assert len(text.splitlines()) == 1, text
        assert text.startswith("beanft: ")
        return text


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A repository: from before there was this pipeline, tag v1, main, and a branch that nobody merged."""
    tree = Tree(tmp_path_factory.mktemp("history"))
    makefile = (tree.path / "Makefile").read_text()
    tree.commit("Makefile", "deploy:\n")
    tree.git("tag", "v0")
    tree.commit("Makefile", makefile)
    tree.git("tag", "--annotate", "v1", "--message", "v1")
    tree.git("checkout", "--quiet", "-b", "other")
    tree.commit("other", "x")
    tree.git("tag", "unmerged")
    tree.git("checkout", "--quiet", "main")
    tree.commit("main", "x")
    return tree


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"BRANCH_NAME": "PR-7", "ENVIRONMENT": "production"},
        {"ENVIRONMENT": "production", "VERSION": "v1", "BRANCH_NAME": "main"},
        {"ENVIRONMENT": "production", "VERSION": "", "ACTION": "deploy", "DRY_RUN": "true"},
        {"ENVIRONMENT": "staging", "ACTION": "rollback", "VERSION": "12"},
        {"ENVIRONMENT": "staging", "ACTION": "rollback", "VERSION": ""},
        {"ENVIRONMENT": "none", "ACTION": "restore-test"},
        {"ENVIRONMENT": "production", "ACTION": "drift", "DRY_RUN": "true"},
    ],
)
def test_what_can_be_done_is_let_pass(history: Tree, variables: dict[str, str]) -> None:
    assert "can be done" in history.script("bin/check-request", **variables)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"ENVIRONMENT": "qa"}, "unknown ENVIRONMENT 'qa': use production, staging or none"),
        ({"ACTION": "destroy"}, "unknown ACTION 'destroy'"),
        ({"DRY_RUN": "yes"}, "DRY_RUN='yes': use true or false"),
        ({"ACTION": "drift", "ENVIRONMENT": "none"}, "choose ENVIRONMENT=staging or production"),
        (
            {"ACTION": "rollback", "ENVIRONMENT": "staging", "DRY_RUN": "true"},
            "DRY_RUN is for ACTION=deploy",
        ),
        ({"VERSION": "v9"}, "VERSION='v9' does not exist"),
        ({"VERSION": "unmerged"}, "VERSION='unmerged' is not behind"),
        ({"VERSION": "v0"}, "VERSION='v0' is older than this pipeline"),
        ({"VERSION": "--upload-pack=x"}, "is no name of a tag or commit"),
        ({"VERSION": "v0..main"}, "VERSION='v0..main' does not exist"),
        ({"VERSION": "v1;true"}, "is no name of a tag or commit"),
        (
            {"VERSION": "v1", "ACTION": "backup", "ENVIRONMENT": "staging"},
            "leave it out for ACTION=backup",
        ),
        (
            {"VERSION": "v1", "ACTION": "rollback", "ENVIRONMENT": "staging"},
            "the number of a release",
        ),
        ({"VERSION": "v1", "BRANCH_NAME": "PR-7"}, "this is one of PR-7: start it there"),
        ({"ACTION": "updates", "BRANCH_NAME": "PR-7"}, "this is one of PR-7: start it there"),
    ],
)
def test_what_cannot_be_done_is_said_at_once(
    history: Tree, variables: dict[str, str], words: str
) -> None:
    assert words in history.refuses("bin/check-request", **variables)


def test_an_agent_without_docker_is_named() -> None:
    """As a user who could not install an engine, where none answers."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        tree = Tree(path / "tree")
        tree.commit("main", "x")
        user = 65534 if os.geteuid() == 0 else None
        text = tree.script(
            "bin/check-request", code=1, user=user, DOCKER_HOST="unix:///nonexistent/docker.sock"
        )
        assert "no Docker engine answers on " in text
        assert len(text.splitlines()) == 1


@pytest.fixture
def clone(history: Tree, tmp_path: Path) -> Tree:
    """A checkout of its own of that history."""
    path = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", history.path, path], check=True)
    tree = object.__new__(Tree)
    tree.path = path
    return tree


def test_a_version_is_checked_out(clone: Tree) -> None:
    main = clone.git("rev-parse", "HEAD")
    clone.script("bin/at-version")
    assert clone.git("rev-parse", "HEAD") == main
    clone.script("bin/at-version", VERSION="v1")
    assert clone.git("rev-parse", "HEAD") == clone.git("rev-parse", "v1^{commit}")


def test_a_version_does_not_touch_changes(clone: Tree) -> None:
    (clone.path / "Makefile").write_text("mine")
    assert "has changes that are not committed" in clone.refuses("bin/at-version", VERSION="v1")
    assert (clone.path / "Makefile").read_text() == "mine"


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The checkout that has deployed staging, with the state of that saved."""
    tree = Tree(tmp_path_factory.mktemp("keeper"))
    tree.script("bin/vault", "ensure", ENV="staging")
    state = tree.path / ".local/local-staging"
    (state / "id_ed25519").write_text("a key\n")
    (state / "tls").mkdir()
    (state / "tls/entry.json").write_text("{}")
    tree.script("bin/state", "save", "saved", ENV="staging")
    return tree


@pytest.fixture
def agent(tmp_path: Path) -> Tree:
    """A checkout that knows no environment."""
    return Tree(tmp_path / "agent")


def content(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_a_state_goes_to_an_agent_and_leaves_it(keeper: Tree, agent: Tree) -> None:
    saved = keeper.path / "saved"
    assert saved.stat().st_mode & 0o777 == 0o600
    agent.script("bin/state", "check", str(saved), ENV="staging")
    assert list((agent.path / ".local").iterdir()) == []
    for _ in range(2):
        agent.script("bin/state", "load", str(saved), ENV="staging")
        loaded = agent.path / ".local/local-staging"
        assert content(loaded) == content(keeper.path / ".local/local-staging")
        assert loaded.stat().st_mode & 0o077 == 0
        assert (loaded / "id_ed25519").stat().st_mode & 0o777 == 0o600
    # And the vault is whole: nothing is made anew that would be lost with the copy.
    assert "complete" in agent.script("bin/vault", "ensure", ENV="staging")
    agent.script("bin/state", "forget", ENV="staging")
    assert list((agent.path / ".local").iterdir()) == []


def test_a_copy_of_a_vault_gets_no_secrets_of_its_own(keeper: Tree, agent: Tree) -> None:
    agent.script("bin/state", "load", str(keeper.path / "saved"), ENV="staging")
    drop = (
        "import sys, pathlib, vault_file; path = pathlib.Path(sys.argv[1]); content = vault_file.read(path);"
        "del content['machine_secrets']['backup_password']; vault_file.write(path, content)"
    )
    vault = ".local/local-staging/vault.yml"
    agent.script(sys.executable, "-c", drop, vault, PYTHONPATH="ansible/plugins/module_utils")
    text = agent.refuses("bin/vault", "ensure", ENV="staging")
    assert "is a copy and lacks backup_password" in text


def test_the_original_is_never_replaced_or_removed(keeper: Tree) -> None:
    before = content(keeper.path / ".local")
    text = keeper.refuses("bin/state", "load", "saved", ENV="staging")
    assert "has a state of ENV=staging at CLOUD=local that is no copy" in text
    keeper.script("bin/state", "forget", ENV="staging")
    assert content(keeper.path / ".local") == before


def test_a_state_that_is_none_is_refused(keeper: Tree, agent: Tree, tmp_path: Path) -> None:
    saved = str(keeper.path / "saved")

    def refused(name: str, environment: str = "staging") -> str:
        text = agent.refuses("bin/state", "load", name, ENV=environment)
        local = agent.path / ".local"
        assert not local.exists() or list(local.iterdir()) == []
        return text

    assert "name it by STATE=" in refused("")
    assert "there is no such file" in refused("absent")
    assert "is no state of ENV=production at CLOUD=local" in refused(saved, "production")
    (agent.path / "noise").write_text("no tar")
    assert "is no state of ENV=staging" in refused("noise")
    # A link out of the folder, a vault without its password, another vault's password.
    for name, words in (
        ("link", "has links or devices"),
        ("password", "has no password of its vault"),
        ("other", "does not open"),
    ):
        folder = tmp_path / name
        shutil.copytree(keeper.path / ".local/local-staging", folder / "local-staging")
        state = folder / "local-staging"
        if name == "link":
            (state / "out").symlink_to("/etc/passwd")
        elif name == "password":
            (state / "vault-password").unlink()
        else:
            (state / "vault-password").write_text("another one")
        with tarfile.open(tmp_path / f"{name}.tar", "w") as archive:
            archive.add(state, "local-staging")
        text = refused(str(tmp_path / f"{name}.tar"))
        assert words in text
    assert "there is no vault of ENV=staging" in agent.refuses(
        "bin/state", "save", "x", ENV="staging"
    )


def docker(*arguments: str) -> str:
    """Run the docker client and return what it printed."""
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def leftovers(agent: Tree) -> Iterator[dict[str, list[str]]]:
    """What a killed role test and an environment have in the engine, by kind: first the test's, then the other's."""
    agent.checkout = agent.script("bash", "-c", ". bin/_env; printf %s $BEANFT_CHECKOUT")
    image = f"{os.environ['BEANFT_CHECKOUT']}/base:trixie"
    made: dict[str, list[str]] = {"volume": [], "network": [], "container": []}
    for environment in ("molecule-bare", "staging"):
        labels = [
            "--label",
            f"beanft.checkout={agent.checkout}",
            "--label",
            f"beanft.environment={environment}",
        ]
        name = f"{agent.checkout}-{environment}"
        made["volume"].append(docker("volume", "create", *labels, name))
        made["network"].append(docker("network", "create", *labels, name))
        made["container"].append(docker("create", *labels, "--network", "none", image, "true"))
    yield made
    for identity in made["container"]:
        subprocess.run(["docker", "rm", "--force", identity], capture_output=True, check=False)
    for kind in ("volume", "network"):
        for identity in made[kind]:
            subprocess.run(["docker", kind, "rm", identity], capture_output=True, check=False)


def test_what_killed_tests_left_is_removed_and_nothing_else(
    agent: Tree, leftovers: dict[str, list[str]]
) -> None:
    # As on an agent that has run nothing yet.
    shutil.rmtree(agent.path / ".local", ignore_errors=True)
    agent.script("bin/down-tests")
    for name in ("local-molecule-bare", "molecule", "local-staging"):
        (agent.path / ".local" / name).mkdir(parents=True)
    agent.script("bin/down-tests")
    for kind, (gone, stays) in leftovers.items():
        every = {"container": ["--all", "--no-trunc"], "network": ["--no-trunc"], "volume": []}[
            kind
        ]
        found = docker(kind, "ls", "--quiet", *every)
        assert gone not in found.split(), kind
        assert stays in found.split(), kind
    assert [path.name for path in (agent.path / ".local").iterdir()] == ["local-staging"]
    # Where nothing is left.
    agent.script("bin/down-tests")

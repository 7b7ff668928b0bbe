"""What has passed is not run again on the same content, and on no other."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Tree:
    """A checkout with two files and a cache of its own, and a command whose runs are counted."""

    def __init__(self, path: Path) -> None:
        """Make it."""
        self.root = path / "tree"
        self.cache = path / "cache"
        self.runs = path / "runs"
        self.root.mkdir()
        for name in ("code.py", "notes.md"):
            (self.root / name).write_text("one\n")
        subprocess.run(["git", "init", "--quiet"], cwd=self.root, check=True)
        subprocess.run(["git", "add", "."], cwd=self.root, check=True)

    def once(
        self, name: str = "tests", command: str = "true", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Ask for a command that depends on all but the notes."""
        counted = ["bash", "-c", f"echo ran >>{self.runs}; {command}"]
        return subprocess.run(
            [sys.executable, ROOT / "bin/passed.py", name, ".", ":(exclude)*.md", "--", *counted],
            env={"PATH": os.environ["PATH"], "BEANFT_ROOT": str(self.root), "XDG_CACHE_HOME": str(self.cache)}
            | environment,
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip

    def ran(self) -> int:
        """Return how often the command has run."""
        return len(self.runs.read_text().splitlines()) if self.runs.exists() else 0


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_the_same_content_is_run_once_and_said_so(tree: Tree) -> None:
    assert tree.once().stdout == ""
    again = tree.once()
    assert (again.returncode, tree.ran()) == (0, 1)
    assert "tests: passed on this content at " in again.stdout
    assert "FRESH=1" in again.stdout


def test_a_failure_is_not_remembered_and_its_code_is_passed_on(tree: Tree) -> None:
    assert [tree.once(command="exit 3").returncode for _ in range(2)] == [3, 3]
    assert tree.ran() == 2


def test_other_content_runs(tree: Tree) -> None:
    path = tree.root / "code.py"
    tree.once()
    path.write_text("two\n")
    tree.once()
    path.chmod(0o755)
    tree.once()
    (tree.root / "new.py").write_text("")
    tree.once()
    path.unlink()
    tree.once()
    assert tree.ran() == 5
    # And back again.
    (tree.root / "new.py").unlink()
    path.write_text("one\n")
    tree.once()
    assert tree.ran() == 5


def test_what_is_left_out_and_what_git_ignores_does_not_count(tree: Tree) -> None:
    (tree.root / ".gitignore").write_text("build\n")
    tree.once()
    (tree.root / "notes.md").write_text("two\n")
    (tree.root / "build").write_text("")
    tree.once()
    assert tree.ran() == 1


def test_another_name_asked_for_freshly_or_too_old_runs(tree: Tree) -> None:
    tree.once()
    tree.once(name="others")
    tree.once(FRESH="1")
    assert tree.ran() == 3
    for path in (tree.cache / "beanft/passed").iterdir():
        os.utime(path, (time.time() - 8 * 86400,) * 2)
    tree.once()
    assert tree.ran() == 4
    # What is too old is gone.
    assert len(list((tree.cache / "beanft/passed").iterdir())) == 1


def test_what_has_run_a_part_of_the_tests_says_nothing_of_all(tree: Tree) -> None:
    tree.once(PYTEST_ADDOPTS="-k one")
    tree.once()
    assert tree.ran() == 2


def test_what_changes_while_it_runs_has_not_passed(tree: Tree) -> None:
    tree.once(command=f"echo three >{tree.root}/code.py")
    tree.once()
    assert tree.ran() == 2


def test_without_a_command_the_usage_is_said(tree: Tree) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "bin/passed.py", "tests", "."],
        env={**os.environ, "BEANFT_ROOT": str(tree.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "bin/once NAME PATHSPEC… -- COMMAND…" in done.stderr


@pytest.fixture(scope="module")
def inputs() -> ModuleType:
    """Return what finds the files that a scenario depends on."""
    spec = importlib.util.spec_from_file_location("inputs", ROOT / "molecule/shared/inputs.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def files(inputs: ModuleType, scenario: str) -> set[str]:
    """Return the files that a scenario depends on."""
    listed = subprocess.run(
        ["git", "ls-files", "--", *inputs.pathspecs(scenario)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(listed.stdout.splitlines())


def test_a_scenario_depends_on_its_role_itself_and_what_all_share(inputs: ModuleType) -> None:
    assert inputs.SCENARIOS
    for scenario in inputs.SCENARIOS:
        found = files(inputs, scenario)
        assert {
            f"ansible/roles/{scenario}/tasks/main.yml",
            f"molecule/{scenario}/converge.yml",
            "ansible/roles/cloud_local/tasks/main.yml",
            "ansible/plugins/module_utils/vault_file.py",
            "docker/host/Dockerfile",
            "requirements.txt",
            "molecule/shared/helpers.py",
        } <= found, scenario
        assert not {"README.md", "docs/architecture.md", "tests/unit/test_jobs.py"} & found, (
            scenario
        )


@pytest.mark.parametrize(
    ("scenario", "path", "counts"),
    [
        ("backup", "ansible/roles/postgresql/tasks/main.yml", True),  # by prepare.yml
        ("edge", "ansible/roles/firewall/tasks/main.yml", True),  # by shared/site.yml
        ("edge", "ansible/playbooks/maintenance.yml", True),  # by a test
        ("edge", "ansible/playbooks/deploy.yml", False),
        ("edge", "ansible/playbooks/vars/ports.yml", True),  # by shared/site.yml
        ("ssh", "ansible/playbooks/vars/data.yml", False),
        ("tls", "ansible/roles/edge/templates/haproxy.cfg.j2", True),  # by include_role
        ("release", "app/beanft/ml/predict.py", True),  # by the images
        ("ssh", "app/beanft/ml/predict.py", False),
        ("ssh", "ansible/roles/edge/templates/haproxy.cfg.j2", False),
        ("monitoring", "tests/smoke.py", True),  # by a test
        ("valkey", "molecule/ssh/converge.yml", False),
        ("backup", "molecule/shared/backup_helpers.py", True),  # by its tests
        ("valkey", "molecule/shared/backup_helpers.py", False),
        ("firewall", "ansible/plugins/modules/nft_table.py", True),  # by its role
        ("edge", "ansible/plugins/modules/nft_table.py", True),  # by that of shared/site.yml
        ("firewall", "ansible/plugins/modules/gcp_balancer.py", False),
        ("release", "ansible/plugins/modules/swarm_stack.py", True),
    ],
)
def test_a_scenario_depends_on_what_its_files_name(
    inputs: ModuleType, scenario: str, path: str, counts: bool
) -> None:
    assert (ROOT / path).exists()
    assert (path in files(inputs, scenario)) is counts


def test_documents_that_tests_read_count() -> None:
    """Words for people are left out of what tests depend on, but where a test reads them."""
    text = (ROOT / "bin/test").read_text(encoding="utf-8")
    (words,) = re.findall(r"^declare -A read=\((.*)\)$", text, re.M)
    counted = {
        path: set((several or one).split())
        for path, several, one in re.findall(r"\[(\S+)\]=(?:\"(.*?)\"|(\S+))", words)
    }
    targets = set(re.findall(r"^ *(?:BASE=\S+ )?once (test-\w+)", text, re.M))
    assert {"test-web", "test-browser", "test-fleet", "test-cloud", "test-azure"} <= targets
    # Those whose tests are not in a folder of their name.
    folders = {"test-azure": ["cloud"], "test-web": ["web", "api"], "test-postgresql": ["stores"]}
    found: dict[str, set[str]] = {}
    for target in targets:
        for folder in folders.get(target, [target.removeprefix("test-")]):
            for path in (ROOT / "tests" / folder).glob("**/*.py"):
                words = path.read_text(encoding="utf-8")
                for name in re.findall(r"\bdocs\W+([a-z-]+\.md)", words):
                    found.setdefault(f"docs/{name}", set()).add(target)
    assert found == counted
    assert all((ROOT / path).is_file() for path in counted)

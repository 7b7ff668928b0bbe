"""What has passed is not run again on the same content, and on no other."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A document that a test names counts for it, and this one only asks.
DOCS = "docs"


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


def module(path: str) -> ModuleType:
    """Return the module in a file of this project."""
    os.environ["BEANFT_ROOT"] = str(ROOT)
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    # It finds a class's module by its name.
    sys.modules[loaded.__name__] = loaded
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def inputs() -> ModuleType:
    """Return what finds the files that a scenario depends on."""
    return module("molecule/shared/inputs.py")


def tracked(pathspecs: list[str]) -> set[str]:
    """Return the files that git's pathspecs name."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *pathspecs],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(listed.stdout.splitlines())


def files(inputs: ModuleType, scenario: str) -> set[str]:
    """Return the files that a scenario depends on."""
    return tracked(inputs.pathspecs(scenario))


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


@pytest.fixture(scope="module")
def remembered() -> Iterator[ModuleType]:
    """Return what knows on which files a target's tests depend."""
    sys.path.insert(0, str(ROOT / "bin"))
    yield module("bin/remembered.py")
    sys.path.remove(str(ROOT / "bin"))


def test_what_is_remembered_is_a_target_whose_folders_are_there(remembered: ModuleType) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name, target in remembered.TARGETS.items():
        (recipe,) = re.findall(rf"^{name}:.*\n((?:\t.*\n)+)", makefile, re.M)
        for folder in target.tests:
            assert list((ROOT / "tests" / folder).glob("*.py")), f"{name}: {folder}"
        # What a recipe itself names of tests.
        assert set(re.findall(r"\btests/(\w+)", recipe)) <= set(target.tests), name
        pathspecs, _ = remembered.content(name)
        for pattern in (it.removeprefix(":(exclude,glob)") for it in pathspecs[1:]):
            leads_to = tracked([f":(glob){pattern}"])
            assert leads_to or pattern.startswith("tests/"), f"{name}: {pattern} leaves nothing out"
            assert "requirements.txt" not in leads_to


@pytest.mark.parametrize(
    ("target", "path", "counts"),
    [
        ("unit", "app/beanft/ml/predict.py", True),
        ("unit", "app/migrations/env.py", True),
        ("unit", "bin/migrations_check.py", True),
        ("unit", "tests/unit/test_ml.py", True),
        ("unit", "tests/kept.py", True),  # shared by all
        ("unit", "requirements.txt", True),
        ("unit", "pyproject.toml", True),
        ("unit", "tests/web/test_site.py", False),
        ("unit", "ansible/roles/edge/tasks/main.yml", False),
        ("unit", "README.md", False),
        ("unit", "Jenkinsfile", False),
        ("types", "ansible/plugins/modules/swarm_stack.py", True),
        ("types", "molecule/mypy.ini", True),
        ("types", "tests/unit/test_ml.py", False),
        ("test-infra", "Jenkinsfile", True),
        ("test-infra", "Makefile", True),
        ("test-infra", "bin/remembered.py", True),
        ("test-infra", f"{DOCS}/operations.md", True),  # named by a test
        ("test-infra", f"{DOCS}/pages.md", False),
        ("test-infra", "ansible/roles/edge/README.md", True),
        ("test-infra", "molecule/shared/inputs.py", True),
        ("test-infra", "tests/fleet/canary.py", True),  # imported
        ("test-infra", "app/frontend/package-lock.json", True),
        ("test-infra", "app/beanft/ml/predict.py", False),
        ("test-browser", f"{DOCS}/pages.md", True),
        ("test-cars", "docker/cars/versions.lock", True),
        ("test-cars", "tests/browser/window.py", True),  # imported
        ("test-postgresql", "bin/stores", True),
        ("test-postgresql", "tests/unit/test_jobs.py", True),
        ("test-previous", "app/migrations/env.py", True),
        ("test-cloud", "ansible/roles/cloud_aws/tasks/main.yml", True),
        ("test-cloud", f"{DOCS}/clouds.md", True),
        ("test-cloud", "app/beanft/ml/predict.py", False),
        ("test-images", "docker/app/Dockerfile", True),
        ("test-fleet", f"{DOCS}/adding-a-service.md", True),
        ("test-fleet", f"{DOCS}/operations.md", False),
        ("test-fleet", "app/beanft/ml/predict.py", True),
        ("test-fleet", "ansible/roles/cloud_aws/tasks/main.yml", False),
        ("test-fleet", "ansible/roles/cloud_local/tasks/main.yml", True),
        ("test-fleet", "bin/deploy", True),
    ],
)
def test_a_target_depends_on_what_its_tests_see(
    remembered: ModuleType, target: str, path: str, counts: bool
) -> None:
    assert (ROOT / path).exists()
    pathspecs, documents = remembered.content(target)
    assert (path in {*tracked(pathspecs), *documents}) is counts


def test_only_targets_are_remembered() -> None:
    done = subprocess.run(
        [ROOT / "bin/remembered", "deploy"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "bin/remembered TARGET, one of types, unit, test-infra" in done.stderr

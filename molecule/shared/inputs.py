"""Which files a scenario's outcome depends on, found by what its files name.

Everything in the tree counts but what is left out here by name, and what other scenarios alone use: so a file that
nobody thought of makes a scenario run once more, and never keeps it from running.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(os.environ["BEANFT_ROOT"])
ROLES = sorted(path.name for path in (ROOT / "ansible" / "roles").iterdir())
SCENARIOS = sorted(path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml"))
# What no machine and no scenario sees: words for people, the pipeline, other tests.
LEFT_OUT = [
    "docs",
    "*.md",
    "LICENSE",
    "Makefile",
    "Jenkinsfile",
    "jenkins",
    ".ci",
    *(
        f"tests/{name}"
        for name in [
            "api",
            "bench",
            "browser",
            "cars",
            "cloud",
            "fleet",
            "images",
            "infra",
            "inventories",
            "plugins",
        ]
    ),
    *(
        f"tests/{name}"
        for name in [
            *("audit", "bridge", "jenkins", "previous", "processes"),
            *("restore", "stores", "unit", "vm", "web"),
        ]
    ),
    # Clouds have no part in them, and Ansible prints as molecule reads it.
    *(f"ansible/inventories/{name}" for name in ["aws", "azure", "gcp", "static"]),
    *(f"ansible/inventories/{name}.yml" for name in ["cloud_fleet", "cloud_machines"]),
    *("ansible/plugins/callback/compact.py", "ansible/plugins/filter/azure_template.py"),
    "ansible/plugins/module_utils/gcp_answers.py",
    *("molecule/mypy.ini", "molecule/ruff.toml"),
    *("bin/fork_server.py", "bin/forked_python", "bin/test"),
    *("docker/cars", "docker/vm"),
]
ALWAYS = ["molecule/shared/create.yml", "molecule/shared/destroy.yml"]
A_ROLE = re.compile(
    r"^\s*(?:-\s+)?(?:role|name|ansible\.builtin\.(?:include|import)_role): *(\w+)\s*$"
    r"|\bapply\(\s*[\"'](\w+)|ansible/roles/(\w+)",
    re.M,
)
A_PLAYBOOK = re.compile(r"\bplaybooks/([\w-]+\.yml)|import_playbook: *([\w-]+\.yml)")
VARIABLES = re.compile(r"\bvars/([\w-]+\.yml)")
SHARED = re.compile(r"\bshared/([\w/]+\.yml)|^(?:from|import) (\w+)", re.M)
A_SCENARIO = re.compile(r"\bmolecule/(\w+)/")


def texts(folder: Path) -> list[Path]:
    """Return the files of a folder that may name others."""
    return [path for path in folder.rglob("*") if path.suffix in {".yml", ".py", ".j2", ".sh"}]


def named(pattern: re.Pattern[str], text: str) -> set[str]:
    """Return the names that any of a pattern's groups found."""
    return {
        name
        for found in pattern.findall(text)
        for name in ([found] if isinstance(found, str) else found)
    }


def used(scenario: str) -> set[Path]:
    """Return the folders of roles and scenarios, and the files, that a scenario uses, relative to the root."""
    found = {Path("molecule") / scenario, *map(Path, ALWAYS)}
    queue = list(found)
    while queue:
        path = ROOT / queue.pop()
        for file in texts(path) if path.is_dir() else [path]:
            text = file.read_text(encoding="utf-8")
            near = {Path("ansible/roles") / name for name in named(A_ROLE, text) & set(ROLES)}
            near |= {Path("molecule") / name for name in named(A_SCENARIO, text) & set(SCENARIOS)}
            near |= {Path("ansible/playbooks") / name for name in named(A_PLAYBOOK, text) - {""}}
            near |= {Path("ansible/playbooks/vars") / name for name in named(VARIABLES, text)}
            for name in named(SHARED, text) - {""}:
                near.add(
                    Path("molecule/shared") / (name if name.endswith(".yml") else f"{name}.py")
                )
            new = {it for it in near - found if (ROOT / it).exists()}
            found |= new
            queue += new
    return found


def unnamed_modules(mine: set[Path]) -> list[Path]:
    """Return the project's modules for Ansible that none of these files, and no program of bin, names."""
    folders = [*(ROOT / it for it in mine), ROOT / "bin"]
    files = [file for it in folders for file in (it.rglob("*") if it.is_dir() else [it])]
    words = {
        word
        for file in files
        # Bytecode, which is there or not, says no more than its source.
        if file.is_file() and file.suffix != ".pyc"
        for word in re.findall(r"\w+", file.read_text(encoding="utf-8", errors="replace"))
    }
    modules = (ROOT / "ansible/plugins/modules").glob("*.py")
    return [path.relative_to(ROOT) for path in modules if path.stem not in words]


def pathspecs(scenario: str) -> list[str]:
    """Return, as git's pathspecs, what a scenario's outcome depends on."""
    mine = used(scenario)
    others = [Path("molecule") / name for name in SCENARIOS]
    others += [Path("ansible/roles") / name for name in ROLES]
    others += [path.relative_to(ROOT) for path in (ROOT / "ansible/playbooks").glob("*.yml")]
    for folder, pattern in (
        ("ansible/playbooks/vars", "*.yml"),
        ("molecule/shared", "*_helpers.py"),
    ):
        others += [path.relative_to(ROOT) for path in (ROOT / folder).glob(pattern)]
    others += unnamed_modules(mine)
    left_out = [*LEFT_OUT, *(str(path) for path in others if path not in mine)]
    if Path("molecule/shared/images.yml") not in mine:
        left_out.append("app")
    return [".", *(f":(exclude){path}" for path in left_out)]

"""Runs a target of the Makefile unless it has passed on the content that it depends on; `bin/remembered` calls it.

    bin/remembered TARGET

Everything in the tree counts but what is left out here by name: so a file that nobody thought of makes tests run once
more, and never keeps them from running. Of tests/ the files that all share count and the folders of the target, with
those that they import; of documents, those that these folders name. Of the Makefile, what it does for the target.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import passed

ROOT = Path(os.environ["BEANFT_ROOT"])
WORDS = ("*.md", "docs/**", "LICENSE")
# And the pipeline, and what begins tests and is not part of them.
BESIDES = (
    *WORDS,
    "Makefile",
    "Jenkinsfile",
    "jenkins/**",
    ".ci/**",
    *(f"bin/{name}" for name in ("check", "lint", "test")),
)
MACHINES = ("ansible/**", "molecule/**")
# Nobody sees these on a machine that is here.
CLOUDS = (
    *(f"ansible/roles/cloud_{name}/**" for name in ("aws", "azure", "gcp")),
    *(f"ansible/inventories/{name}" for name in ("aws/**", "azure/**", "gcp/**", "cloud_*.yml")),
    *(f"ansible/plugins/modules/{name}_*.py" for name in ("gcp", "network")),
    *(f"ansible/plugins/{name}_*.py" for name in ("module_utils/gcp", "filter/azure")),
)


@dataclass(frozen=True)
class Target:
    """What a target depends on."""

    tests: tuple[str, ...]
    """Folders in tests/."""
    left_out: tuple[str, ...]
    """Patterns as git's pathspecs with `glob` have them."""


OF_THE_APPLICATION = (*BESIDES, *MACHINES, "docker/**")
IN_A_CLOUD = Target(("cloud",), (*BESIDES, "app/**", "docker/**", "molecule/**"))
TARGETS = {
    "types": Target((), (*BESIDES, "app/frontend/**", "docker/**")),
    "unit": Target(("unit",), OF_THE_APPLICATION),
    # These look at what begins tests, too.
    "test-infra": Target(
        ("infra", "plugins", "inventories"), (*WORDS, "app/beanft/**", "app/migrations/**")
    ),
    "test-processes": Target(("processes",), OF_THE_APPLICATION),
    "test-web": Target(("web", "api"), OF_THE_APPLICATION),
    "test-postgresql": Target(("stores", "web", "api", "processes", "unit"), (*BESIDES, *MACHINES)),
    "test-browser": Target(("browser",), OF_THE_APPLICATION),
    "test-previous": Target(("previous",), OF_THE_APPLICATION),
    "test-cars": Target(("cars",), (*BESIDES, "molecule/**")),
    "test-images": Target(("images",), (*BESIDES, "molecule/**", *CLOUDS)),
    "test-cloud": IN_A_CLOUD,
    "test-azure": IN_A_CLOUD,
    "test-fleet": Target(("fleet",), (*BESIDES, "molecule/**", *CLOUDS)),
}


def folders(names: set[str]) -> set[str]:
    """Return folders of tests/ with those whose modules theirs import."""
    imported = set(re.findall(r"^\s*(?:from|import) tests\.(\w+)", texts(names), re.M))
    more = {name for name in imported if (ROOT / "tests" / name).is_dir()} - names
    return folders(names | more) if more else names


def texts(names: Iterable[str]) -> str:
    """Return all Python in these folders of tests/."""
    files = [path for name in names for path in (ROOT / "tests" / name).rglob("*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def content(name: str) -> tuple[list[str], list[str]]:
    """Return what a target depends on, as git's pathspecs, and the documents whose words it reads."""
    target = TARGETS[name]
    own = folders(set(target.tests))
    others = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()} - own
    left_out = [*target.left_out, *(f"tests/{folder}/**" for folder in sorted(others))]
    named = set(re.findall(r"\bdocs\W+([a-z-]+\.md)", texts(own)))
    documents = sorted(f"docs/{file}" for file in named if (ROOT / "docs" / file).is_file())
    return [".", *(f":(exclude,glob){pattern}" for pattern in left_out)], documents


def words_of(*command: str) -> str:
    """Return what a command prints, or '' if it fails."""
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()


def main(words: list[str]) -> int:
    """Run the target unless it has passed; return its exit code, or 0."""
    if len(words) != 1 or words[0] not in TARGETS:
        print(f"beanft: use bin/remembered TARGET, one of {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    (name,) = words
    if name == "test-previous":
        # Which commit that is depends on git's history, too.
        os.environ["BASE"] = words_of("bin/previous-release")
    does = words_of("make", "-n", name) + words_of(
        "docker", "version", "--format", "{{.Server.Version}}"
    )
    does += os.environ.get("FULL", "") + os.environ.get("BASE", "")
    known = f"{name}-{hashlib.sha256(does.encode()).hexdigest()[:8]}"
    return passed.once(known, *content(name), ["make", name])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Guards the pins of the image that checks the Jenkinsfile.

npm would install something newer where package.json leaves room, and a lock file made behind a
mirror would name that mirror, so that nobody else could install from it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docker" / "lint"


def unpinned(package: dict[str, Any], lock: dict[str, Any]) -> list[str]:
    """Return what is not pinned to a version and a checksum, or is pinned to a place."""
    problems = [
        f"{name}: {version} is no exact version"
        for name, version in package["dependencies"].items()
        if not re.fullmatch(r"\d+\.\d+\.\d+", version)
    ]
    locked = {path: entry for path, entry in lock["packages"].items() if path}
    for name, version in package["dependencies"].items():
        if locked.get(f"node_modules/{name}", {}).get("version") != version:
            problems.append(f"{name}: the lock file has another version, or none")
    problems += [
        f"{path}: no checksum" for path, entry in locked.items() if "integrity" not in entry
    ]
    problems += [f"{path}: names a place" for path, entry in locked.items() if "resolved" in entry]
    return problems


def test_everything_is_pinned() -> None:
    """The image is the same tomorrow, and on every network."""
    package, lock = (
        json.loads((FOLDER / name).read_text(encoding="utf-8"))
        for name in ("package.json", "package-lock.json")
    )
    assert package["dependencies"] != {}
    assert unpinned(package, lock) == []


@pytest.mark.parametrize(
    ("version", "entry", "problem"),
    [
        ("^1.0.0", {"version": "^1.0.0", "integrity": "sha512-a"}, "exact"),
        ("1.0.0", {"version": "1.0.1", "integrity": "sha512-a"}, "another version"),
        ("1.0.0", {"version": "1.0.0"}, "no checksum"),
        ("1.0.0", {"version": "1.0.0", "integrity": "sha512-a", "resolved": "a"}, "place"),
    ],
)
def test_the_check_refuses(version: str, entry: dict[str, str], problem: str) -> None:
    """Each kind of looseness is seen."""
    found = unpinned(
        {"dependencies": {"a": version}}, {"packages": {"": {}, "node_modules/a": entry}}
    )
    assert len(found) == 1
    assert problem in found[0]

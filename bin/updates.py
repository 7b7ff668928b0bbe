"""Compares two lock files of Python packages: see bin/updates."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def pins(text: str) -> dict[str, str]:
    """Return the versions in a lock file by package; several, where they depend on the platform."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)", text, re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


def changes(before: str, after: str) -> list[tuple[str, str, str]]:
    """Return name, pinned and newest version of each package in which two lock files differ."""
    old, new = pins(before), pins(after)
    return [
        (name, old.get(name, "-"), new.get(name, "-"))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def main() -> None:
    """Print the table and write the report."""
    before, after = (Path(name).read_text() for name in sys.argv[1:])
    rows = [
        {"name": name, "value": f"{old} -> {new}", "unit": "", "bound": None, "holds": None}
        for name, old, new in changes(before, after)
    ]
    subprocess.run(
        [sys.executable, ROOT / "bin" / "report", "updates", *map(json.dumps, rows)], check=True
    )
    print(
        f"updates: {len(rows)} of {len(pins(before))} packages differ; 'bin/lock --upgrade' takes them"
    )


if __name__ == "__main__":
    main()

"""Reports branch coverage by part of the application: see bin/coverage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(os.environ["BEANFT_ROOT"])
LEAST = 95.0
BOUND = ("ml", "services")
# What browsers and clients see is judged by walks through it; the rest holds the rules.
SURFACE = {"views", "forms", "pages", "home", "commands", "main", "__main__"}


def part_of(path: Path) -> str:
    """Return the part of the application that a file counts to."""
    if path.parts[0] == "ml":
        return "ml"
    return "pages, forms, commands" if path.stem.split("_")[-1] in SURFACE else "services"


def share(counts: list[dict[str, Any]]) -> float:
    """Return the percentage of lines and branches that were run."""
    seen = sum(count["covered_lines"] + count["covered_branches"] for count in counts)
    there = sum(count["num_statements"] + count["num_branches"] for count in counts)
    return float(round(100 * seen / there, 1))


def row(name: str, value: float, least: float | None = None) -> str:
    """Return a row of the report."""
    holds = None if least is None else value >= least
    return json.dumps({"name": name, "value": value, "unit": "%", "bound": least, "holds": holds})


def main() -> None:
    """Print the parts, and the files that are covered least."""
    measured = json.loads((ROOT / "build/coverage/files.json").read_text(encoding="utf-8"))["files"]
    files = {
        Path(name).relative_to("app/beanft"): file["summary"] for name, file in measured.items()
    }
    parts: dict[str, list[dict[str, Any]]] = {}
    for path, summary in files.items():
        parts.setdefault(part_of(path), []).append(summary)
    rows = [
        row(name, share(parts[name]), LEAST if name in BOUND else None) for name in sorted(parts)
    ]
    rows.append(row("all", share(list(files.values()))))
    low = sorted(
        (share([summary]), str(path))
        for path, summary in files.items()
        if summary["num_statements"]
    )
    rows += [row(f"  {path}", value) for value, path in low[:8]]
    subprocess.run([str(ROOT / "bin/report"), "coverage", *rows], check=True)
    missed = [name for name in BOUND if share(parts[name]) < LEAST]
    if missed:
        sys.exit(f"beanft: less than {LEAST:g} % of {' and '.join(missed)} is covered by tests")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Seconds and bytes of `make up` and of a code-only deploy, on a fleet of its own.

Run by `make bench-deploy`. Writes build/reports/bench-deploy.json and prints its table. Cold
means: base bootstrapped or pulled, every image built without a cache. What the engine and the
package clients keep (the tools' downloads among them) is not thrown away.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.fleet.checkout import Checkout  # noqa: E402 - the path has to be set first

DEPLOYS = 3


def seconds(checkout: Checkout, *command: str) -> float:
    """Run a command and return how long it took."""
    begun = time.monotonic()
    checkout.run(*command)
    return round(time.monotonic() - begun, 1)


def row(name: str, value: float, unit: str, bound: float | None = None) -> str:
    """Return a row of the report; a bound is an upper one."""
    holds = None if bound is None else value <= bound
    return json.dumps({"name": name, "value": value, "unit": unit, "bound": bound, "holds": holds})


def phases(checkout: Checkout, what: str) -> list[str]:
    """Return the phases of the last `make up` as rows."""
    report = json.loads((checkout.path / "build/reports/up.json").read_text())
    return [row(f"{what}: {item['name']}", item["value"], "s") for item in report["rows"]]


def main() -> None:
    """Measure, and report."""
    checkout = Checkout.make(ROOT / "build" / "bench-deploy")
    rows = []
    try:
        checkout.variables = {"NO_CACHE": "1"}
        rows.append(row("make up, from nothing", seconds(checkout, "make", "up"), "s", 360))
        rows += phases(checkout, "  from nothing")
        checkout.variables = {}
        rows.append(row("make up, again", seconds(checkout, "make", "up"), "s", 60))
        rows += phases(checkout, "  again")
        rows.append(
            row("make up NODES=3, from one", seconds(checkout, "make", "up", "NODES=3"), "s")
        )
        for number in range(1, DEPLOYS + 1):
            checkout.change("app/beanft/__init__.py", f"\n# change {number}\n", f"Change {number}")
            took = seconds(checkout, "make", "deploy")
            newest = max(
                (checkout.path / "build/reports").glob("deploy-*.json"),
                key=lambda path: int(re.findall(r"\d+", path.name)[-1]),
            )
            moved = [
                item["value"]
                for item in json.loads(newest.read_text())["rows"]
                if item["unit"] == "bytes"
            ]
            rows.append(row(f"code-only deploy to three machines, {number}", took, "s", 25))
            rows.append(row("  moved to a machine, at most", round(max(moved) / 1e6, 2), "MB", 3))
        rows.append(row("make deploy, nothing changed", seconds(checkout, "make", "deploy"), "s"))
        rows.append(row("make rollback", seconds(checkout, "make", "rollback"), "s"))
    finally:
        checkout.run("bin/down", ok=False)
    subprocess.run([str(ROOT / "bin/report"), "bench-deploy", *rows], check=True)


if __name__ == "__main__":
    main()

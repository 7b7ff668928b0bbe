#!/usr/bin/env python3
"""Seconds and bytes of `make up` and of deploys, on a fleet of its own; beside a bare engine and the usual playbook.

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
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.fleet.checkout import Checkout  # noqa: E402 - the path has to be set first
from tests.fleet.fleet import Fleet, docker  # noqa: E402
from tests.fleet.load import Load, report  # noqa: E402

DEPLOYS = 3
SERVICES = ("web", "api", "worker")


class Bench:
    """The figures, and the fleet that they are of."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout, self.fleet = checkout, Fleet(checkout)
        self.rows: list[str] = []
        self.changes = 0

    def row(self, name: str, value: float, unit: str, bound: float | None = None) -> None:
        """Add a row; a bound is an upper one."""
        holds = None if bound is None else value <= bound
        row = {"name": name, "value": value, "unit": unit, "bound": bound, "holds": holds}
        self.rows.append(json.dumps(row))

    def seconds(self, *command: str) -> float:
        """Run a command and return how long it took."""
        begun = time.monotonic()
        self.checkout.run(*command)
        return round(time.monotonic() - begun, 1)

    def phases(self, what: str) -> None:
        """Add the phases of the last `make up`."""
        done = json.loads((self.checkout.path / "build/reports/up.json").read_text())
        for item in done["rows"]:
            self.row(f"  {what}: {item['name']}", item["value"], "s")

    def change(self) -> None:
        """Change code and nothing else."""
        self.changes += 1
        self.checkout.change(
            "app/beanft/__init__.py", f"\n# change {self.changes}\n", f"Change {self.changes}"
        )

    def deploy(self) -> tuple[float, list[dict[str, Any]]]:
        """Deploy a change; return how long all of it took, and the rows of its report."""
        self.change()
        took = self.seconds("make", "deploy")
        newest = max(
            (self.checkout.path / "build/reports").glob("deploy-*.json"),
            key=lambda path: int(re.findall(r"\d+", path.name)[-1]),
        )
        return took, json.loads(newest.read_text())["rows"]

    def images(self) -> dict[str, str]:
        """Return the images that the services run."""
        template = "{{.Spec.TaskTemplate.ContainerSpec.Image}}"
        return {
            name: self.fleet.manager("service", "inspect", "--format", template, f"beanft_{name}")
            for name in SERVICES
        }

    def bare(self, images: dict[str, str]) -> float:
        """Let the engine alone switch to other images, all services at once; return how long it took."""
        begun = time.monotonic()
        update = ["docker", "exec", self.fleet.machines()["m1"], "docker", "service", "update"]
        running = [
            subprocess.Popen(
                [*update, "--quiet", "--image", image, f"beanft_{name}"], stdout=subprocess.DEVNULL
            )
            for name, image in images.items()
        ]
        assert [process.wait(180) for process in running] == [0] * len(running)
        return round(time.monotonic() - begun, 1)

    def usual(self, image: str) -> float:
        """Deploy by the usual playbook; return how long it took."""
        label = '{{index .Config.Labels "beanft.port"}}'
        port = docker("inspect", "--format", label, f"{self.fleet.name}-registry")
        self.checkout.variables = {"REGISTRY_PORT": port, "IMAGE": image}
        begun = time.monotonic()
        # By a link: it has to be a verb of ours to be run as one.
        self.checkout.run("bin/play", "usual")
        self.checkout.variables = {}
        return round(time.monotonic() - begun, 1)

    # ------------------------------------------------------------------ parts
    def up(self) -> None:
        """From nothing, and again."""
        self.checkout.variables = {"NO_CACHE": "1"}
        self.row("make up, from nothing", self.seconds("make", "up"), "s", 360)
        self.phases("from nothing")
        self.checkout.variables = {}
        self.row("make up, again", self.seconds("make", "up"), "s", 60)
        self.phases("again")

    def one_machine(self) -> float:
        """Code-only deploys to one machine."""
        took = median(self.deploy()[0] for _ in range(DEPLOYS))
        self.row("code-only deploy to one machine, median", took, "s")
        return took

    def three_machines(self) -> None:
        """Code-only deploys to three, beside a bare engine that switches between the same images."""
        self.row("make up NODES=3, from one", self.seconds("make", "up", "NODES=3"), "s")
        ours, theirs = [], []
        for number in range(1, DEPLOYS + 1):
            before = self.images()
            took, rows = self.deploy()
            ours.append(took)
            self.row(f"code-only deploy to three machines, {number}", took, "s", 20)
            moved = [item["value"] for item in rows if item["name"] == "moved to a machine"]
            layers = [item["value"] for item in rows if item["name"] == "changed layers"]
            for item in rows:
                if item["unit"] == "s":
                    self.row(f"  {item['name']}", item["value"], "s")
            self.row("  moved to a machine, at most", round(max(moved) / 1e6, 2), "MB", 3)
            self.row("  of its changed layers", round(max(moved) / max(layers), 2), "x", 1.2)
            after = self.images()
            time.sleep(10)
            theirs += [self.bare(before), self.bare(after)]
            time.sleep(10)
        self.row("bare service update, the same images, median", median(theirs), "s")
        self.row("  deploy / bare", round(median(ours) / median(theirs), 2), "x", 1.6)
        self.row("make plan", self.seconds("bash", "-c", "bin/plan"), "s", 6)
        self.row("make deploy, nothing changed", self.seconds("make", "deploy"), "s", 8)
        self.row("make rollback", self.seconds("make", "rollback"), "s", 12)

    def beside_the_usual(self) -> None:
        """Ours and the usual playbook, each under load."""
        self.row("make deploy, again", self.seconds("make", "deploy"), "s")
        old, url = self.images()["web"], self.urls(443)
        link = self.checkout.path / "ansible/playbooks/usual.yml"
        link.symlink_to(ROOT / "tests/bench/usual.yml")
        self.usual(old)
        with Load(self.fleet.urls()) as load:
            ours, _ = self.deploy()
        new = self.images()["web"]
        with Load(url, only="/healthz") as beside:
            usual = self.usual(new)
        link.unlink()
        self.row("under load: make deploy, with build, pages and API", ours, "s")
        self.row("  requests failed", len(load.failures), f"of {load.requests}", 0)
        self.row("under load: the usual playbook, one container a machine", usual, "s")
        self.row("  requests failed", len(beside.failures), f"of {beside.requests}")

    def urls(self, port: int) -> list[str]:
        """Return where the machines' other port is."""
        return [
            f"http://{docker('port', name, str(port)).split()[0]}"
            for name in self.fleet.machines().values()
        ]

    def five_machines(self, one: float) -> None:
        """Code-only deploys to five."""
        self.row("make up NODES=5, from three", self.seconds("make", "up", "NODES=5"), "s")
        five = median(self.deploy()[0] for _ in range(DEPLOYS))
        self.row("code-only deploy to five machines, median", five, "s")
        self.row("  five machines / one machine", round(five / one, 2), "x", 1.3)


def main() -> None:
    """Measure, and report."""
    bench = Bench(Checkout.make(ROOT / "build" / "bench-deploy"))
    try:
        bench.up()
        one = bench.one_machine()
        bench.three_machines()
        bench.beside_the_usual()
        bench.five_machines(one)
    finally:
        bench.checkout.run("bin/down", ok=False)
    report(bench.rows, "bench-deploy")


if __name__ == "__main__":
    main()

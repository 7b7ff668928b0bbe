"""Looks for a secret everywhere but where it belongs.

A test plants a value of its own as a secret (`bin/vault rotate NAME` with FROM=), deploys, and asks here where
it has come to light. Nothing may have been found, and enough must have been looked at:

    report = canary.find(value, checkout, machines=["m1", "m2", "m3"], outputs={"make deploy": text})
    assert report.found == []
    report.assert_thorough()
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.fleet.canary_search import Search
from tests.fleet.checkout import Checkout, CommandError

# Where secrets are kept on the control machine. The vault is not among them: it is encrypted.
KEPT = ("vault-password", "id_ed25519")
MINUTES = 10


@dataclass
class Report:
    """Where the canary was found, as sentences, and how many things of each kind were looked at."""

    found: list[str] = field(default_factory=list)
    looked: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, place: str, found: Iterable[str], looked: dict[str, int]) -> None:
        """Add what a search of one place found."""
        self.found += [f"{place}: {what}" for what in found]
        self.looked[place] = looked

    def assert_thorough(self) -> None:
        """Make sure that the search had something to look at, wherever there has to be something."""
        machines = {place: looked for place, looked in self.looked.items() if place != "here"}
        assert machines, "no machine was searched"
        for place, looked in machines.items():
            empty = {"process", "inspect", "image", "log", "journal", "file"} - set(looked)
            assert not empty, f"{place}: nothing looked at of {', '.join(sorted(empty))}"
        assert any("record" in looked for looked in machines.values()), (
            "no release record was searched"
        )
        assert self.looked["here"].get("file"), "no file of the checkout was searched"


def find(
    needle: str,
    checkout: Checkout,
    machines: Iterable[str],
    outputs: Mapping[str, str] | None = None,
) -> Report:
    """Search machines of a fleet, a checkout's files, and what commands printed, for a text.

    Args:
        needle: the text, 16 letters or more; base64 and hex of it are searched for, too.
        checkout: whose fleet it is.
        machines: their names as bin/ssh takes them.
        outputs: what commands printed, by their names.
    """
    report = Report()
    here = Search(needle)
    for name, text in (outputs or {}).items():
        here.look("output", name, [text.encode()])
    for folder in ("build", ".local", "dist"):
        here.folder(checkout.path / folder, KEPT)
    here.processes()
    report.add("here", here.found, here.looked)
    names = list(machines)
    with ThreadPoolExecutor(max_workers=max(len(names), 1)) as pool:
        jobs = {name: pool.submit(search_machine, needle, checkout, name) for name in names}
    for name, job in jobs.items():
        found, looked = job.result()
        report.add(name, found, looked)
    return report


def search_machine(needle: str, checkout: Checkout, name: str) -> tuple[list[str], dict[str, int]]:
    """Run the search on a machine. The program and the text go by stdin: no argument has it."""
    source = (Path(__file__).parent / "canary_search.py").read_text(encoding="utf-8")
    done = subprocess.run(
        ["bin/ssh", name, "sudo", "python3", "-"],
        cwd=checkout.path,
        env=checkout.environment(),
        input=f"{source}\n\nmachine({needle!r})\n",
        capture_output=True,
        text=True,
        timeout=MINUTES * 60,
        check=False,
    )
    if done.returncode:
        raise CommandError(f"{name} could not be searched: {done.stderr[-2000:]}")
    answer = json.loads(done.stdout)
    return answer["found"], answer["looked"]

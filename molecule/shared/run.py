"""Runs the scenarios of roles and says how each went; `molecule/run` calls it.

Scenarios that name the same set of machines share it, one after the other, by name; the sets run at
once. Machines are always removed, also after a failure or an interrupt. Results are printed and
written to build/reports/molecule.json; testinfra's own go to build/reports/junit. When all are asked for,
those that have passed on the same content are only named, unless FRESH=1 is set: see bin/passed.py.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

import inputs
import passed
import yaml

ROOT = Path(os.environ["BEANFT_ROOT"])
CHECKOUT = os.environ["BEANFT_CHECKOUT"]
SCENARIOS = ROOT / "molecule"
LOGS = ROOT / "build" / "logs"
REGISTRY = f"{CHECKOUT}-registry"
APPLICATION = ["api", "web", "worker", "edge", "prometheus", "registry"]
# All scenarios together, on two cores, images built.
BOUND_SECONDS = 900
# More of them on two cores only wait for each other, and some tests would not wait as long.
SETS_AT_ONCE = 2
STEPS = ["test", "create", "converge", "idempotence", "verify", "login", "destroy"]


@dataclass(frozen=True)
class Result:
    """How a scenario went."""

    name: str
    seconds: float
    passed: bool
    before: str = ""
    """When it passed on the same content, so that it did not run now."""


def machine_set(scenario: str) -> str:
    """Return the set of machines that a scenario names."""
    config = yaml.safe_load((SCENARIOS / scenario / "molecule.yml").read_text(encoding="utf-8"))
    return str(config["ansible"]["env"]["BEANFT_ENVIRONMENT"])


def images(sets: list[str]) -> list[str]:
    """Return the images that the machines of some sets, and what runs on them, need."""
    known = yaml.safe_load((SCENARIOS / "shared/vars/machines.yml").read_text(encoding="utf-8"))
    hosts = [step["image"] for name in sets for step in known["machine_sets"][name]]
    return list(dict.fromkeys([*hosts, *APPLICATION]))


def pin() -> None:
    """Name what was built by its content: another build may move the names while tests run."""
    built = json.loads((ROOT / "build/images.json").read_text(encoding="utf-8"))
    pinned = {name: {**image, "reference": image["id"]} for name, image in built.items()}
    path = ROOT / ".local" / "molecule" / "images.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(pinned, indent=2) + "\n", encoding="utf-8")


def docker(*arguments: str) -> list[str]:
    """Return the words that the docker client prints."""
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=True
    ).stdout.split()


def memory(scenario: str) -> passed.Check:
    """Return what is remembered of a scenario on the content that it depends on, and this engine."""
    engine = "-".join(docker("version", "--format", "{{.Server.Version}}"))
    return passed.check(f"molecule-{scenario}-{engine}", inputs.pathspecs(scenario))


def unknown_roles(scenario: str, log: str) -> list[str]:
    """Return the roles that a scenario's log names, and `inputs` does not know that it uses."""
    ran = {name for name in re.findall(r"^TASK \[(\w+) : ", log, re.M) if name in inputs.ROLES}
    return sorted(
        ran - {path.name for path in inputs.used(scenario) if path.parent.name == "roles"}
    )


class Runner:
    """Runs molecule, and can be told to stop."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self.lock = threading.Lock()
        self.running: set[subprocess.Popen[bytes]] = set()
        self.results: list[Result] = []
        self.stopping = False

    def molecule(self, scenario: str, *arguments: str, log: IO[bytes] | None) -> bool:
        """Run molecule on one scenario; without a log, on this terminal."""
        state = ROOT / ".local" / "molecule" / scenario
        command = ["molecule", "--base-config", "molecule/shared/base.yml", *arguments]
        environment = {
            **os.environ,
            "MOLECULE_EPHEMERAL_DIRECTORY": str(state),
            "MOLECULE_COMMAND_BORDERS": "false",
            "MOLECULE_REPORT": "false",
        }
        if log:
            environment |= {"NO_COLOR": "1", "ANSIBLE_NOCOLOR": "1"}
        process = subprocess.Popen(
            [*command, "--scenario-name", scenario],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL if log else None,
            stdout=log,
            stderr=subprocess.STDOUT if log else None,
            # An interrupt is for this process, which then ends what it started.
            start_new_session=log is not None,
        )
        with self.lock:
            self.running.add(process)
        try:
            return process.wait() == 0
        finally:
            with self.lock:
                self.running.discard(process)

    def stop(self, number: int, frame: FrameType | None) -> None:
        """End what runs; the machines are removed by who made them."""
        del number, frame
        self.stopping = True
        for process in list(self.running):
            os.killpg(process.pid, signal.SIGTERM)

    def destroy(self, scenario: str) -> None:
        """Remove the machines of a scenario's set, whoever made them."""
        with (LOGS / f"molecule-{machine_set(scenario)}-destroy.log").open("wb") as log:
            removed = self.molecule(scenario, "destroy", log=log)
        left = docker(
            "ps", "-aq",
            "--filter", f"label=beanft.checkout={CHECKOUT}",
            "--filter", f"label=beanft.environment={machine_set(scenario)}",
        )  # fmt: skip
        if left or not removed:
            where = f"{len(left)} of {machine_set(scenario)} are there"
            raise RuntimeError(f"machines could not be removed, {where}: see {log.name}")

    def test(self, scenarios: list[str]) -> None:
        """Run scenarios that share a set of machines, and remove the machines."""
        for scenario in scenarios:
            shutil.rmtree(ROOT / ".local" / "molecule" / scenario, ignore_errors=True)
        try:
            # What a run that was killed may have left.
            self.destroy(scenarios[0])
            for scenario in scenarios:
                if self.stopping:
                    break
                path = LOGS / f"molecule-{scenario}.log"
                print(f"  {scenario:<12} begins", flush=True)
                started = time.monotonic()
                content = memory(scenario)
                with path.open("wb") as log:
                    ended_well = self.molecule(scenario, "test", "--destroy", "never", log=log)
                seconds = time.monotonic() - started
                words = path.read_text(encoding="utf-8", errors="replace")
                if unknown := unknown_roles(scenario, words):
                    print(
                        f"  {scenario}: it uses {', '.join(unknown)}, which shared/inputs.py has not found: name it in"
                        f" the scenario as others do, or a change of it would not make the scenario run",
                        flush=True,
                    )
                    ended_well = False
                elif not ended_well and not self.stopping:
                    shown = [*words.splitlines()[-60:], f"  {scenario}: all of it is in {path}"]
                    print("\n".join(shown), flush=True)
                elif ended_well and memory(scenario) == content:
                    content.note(seconds)
                self.results.append(Result(scenario, seconds, ended_well))
        finally:
            self.destroy(scenarios[0])
            for scenario in scenarios:
                shutil.rmtree(ROOT / ".local" / "molecule" / scenario, ignore_errors=True)


def report(results: list[Result], seconds: float, complete: bool) -> None:
    """Print how each scenario went, and write and print the figures."""
    print(f"\n  {'scenario':<12}{'seconds':>8}  result")
    for it in results:
        word = it.before or ("passed" if it.passed else "FAILED")
        print(f"  {it.name:<12}{it.seconds:>8.0f}  {word}", flush=True)
    rows = [
        {
            "name": it.name,
            "value": round(it.seconds),
            "unit": "s",
            "bound": None,
            "holds": it.passed,
        }
        for it in results
        if not it.before
    ]
    bound = BOUND_SECONDS if complete else None
    holds = bound is None or seconds <= bound
    total = {"name": "total", "value": round(seconds), "unit": "s", "bound": bound, "holds": holds}
    subprocess.run(
        [ROOT / "bin/report", "molecule", *map(json.dumps, [*rows, total])], cwd=ROOT, check=True
    )


def main() -> int:
    """Run what was asked for."""
    everything = sorted(path.parent.name for path in SCENARIOS.glob("*/molecule.yml"))
    parser = argparse.ArgumentParser(prog="molecule/run", description="Test roles.")
    parser.add_argument("roles", nargs="*", metavar="ROLE", help=f"none: {', '.join(everything)}")
    parser.add_argument(
        "--step", choices=STEPS, default="test", help="only this step, and leave the machines there"
    )
    parser.add_argument(
        "--remembered",
        action="store_true",
        help="name what has passed on the same content and do not run it again, as without a ROLE",
    )
    options = parser.parse_args()
    unknown = sorted(set(options.roles) - set(everything))
    if unknown:
        parser.error(f"no scenario for {', '.join(unknown)}: there are {', '.join(everything)}")
    chosen = [name for name in everything if not options.roles or name in options.roles]
    LOGS.mkdir(parents=True, exist_ok=True)
    runner = Runner()
    if options.step == "test" and (options.remembered or not options.roles):
        runner.results = [
            Result(it, 0, True, said) for it in chosen if (said := memory(it).passed())
        ]
        chosen = [name for name in chosen if name not in {it.name for it in runner.results}]
    sets: dict[str, list[str]] = {}
    for name in chosen:
        sets.setdefault(machine_set(name), []).append(name)

    if chosen and options.step != "destroy":
        built = subprocess.run([ROOT / "bin/images", *images(list(sets))], cwd=ROOT, check=False)
        if built.returncode:
            return built.returncode
        pin()
    if options.step != "test":
        extra = ["--host", "m1"] if options.step == "login" else []
        ended_well = all(runner.molecule(it, options.step, *extra, log=None) for it in chosen)
        return 0 if ended_well else 1

    signal.signal(signal.SIGINT, runner.stop)
    signal.signal(signal.SIGTERM, runner.stop)
    registry_before = docker("ps", "-aq", "--filter", f"name=^{REGISTRY}$")
    started = time.monotonic()
    failed = False
    with ThreadPoolExecutor(max_workers=SETS_AT_ONCE) as pool:
        for job in [pool.submit(runner.test, names) for names in sets.values()]:
            try:
                job.result()
            except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
                print(f"beanft: {error}", file=sys.stderr)
                failed = True
    if not registry_before and docker("ps", "-aq", "--filter", f"name=^{REGISTRY}$"):
        docker("rm", "--force", REGISTRY)
        docker("volume", "rm", REGISTRY)
    results = sorted(runner.results, key=lambda it: it.name)
    report(results, time.monotonic() - started, complete=chosen == everything)
    known = {it.name for it in results}
    ended = known.issuperset(chosen) and all(it.passed for it in results)
    return 0 if ended and not failed and not runner.stopping else 1


if __name__ == "__main__":
    sys.exit(main())

"""bin/drift-report: what differs is told, and nothing counts as looked at that was not."""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "bin" / "drift-report"
HOSTS = ["beanft-1-m1", "beanft-1-m2"]
OK: dict[str, Any] = {"changed": False, "action": "apt"}


def step(name: str, hosts: dict[str, Any], path: str = "site.yml:1") -> dict[str, Any]:
    return {"task": {"name": name, "path": path}, "hosts": hosts}


def good() -> dict[str, Any]:
    """A run that looked at everything and found nothing."""
    roles = [
        step(f"{role} : Packages", {host: {**OK} for host in HOSTS})
        for role in ("common", "ssh", "firewall", "docker", "hardening", "swarm")
    ]
    swarm = {
        "action": "swarm_drift",
        "findings": [],
        "looked_at": {"services": 4, "tasks": 6, "nodes": 2},
    }
    boxes = {"action": "container_drift", "findings": [], "containers": 3}
    tasks = [
        step("Machines to look at", {"localhost": {"action": "debug", "msg": HOSTS}}),
        *roles,
        step("Compare services, tasks and nodes", {HOSTS[0]: swarm}),
        step("Compare containers", {host: {**boxes} for host in HOSTS}),
    ]
    figures = {"failures": 0, "unreachable": 0}
    return {"plays": [{"tasks": tasks}], "stats": dict.fromkeys(HOSTS, figures)}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script; its report goes where the test looks."""
    loader = SourceFileLoader("drift_report", str(SCRIPT))
    spec = importlib.util.spec_from_loader("drift_report", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    loader.exec_module(module)
    reporter = module.reporter()
    monkeypatch.setattr(reporter, "ROOT", tmp_path)
    monkeypatch.setattr(module, "reporter", lambda: reporter)
    return module


Told = tuple[int, str, dict[str, Any]]


@pytest.fixture
def tell(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Told]:
    """Return a function that reports a run: exit code, what is printed, and the report."""

    def act(
        run: dict[str, Any] | str, code: int = 0, form: str = "table", errors: str = ""
    ) -> Told:
        play = run if isinstance(run, str) else json.dumps(run)
        (tmp_path / "play").write_text(play, encoding="utf-8")
        (tmp_path / "errors").write_text(errors, encoding="utf-8")
        end = script.main(str(tmp_path / "play"), str(tmp_path / "errors"), str(code), form)
        path = tmp_path / "build" / "reports" / "drift.json"
        return end, capsys.readouterr().out, json.loads(path.read_text(encoding="utf-8"))

    return act


def test_no_drift(tell: Callable[..., Told]) -> None:
    code, printed, report = tell(good())
    assert code == 0
    assert printed == "drift: none (2 machines, 4 services, 2 nodes, 6 containers compared)\n"
    assert report["target"] == "drift"
    assert report["findings"] == report["not_looked_at"] == []
    assert all(row["holds"] in (True, None) for row in report["rows"])


def test_drift_is_told_and_put_into_the_report(tell: Callable[..., Told]) -> None:
    run = good()
    tasks = run["plays"][0]["tasks"]
    tasks[1]["hosts"][HOSTS[1]] = {
        "changed": True,
        "action": "template",
        "invocation": {"module_args": {"dest": "/etc/x.conf"}},
    }
    tasks.insert(
        4, step("common : Restart", {HOSTS[1]: {**OK, "changed": True}}, "/r/handlers/main.yml:1")
    )
    digest = "sha256:" + "a" * 64
    parts = {"expected": f"r/web@{digest}", "found": "none", "mend": "make deploy"}
    tasks[-2]["hosts"][HOSTS[0]]["findings"] = [{"where": "s_web", "what": "image", **parts}]
    tasks[-1]["hosts"][HOSTS[0]]["findings"] = [{"what": "container x", **parts}]
    code, printed, report = tell(run)
    assert code == 2
    assert printed.splitlines() == [
        "where  what               expected               found                     mend",
        "m2     common : Packages  as the role leaves it  would change /etc/x.conf  make site",
        "s_web  image              r/web@aaaaaaaaaaaa     none                      make deploy",
        "m1     container x        r/web@aaaaaaaaaaaa     none                      make deploy",
        "drift: 3 finding(s) (2 machines, 4 services, 2 nodes, 6 containers compared)",
    ]
    assert [item["where"] for item in report["findings"]] == ["m2", "s_web", "m1"]
    assert report["findings"][1]["expected"] == f"r/web@{digest}"


def test_changes_of_a_loop_are_told_one_by_one(tell: Callable[..., Told]) -> None:
    run = good()
    items = [
        {"changed": True, "invocation": {"module_args": {"name": name}}} for name in ("a", "b")
    ] + [{"changed": False, "invocation": {"module_args": {"name": "c"}}}]
    run["plays"][0]["tasks"][2]["hosts"][HOSTS[0]] = {"changed": True, "results": items}
    _, _, report = tell(run)
    assert [item["found"] for item in report["findings"]] == ["would change a", "would change b"]


def test_what_one_of_our_modules_would_change_is_named(tell: Callable[..., Told]) -> None:
    run = good()
    tasks = run["plays"][0]["tasks"]
    asked = {"invocation": {"module_args": {"files": [], "nodes": []}}}
    tasks[1]["hosts"][HOSTS[0]] = {"changed": True, "changed_paths": ["/etc/a", "/etc/b"], **asked}
    tasks[6]["hosts"][HOSTS[0]] = {"changed": True, "changed_nodes": ["m2"], **asked}
    _, _, report = tell(run)
    found = [item["found"] for item in report["findings"]]
    assert found == ["would change /etc/a, /etc/b", "would change m2"]


def without(run: dict[str, Any], name: str, host: str = "") -> dict[str, Any]:
    """Return a run in which a task was not run, or not on one machine."""
    run = copy.deepcopy(run)
    for play in run["plays"]:
        for task in play["tasks"]:
            if task["task"]["name"] == name:
                task["hosts"] = {
                    key: item for key, item in task["hosts"].items() if host and key != host
                }
    return run


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("Machines to look at", ""),
        ("Compare services, tasks and nodes", ""),
        *(
            (f"{role} : Packages", host)
            for role in ("common", "ssh", "firewall", "docker", "hardening", "swarm")
            for host in HOSTS
        ),
        *(("Compare containers", host) for host in HOSTS),
    ],
)
def test_a_part_that_was_not_run(tell: Callable[..., Told], name: str, host: str) -> None:
    code, printed, report = tell(without(good(), name, host))
    assert code == 1
    assert report["not_looked_at"]
    assert "not looked at: " in printed
    assert "drift: none" not in printed


def test_a_machine_that_does_not_answer(tell: Callable[..., Told]) -> None:
    run = good()
    for task in run["plays"][0]["tasks"][1:]:
        task["hosts"].pop(HOSTS[1], None)
    run["plays"][0]["tasks"][1]["hosts"][HOSTS[1]] = {"unreachable": True, "msg": "no route"}
    run["plays"][0]["tasks"][1]["hosts"][HOSTS[0]]["changed"] = True
    code, printed, report = tell(run, 4)
    # What differs elsewhere is told all the same.
    assert code == 1
    assert "not looked at: m2: common : Packages: no route" in printed
    assert len(report["findings"]) == 1


def test_a_failure_is_told_in_the_modules_words(tell: Callable[..., Told]) -> None:
    run = good()
    run["plays"][0]["tasks"][-1]["hosts"][HOSTS[0]] = {
        "action": "container_drift",
        "failed": True,
        "msg": "the containers could not be looked at: x",
    }
    code, printed, _ = tell(run, 2)
    assert code == 1
    assert "m1: Compare containers: the containers could not be looked at: x" in printed


@pytest.mark.parametrize("part", ["services", "nodes"])
def test_a_comparison_of_nothing_counts_for_nothing(tell: Callable[..., Told], part: str) -> None:
    run = good()
    run["plays"][0]["tasks"][-2]["hosts"][HOSTS[0]]["looked_at"][part] = 0
    assert tell(run)[0] == 1


def test_a_run_that_failed_without_a_word(tell: Callable[..., Told]) -> None:
    code, _, report = tell(good(), 250)
    assert code == 1
    assert report["not_looked_at"] == ["the run ended with exit code 250"]


@pytest.mark.parametrize(
    ("said", "errors", "told"),
    [
        ("", "", "the run said nothing"),
        ("", "a\nbeanft: no tools\n", "beanft: no tools"),
        ("{", "cut", "cut"),
    ],
)
def test_a_run_that_did_not_begin(
    tell: Callable[..., Told], said: str, errors: str, told: str
) -> None:
    code, printed, report = tell(said, 1, errors=errors)
    assert code == 1
    assert report["not_looked_at"] == [told]
    assert f"not looked at: {told}" in printed


def test_json_for_machines(tell: Callable[..., Told]) -> None:
    code, printed, report = tell(good(), form="json")
    assert code == 0
    assert json.loads(printed) == report

"""Judges a machine of the fleet, its containers and the files they are made by: see bin/audit-hosts.

Every finding has a tool and an id. One that is in ansible/audit-waivers.yml is let pass for the reason given there, and
is still counted in what a tool says by itself; a waiver that nothing needs is a finding, too.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
WAIVERS = ROOT / "ansible" / "audit-waivers.yml"
HERE = Path(__file__).resolve().parent
TOOLS = ("lynis", "openscap", "ssh-audit", "checkov", "containers")
INDEX, PERCENT = 85, 90
XCCDF = "{http://checklists.nist.gov/xccdf/1.2}"
RULE = "xccdf_org.ssgproject.content_rule_"
PROFILE = "xccdf_org.ssgproject.content_profile_anssi_bp28_"
Row = dict[str, object]


class AuditError(Exception):
    """A part could not be looked at; the message says which and why."""


@dataclass(frozen=True, order=True)
class Finding:
    """Something that a tool does not like."""

    tool: str
    id: str
    what: str = ""


@dataclass(frozen=True)
class Points:
    """What Lynis gave, of what it could have given, for one test."""

    test: str
    given: int
    possible: int


def row(name: str, value: float, unit: str, bound: float | None, holds: bool | None) -> Row:
    """Return a line of the report."""
    return {"name": name, "value": value, "unit": unit, "bound": bound, "holds": holds}


def waivers(text: str) -> dict[tuple[str, str], str]:
    """Return the reasons of waivers by tool and id.

    Raises:
        AuditError: one has no reason, is there twice, or is for a tool that there is not.
    """
    found: dict[tuple[str, str], str] = {}
    for item in yaml.safe_load(text) or []:
        key = (item.get("tool", ""), item.get("id", ""))
        if key[0] not in TOOLS or not key[1] or not item.get("reason"):
            raise AuditError(
                f"a waiver needs a tool ({', '.join(TOOLS)}), an id and a reason: {item}"
            )
        if key in found:
            raise AuditError(f"the waiver for {key[0]} {key[1]} is there twice")
        found[key] = item["reason"]
    return found


def covers(waiver: tuple[str, str], finding: Finding) -> bool:
    """Return whether a waiver is for a finding: for all of it, or for its first words."""
    tool, name = waiver
    return finding.tool == tool and (finding.id == name or finding.id.startswith(f"{name} "))


def split(
    findings: Iterable[Finding], reasons: Iterable[tuple[str, str]]
) -> tuple[list[Finding], list[tuple[str, str]]]:
    """Return the findings that no waiver covers, and the waivers that cover none."""
    found, waived = sorted(set(findings)), list(reasons)
    return (
        [finding for finding in found if not any(covers(each, finding) for each in waived)],
        [each for each in waived if not any(covers(each, finding) for finding in found)],
    )


def lynis_points(log: str) -> list[Points]:
    """Return the points of every test, of each sysctl key and each option of sshd, from Lynis' log."""
    found: list[Points] = []
    test = key = ""
    before = (0, 0)
    for line in log.splitlines():
        if begun := re.search(r"Performing test ID (\S+)", line):
            test, key = begun[1], ""
        elif tried := re.search(r"(?:sysctl key|Result: Option) (\S+)", line):
            key = f":{tried[1]}"
        elif given := re.search(r"Currently having (\d+) points \(out of (\d+)\)", line):
            now = (int(given[1]), int(given[2]))
            found.append(Points(test + key, now[0] - before[0], now[1] - before[1]))
            before = now
    return found


def lynis(
    log: str, report: str, reasons: Mapping[tuple[str, str], str]
) -> tuple[list[Row], list[Finding]]:
    """Return Lynis' own index, that of what is not waived, and the tests that lost points."""
    said = re.search(r"^hardening_index=(\d+)$", report, re.MULTILINE)
    points = lynis_points(log)
    if not said or not points:
        raise AuditError("lynis gave no hardening index")
    counted = [item for item in points if ("lynis", item.test) not in reasons]
    index = int(100 * sum(item.given for item in counted) / sum(item.possible for item in counted))
    suggestions: dict[str, str] = {}
    for line in re.findall(r"^(?:suggestion|warning)\[\]=(\S.*)$", report, re.MULTILINE):
        name, text = line.split("|")[:2]
        suggestions.setdefault(name, text)
    lost: dict[str, int] = {}
    for item in points:
        lost[item.test] = lost.get(item.test, 0) + item.possible - item.given
    findings = [
        Finding("lynis", test, f"{count} points: {suggestions.get(test.partition(':')[0], '')}")
        for test, count in lost.items()
        if count
    ]
    return [
        row("lynis hardening index", int(said[1]), "", None, None),
        row("lynis hardening index, less what is waived", index, "", INDEX, index >= INDEX),
    ], findings


def openscap(results: str, content: str) -> tuple[list[Row], list[Finding]]:
    """Return the share of applicable rules that pass, for both profiles, and those that fail."""
    tree = ElementTree.fromstring(results)  # noqa: S314 - the scanner's own output
    said = {
        str(result.get("idref")).removeprefix(RULE): str(result.findtext(f"{XCCDF}result"))
        for result in tree.iter(f"{XCCDF}rule-result")
    }
    titles = {
        str(rule.get("id")).removeprefix(RULE): str(rule.findtext(f"{XCCDF}title"))
        for rule in tree.iter(f"{XCCDF}Rule")
    }
    rows = []
    for profile in ("minimal", "intermediary"):
        chosen = {
            str(select.get("idref")).removeprefix(RULE)
            for each in tree.iter(f"{XCCDF}Profile")
            if each.get("id") == PROFILE + profile
            for select in each.iter(f"{XCCDF}select")
            if select.get("selected") == "true"
        }
        applicable = [
            name
            for name in chosen
            if said.get(name) in ("pass", "fixed", "fail", "error", "unknown")
        ]
        if not applicable:
            raise AuditError(
                f"openscap: no rule of ANSSI {profile} in {content} applies to this machine"
            )
        passed = [name for name in applicable if said[name] in ("pass", "fixed")]
        share = round(100 * len(passed) / len(applicable), 1)
        of = f"% of {len(applicable)} rules"
        rows.append(row(f"openscap ANSSI {profile}", share, of, PERCENT, share >= PERCENT))
    return rows, [
        Finding("openscap", name, titles.get(name, ""))
        for name, result in said.items()
        if result in ("fail", "error", "unknown")
    ]


def ssh_audit(report: Mapping[str, Any]) -> list[Finding]:
    """Return the algorithms that ssh-audit fails or warns of."""
    return [
        Finding("ssh-audit", str(item["algorithm"]), f"{kind} {level}: {'; '.join(words)}")
        for kind in ("kex", "key", "enc", "mac")
        for item in report.get(kind, [])
        for level, words in item.get("notes", {}).items()
        if level in ("fail", "warn")
    ]


def checkov(report: Mapping[str, Any], folder: str) -> tuple[int, list[Finding]]:
    """Return how many checks passed in a folder, and the others, each with its file."""
    if "results" not in report:
        raise AuditError(f"checkov looked at nothing in {folder}: {report}")
    if report["summary"]["parsing_errors"]:
        raise AuditError(f"checkov could not read a file in {folder}")
    return int(report["summary"]["passed"]), [
        Finding("checkov", f"{check['check_id']} {folder}{check['file_path']}", check["check_name"])
        for check in report["results"]["failed_checks"]
    ]


def containers(machine: str, facts: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Return what is wrong with the containers of a machine."""
    found = []
    for it in facts:
        wrong = {
            "root": it["uid"] == 0,
            "writable": not it["read_only"],
            "capabilities": int(it["capabilities"], 16) != 0,
            "new-privileges": not it["no_new_privileges"],
            "no-memory-limit": it["memory"] <= 0,
            "no-pids-limit": it["pids"] <= 0,
            "unhealthy": it["health"] != "healthy",
        }
        found += [
            Finding("containers", f"{it['name']} {what}", f"on {machine}: {dict(it)}")
            for what, is_so in wrong.items()
            if is_so
        ]
    return found


def run(*command: str, stdin: str | None = None, codes: tuple[int, ...] = (0,)) -> bytes:
    """Return what a command prints; what it says on stderr is part of an error."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        input=stdin.encode() if stdin is not None else None,
        capture_output=True,
        check=False,
    )
    if done.returncode not in codes:
        words = (done.stderr or done.stdout).decode(errors="replace").strip()[-800:]
        raise AuditError(f"{Path(command[0]).name} ended with {done.returncode}: {words}")
    return done.stdout


def machines() -> list[str]:
    """Return the names of the fleet's machines."""
    provider = os.environ["BEANFT_PROVIDER"]
    os.environ["ANSIBLE_CONFIG"] = str(ROOT / "ansible/ansible.cfg")
    listed = json.loads(run("ansible-inventory", "-i", f"ansible/inventories/{provider}", "--list"))
    return sorted(listed.get("machines", {}).get("hosts") or listed["_meta"]["hostvars"])


def judge_host(
    host: str, reasons: Mapping[tuple[str, str], str]
) -> tuple[list[Row], list[Finding]]:
    """Run Lynis and OpenSCAP on a machine."""
    script = (HERE / "audit_on_host.sh").read_text(encoding="utf-8")
    packed = run("bin/ssh", host, "sudo", "sh", "-s", stdin=script)
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        files = {
            member.name: content.read().decode(errors="replace")
            for member in archive
            if (content := archive.extractfile(member))
        }
    kept = ROOT / "build" / "audit"
    kept.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (kept / f"{host}-{Path(name).name}").write_text(text, encoding="utf-8")
    rows, findings = lynis(files["lynis.log"], files["lynis.dat"], reasons)
    more_rows, more = openscap(files["openscap.xml"], files["content"].strip())
    return rows + more_rows, findings + more


def judge_ssh(host: str) -> list[Finding]:
    """Ask a machine's SSH server what it offers."""
    options = run("python", "bin/inventory", "ssh", host).decode().splitlines()
    port, address = options[options.index("-p") + 1], options[-1].partition("@")[2]
    # 2 and 3: there are warnings or failures.
    said = run("ssh-audit", "--json", "--skip-rate-test", "-p", port, address, codes=(0, 2, 3))
    return ssh_audit(json.loads(said))


def judge_files() -> tuple[int, list[Finding]]:
    """Run checkov on the files that machines and containers are made by."""
    passed: int = 0
    findings: list[Finding] = []
    for folder, framework in (("docker", "dockerfile"), ("ansible", "ansible")):
        said = run(
            "build/checkov/bin/checkov", "--directory", folder, "--framework", framework,
            "--output", "json", "--compact", "--quiet", "--skip-download", "--soft-fail",
        )  # fmt: skip
        more, found = checkov(json.loads(said), folder)
        passed += more
        findings += found
    return passed, findings


def main(host: str) -> int:
    """Judge, print what is wrong, write the report."""
    try:
        reasons = waivers(WAIVERS.read_text(encoding="utf-8"))
        rows, findings = judge_host(host, reasons)
        ssh = judge_ssh(host)
        passed, files = judge_files()
        probe = (HERE / "audit_containers.py").read_text(encoding="utf-8")
        looked, inside = 0, []
        for name in machines():
            facts = json.loads(run("bin/ssh", name, "sudo", "python3", "-", stdin=probe))
            looked += len(facts)
            inside += containers(name.rsplit("-", 1)[-1], facts)
        if not looked:
            raise AuditError("no container runs: run 'make deploy' first")
    except AuditError as error:
        print(f"beanft: {error}", file=sys.stderr)
        return 1
    findings += [*ssh, *files, *inside]
    # Points are judged by their sum.
    left, unused = split(findings, reasons)
    count = {tool: sum(item.tool == tool for item in left) for tool in TOOLS}
    for finding in left:
        print(f"  {finding.tool:<11}{finding.id}  {finding.what}")
    for tool, name in unused:
        print(f"  waiver     {tool} {name}: nothing needs it any more")
    rows += [
        row(
            "openscap rules that fail and are not waived",
            count["openscap"],
            "",
            0,
            not count["openscap"],
        ),
        row("ssh-audit fails and warnings", count["ssh-audit"], "", 0, not count["ssh-audit"]),
        row("checkov checks passed", passed, "", None, None),
        row(
            "checkov checks that fail and are not waived",
            count["checkov"],
            "",
            0,
            not count["checkov"],
        ),
        row("containers looked at", looked, "", None, None),
        row("what is wrong with containers", count["containers"], "", 0, not count["containers"]),
        row("waivers", len(reasons), "", None, None),
        row("waivers that nothing needs", len(unused), "", 0, not unused),
    ]
    sys.stdout.flush()
    subprocess.run([str(ROOT / "bin/report"), "audit-hosts", *map(json.dumps, rows)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

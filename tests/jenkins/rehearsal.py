"""What a real Jenkins makes of the configuration and of the pipelines: see bin/jenkins-rehearsal.

rehearsal.py URL SECONDS    the controller's URL, and how long role jenkins took
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
import vault_file

ROOT = Path(__file__).resolve().parents[2]
STATE = Path(os.environ["BEANFT_STATE"])
MAIN = "/job/beanft/job/main"
READY_SECONDS = 120
# Minutes for what installs tools on a fresh agent.
BUILD_SECONDS = 1800
PIPELINES = ("Jenkinsfile", "jenkins/nightly.Jenkinsfile", "jenkins/weekly.Jenkinsfile")


class RehearsalProblem(Exception):  # noqa: N818 - what it says is the sentence for people
    """Jenkins does not do what it should."""


class Controller:
    """The controller's REST API, as the administrator."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.verify = str(STATE / "inside-ca.pem")
        secrets = vault_file.read(STATE / "vault.yml")["machine_secrets"]
        self.session.auth = ("admin", secrets["jenkins_admin_password"])

    def get(self, path: str) -> Any:
        """Return what the API says at a path."""
        answer = self.session.get(f"{self.url}{path}/api/json", timeout=60)
        answer.raise_for_status()
        return answer.json()

    def text(self, path: str) -> str:
        """Return what is at a path."""
        answer = self.session.get(f"{self.url}{path}", timeout=60)
        answer.raise_for_status()
        return answer.text

    def post(self, path: str, **fields: str) -> requests.Response:
        """Send a form."""
        crumb = self.get("/crumbIssuer")
        answer = self.session.post(
            f"{self.url}{path}",
            data=fields,
            headers={crumb["crumbRequestField"]: crumb["crumb"]},
            timeout=60,
            allow_redirects=False,
        )
        answer.raise_for_status()
        return answer

    def ended(self, number: int) -> tuple[str, str, float]:
        """Wait for a build of main, and return its result, its console, and its seconds."""
        build = wait(
            f"the end of build {number}",
            BUILD_SECONDS,
            lambda: None if (found := self.get(f"{MAIN}/{number}"))["building"] else found,
        )
        return (
            build["result"],
            self.text(f"{MAIN}/{number}/consoleText"),
            build["duration"] / 1000,
        )

    def build(self, **parameters: str) -> tuple[str, str, float]:
        """Build main with parameters, to the end."""
        queued = self.post(f"{MAIN}/buildWithParameters", **parameters).headers["Location"]
        place = "/" + queued.split("/", 3)[3].rstrip("/")
        number = wait(
            "a build's beginning",
            300,
            lambda: (self.get(place).get("executable") or {}).get("number"),
        )
        return self.ended(number)


def wait(what: str, seconds: int, look: Callable[[], Any]) -> Any:
    """Look until there is something, and return that."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := look():
                return found
        except requests.RequestException:
            pass
        time.sleep(2)
    raise RehearsalProblem(f"{what} did not come within {seconds} s")


def expect(holds: bool, sentence: str, console: str = "") -> None:
    """Refuse what is not so, with the end of a console."""
    if not holds:
        raise RehearsalProblem("\n".join([sentence, *console.splitlines()[-60:]]))


def rehearse(controller: Controller, seconds: int) -> list[dict[str, Any]]:
    """Do it all, and return the table."""
    rows = [row("controller ready", seconds, READY_SECONDS)]
    anonymous = requests.get(
        f"{controller.url}/api/json", verify=controller.session.verify, timeout=60
    )
    expect(anonymous.status_code == 403, f"anonymous gets {anonymous.status_code} and not 403")

    begun = time.monotonic()
    wait(
        "the agent",
        180,
        lambda: any(
            computer["displayName"].endswith("-m2") and not computer["offline"]
            for computer in controller.get("/computer")["computer"]
        ),
    )
    rows.append(row("agent is there", time.monotonic() - begun, 180))

    for name in PIPELINES:
        said = controller.post(
            "/pipeline-model-converter/validate", jenkinsfile=(ROOT / name).read_text()
        ).text
        expect("successfully validated" in said, f"{name} is not accepted: {said}")
    jobs = {job["name"] for job in controller.get("")["jobs"]}
    expect(jobs >= {"beanft", "beanft-nightly", "beanft-weekly"}, f"there are the jobs {jobs}")
    for name in ("nightly", "weekly"):
        clock = controller.text(f"/job/beanft-{name}/config.xml")
        expect("TimerTrigger" in clock, f"job beanft-{name} has no clock")

    # Indexing has started this one. It has no credential, and says so before anything that takes minutes.
    first = wait(
        "the first build of main", 300, lambda: controller.get(MAIN)["lastBuild"]["number"]
    )
    result, console, took = controller.ended(first)
    expect(result == "FAILURE", f"without credentials the first build is {result}", console)
    expect(
        'Stage "Credential of staging" did not succeed. Run it yourself: ' in console,
        "the first build does not say which stage failed",
        console,
    )
    rows.append(row("credential missing: red", took, 300))

    result, console, took = controller.build(VERSION="v999")
    expect(result == "FAILURE", f"VERSION=v999 is {result}", console)
    expect("VERSION='v999' does not exist" in console, "VERSION=v999 is not named", console)
    rows.append(row("unknown version: red", took, 60))

    result, console, took = controller.build(ACTION="updates", ENVIRONMENT="none")
    expect(result == "SUCCESS", f"ACTION=updates is {result}", console)
    last = controller.get(MAIN)["lastBuild"]["number"]
    kept = {item["relativePath"] for item in controller.get(f"{MAIN}/{last}")["artifacts"]}
    expect("build/reports/updates.json" in kept, f"kept is {kept}")
    rows.append(row("updates: green", took, BUILD_SECONDS))
    return rows


def row(name: str, seconds: float, bound: int) -> dict[str, Any]:
    """Return a row of the report."""
    return {
        "name": name,
        "value": round(seconds, 1),
        "unit": "s",
        "bound": bound,
        "holds": seconds <= bound,
    }


def main() -> None:
    """Rehearse, and print the table."""
    rows = rehearse(Controller(sys.argv[1]), int(sys.argv[2]))
    subprocess.run([ROOT / "bin/report", "jenkins-rehearsal", *map(json.dumps, rows)], check=True)


if __name__ == "__main__":
    try:
        main()
    except (RehearsalProblem, requests.RequestException) as problem:
        sys.exit(f"beanft: {problem}")

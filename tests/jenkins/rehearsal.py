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
from typing import Any, NamedTuple

import requests
import vault_file

ROOT = Path(__file__).resolve().parents[2]
STATE = Path(os.environ["BEANFT_STATE"])
MAIN = "/job/beanft/job/main"
READY_SECONDS = 120
# Of what says no before any tool is installed.
RED_SECONDS = 60
# Minutes for what installs tools on a fresh agent.
BUILD_SECONDS = 1800
PIPELINES = ("Jenkinsfile", "jenkins/nightly.Jenkinsfile", "jenkins/weekly.Jenkinsfile")
rows: list[dict[str, Any]] = []


class RehearsalProblem(Exception):  # noqa: N818 - what it says is the sentence for people
    """Jenkins does not do what it should."""


class Build(NamedTuple):
    """How a build ended."""

    number: int
    result: str
    console: str
    seconds: float


class Controller:
    """The controller's REST API, as the administrator."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        # An environment's REQUESTS_CA_BUNDLE would win.
        self.session.trust_env = False
        self.session.verify = str(STATE / "inside-ca.pem")
        secrets = vault_file.read(STATE / "vault.yml")["machine_secrets"]
        self.session.auth = ("admin", secrets["jenkins_admin_password"])

    def get(self, path: str, tree: str = "") -> Any:
        """Return what the API says at a path, or of that what a tree names."""
        answer = self.session.get(
            f"{self.url}{path}/api/json", params={"tree": tree} if tree else {}, timeout=60
        )
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
        return self.session.post(
            f"{self.url}{path}",
            data=fields,
            headers={crumb["crumbRequestField"]: crumb["crumb"]},
            timeout=60,
            allow_redirects=False,
        )

    def start(self, job: str, **parameters: str) -> int:
        """Start a build, and return its number."""
        answer = self.post(
            f"{job}/{'buildWithParameters' if parameters else 'build'}", **parameters
        )
        answer.raise_for_status()
        place = "/" + answer.headers["Location"].split("/", 3)[3].rstrip("/")
        number = wait("a build's beginning", 300, lambda: self.get(place)["executable"]["number"])
        return int(number)

    def ended(self, number: int, job: str = MAIN) -> Build:
        """Wait for a build's end."""
        build = wait(
            f"the end of build {number}",
            BUILD_SECONDS,
            lambda: None if (found := self.get(f"{job}/{number}"))["building"] else found,
        )
        console = self.text(f"{job}/{number}/consoleText")
        return Build(number, build["result"], console, build["duration"] / 1000)

    def build(self, **parameters: str) -> Build:
        """Build main with parameters, to the end."""
        return self.ended(self.start(MAIN, **parameters))


def wait(what: str, seconds: int, look: Callable[[], Any]) -> Any:
    """Look until there is something, and return that."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if found := look():
                return found
        # Not there yet, or not all of it.
        except (requests.RequestException, KeyError, TypeError):
            pass
        time.sleep(2)
    raise RehearsalProblem(f"{what} did not come within {seconds} s")


def expect(holds: bool, sentence: str, console: str = "") -> None:
    """Refuse what is not so, with the end of a console."""
    if not holds:
        raise RehearsalProblem("\n".join([sentence, *console.splitlines()[-60:]]))


def note(name: str, seconds: float, bound: int | None) -> None:
    """Add a row to the table."""
    held = bound is None or seconds <= bound
    row = {"name": name, "value": round(seconds, 1), "unit": "s", "bound": bound, "holds": held}
    rows.append(row)
    print(f"  {name}: {seconds:.1f} s", flush=True)


def restart(controller: Controller) -> None:
    """A controller is ready soon after its start."""
    begun = time.monotonic()
    machine = f"{os.environ['BEANFT_CHECKOUT']}-jenkins-m1"
    subprocess.run(["docker", "exec", machine, "systemctl", "restart", "jenkins"], check=True)
    wait("the controller", 2 * READY_SECONDS, lambda: controller.get("", "mode"))
    note("controller ready after a restart", time.monotonic() - begun, READY_SECONDS)


def look_at_controller(controller: Controller) -> None:
    """Its configuration is in force: nobody comes in without a name, the agent is there, jobs and their clocks are."""
    for path in ("/", "/api/json", "/job/beanft/", "/script", "/computer/"):
        anonymous = requests.get(
            f"{controller.url}{path}",
            verify=controller.session.verify,
            timeout=60,
            allow_redirects=False,
        )
        expect(
            anonymous.status_code == 403,
            f"anonymous gets {anonymous.status_code} of {path}, not 403",
        )
    said = controller.get("", "numExecutors,slaveAgentPort,useSecurity,mode,jobs[name]")
    expect(said["useSecurity"] is True, "there is no security")
    expect(said["numExecutors"] == 0, f"the controller has {said['numExecutors']} executors")
    expect(said["slaveAgentPort"] == -1, f"agents may call in at {said['slaveAgentPort']}")
    jobs = {job["name"] for job in said["jobs"]}
    expect(jobs == {"beanft", "beanft-nightly", "beanft-weekly"}, f"there are the jobs {jobs}")
    for name in ("nightly", "weekly"):
        clock = controller.text(f"/job/beanft-{name}/config.xml")
        expect("TimerTrigger" in clock, f"job beanft-{name} has no clock")
    failed = [
        plugin["shortName"]
        for plugin in controller.get("/pluginManager", "plugins[shortName,active]")["plugins"]
        if not plugin["active"]
    ]
    expect(not failed, f"plugins did not start: {', '.join(failed)}")
    for name in PIPELINES:
        answer = controller.post(
            "/pipeline-model-converter/validate", jenkinsfile=(ROOT / name).read_text()
        ).text
        expect("successfully validated" in answer, f"{name} is not accepted: {answer}")
    begun = time.monotonic()
    wait(
        "the agent",
        180,
        lambda: any(
            computer["displayName"].endswith("-m2") and not computer["offline"]
            for computer in controller.get("/computer")["computer"]
        ),
    )
    note("agent is there, by SSH", time.monotonic() - begun, 180)


def refuse(controller: Controller) -> None:
    """What can't be done ends red, within seconds and with a sentence; indexing has started the first of them."""
    wait("the first build of main", 300, lambda: controller.get(f"{MAIN}/1"))
    first = controller.ended(1)
    expect(first.result == "FAILURE", f"the first build is {first.result}", first.console)
    expect(
        'Stage "Credential of staging" did not succeed. Run it yourself: ' in first.console,
        "the first build does not say which stage failed",
        first.console,
    )
    note("found by indexing; credential missing: red", first.seconds, 300)
    for parameters, words in (
        ({"VERSION": "v999"}, "VERSION='v999' does not exist"),
        ({"ACTION": "drift", "ENVIRONMENT": "none"}, "ACTION=drift is done to an environment"),
        ({"ACTION": "rollback", "VERSION": "x"}, "VERSION='x' with ACTION=rollback is the number"),
    ):
        build = controller.build(**parameters)
        asked = " ".join(f"{name}={value}" for name, value in parameters.items())
        expect(build.result == "FAILURE", f"{asked} is {build.result}", build.console)
        expect(words in build.console, f"{asked} is refused without a sentence", build.console)
        expect("tools:" not in build.console, f"{asked} installs tools", build.console)
        note(f"{asked}: red", build.seconds, RED_SECONDS)
    answer = controller.post(f"{MAIN}/buildWithParameters", ENVIRONMENT="moon")
    expect(answer.status_code >= 400, f"ENVIRONMENT=moon is taken: {answer.status_code}")


def abort(controller: Controller) -> None:
    """An aborted build says so, and holds nobody up."""
    number = controller.start(MAIN, ACTION="updates", ENVIRONMENT="none")
    wait(
        "the stage Updates",
        300,
        lambda: "make updates" in controller.text(f"{MAIN}/{number}/consoleText"),
    )
    begun = time.monotonic()
    controller.post(f"{MAIN}/{number}/stop").raise_for_status()
    build = controller.ended(number)
    expect(build.result == "ABORTED", f"the aborted build is {build.result}", build.console)
    expect(
        "down-tests: no machine of a test is left" in build.console,
        "the aborted build does not clean up",
        build.console,
    )
    note("abort: ended and cleaned up", time.monotonic() - begun, RED_SECONDS)


def succeed(controller: Controller) -> None:
    """What needs no environment runs to its green end, and its report is kept."""
    build = controller.build(ACTION="updates", ENVIRONMENT="none")
    expect(build.result == "SUCCESS", f"ACTION=updates is {build.result}", build.console)
    kept = controller.get(f"{MAIN}/{build.number}")["artifacts"]
    expect(
        "build/reports/updates.json" in {item["relativePath"] for item in kept}, f"kept is {kept}"
    )
    note("ACTION=updates: green", build.seconds, BUILD_SECONDS)


def operate(controller: Controller) -> None:
    """With the state of a staging as a credential: drift and backup."""
    subprocess.run([ROOT / "tests/jenkins/staging", "make"], cwd=ROOT, check=True)
    given = {"jenkins_credential_files": {"beanft-staging": str(ROOT / ".local/staging.state")}}
    subprocess.run(
        [
            ROOT / "bin/jenkins",
            "--extra-vars",
            f"@{STATE}/rehearsal.yml",
            "--extra-vars",
            json.dumps(given),
            "--tags",
            "always,jenkins",
        ],
        cwd=ROOT,
        check=True,
    )
    for action in ("drift", "backup"):
        act_at_staging(controller, f"ACTION={action}", ACTION=action)


def act_at_staging(controller: Controller, name: str, **parameters: str) -> None:
    """Do something to staging, and see that its state was there and is gone again."""
    build = controller.build(ENVIRONMENT="staging", **parameters)
    expect(build.result == "SUCCESS", f"{name} is {build.result}", build.console)
    expect("state: of ENV=staging" in build.console, "no state was loaded", build.console)
    expect("removed from this machine" in build.console, "the state stays there", build.console)
    note(f"{name} at staging: green", build.seconds, BUILD_SECONDS)


def deploy(controller: Controller) -> None:
    """A commit is deployed again, to staging: built on the agent, switched, asked what a visitor would."""
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip()
    act_at_staging(controller, "deploy of a VERSION", VERSION=commit)


def pass_a_night(controller: Controller) -> None:
    """The nightly job looks at both environments, also where one is not as it should be."""
    before = controller.get(MAIN)["lastBuild"]["number"]
    begun = time.monotonic()
    job = "/job/beanft-nightly"
    number = controller.start(job)
    # The fifth is the restore test, which takes an hour.
    wait(
        "the fifth build of the night",
        BUILD_SECONDS,
        lambda: controller.get(MAIN)["lastBuild"]["number"] == before + 5,
    )
    took = time.monotonic() - begun
    ends = [controller.ended(before + turn).result for turn in range(1, 5)]
    expect(
        ends == ["SUCCESS", "FAILURE", "SUCCESS", "FAILURE"],
        f"drift and backup of staging and of a production without credential are {ends}",
    )
    for place in (f"{job}/{number}", f"{MAIN}/{before + 5}"):
        controller.post(f"{place}/stop").raise_for_status()
    night = controller.ended(number, job)
    expect(night.result in {"FAILURE", "ABORTED"}, f"the night is {night.result}", night.console)
    controller.ended(before + 5)
    note("nightly: drift and backup of both environments", took, None)


def main() -> None:
    """Rehearse, and print the table, also of what came before a problem."""
    controller = Controller(sys.argv[1])
    note("controller and agent from the playbook", int(sys.argv[2]), None)
    try:
        for part in (
            restart,
            look_at_controller,
            refuse,
            abort,
            succeed,
            operate,
            pass_a_night,
            deploy,
        ):
            part(controller)
    finally:
        subprocess.run(
            [ROOT / "bin/report", "jenkins-rehearsal", *map(json.dumps, rows)], check=True
        )


if __name__ == "__main__":
    try:
        main()
    except (RehearsalProblem, requests.RequestException, subprocess.CalledProcessError) as problem:
        sys.exit(f"beanft: {problem}")

"""What a real Jenkins makes of the configuration and of the pipelines: see bin/jenkins-rehearsal.

rehearsal.py URL SECONDS    the controller's URL, and how long role jenkins took

PARTS="look refuse" does these parts alone, on what an earlier run with KEEP=1 has left.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import requests
import vault_file

ROOT = Path(__file__).resolve().parents[2]
STATE = Path(os.environ["BEANFT_STATE"])
CHECKOUT = os.environ["BEANFT_CHECKOUT"]
JOB = "/job/beanft"
MAIN = f"{JOB}/job/main"
CONTROLLER, AGENT = f"{CHECKOUT}-jenkins-m1", f"{CHECKOUT}-jenkins-m2"
FLEETS = ("staging", "production")
PIPELINES = ("Jenkinsfile", "jenkins/nightly.Jenkinsfile", "jenkins/weekly.Jenkinsfile")
READY_SECONDS = 120
# Of what says no before any tool is installed.
RED_SECONDS = 60
# Waits, which say nothing about what is good: other work on the machine makes all of it slower.
BUILD_SECONDS = 3600
# Pages fail, and the site is ready all the same.
BROKEN = """

_create_web = create_web


def create_web(settings: Settings) -> Flask:
    from flask import abort, request

    app = _create_web(settings)
    quiet = ("/readyz", "/healthz", "/version")
    app.before_request(lambda: None if request.path in quiet else abort(500))
    return app
"""
NEVER_READY = """

Readiness.check = lambda self: Failing("never", "not ready on purpose")
"""


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

    def read(self, path: str, **parameters: str) -> requests.Response:
        """Return the answer at a path."""
        answer = self.session.get(f"{self.url}{path}", params=parameters, timeout=60)
        answer.raise_for_status()
        return answer

    def get(self, path: str, tree: str = "") -> Any:
        """Return what the API says at a path, or of that what a tree names."""
        return self.read(f"{path}/api/json", **({"tree": tree} if tree else {})).json()

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

    def console(self, number: int, job: str = MAIN) -> str:
        """Return what a build has said so far."""
        return self.read(f"{job}/{number}/consoleText").text

    def says(self, number: int, words: str) -> None:
        """Wait until a build says something."""

        def look() -> bool:
            # In this order: what it said last counts, too.
            over = not self.get(f"{MAIN}/{number}", "building")["building"]
            console = self.console(number)
            expect(words in console or not over, f"build {number} ended without '{words}'", console)
            return words in console

        wait(f"'{words}' in build {number}", BUILD_SECONDS, look)

    def stop(self, number: int, job: str = MAIN) -> None:
        """Abort a build."""
        self.post(f"{job}/{number}/stop").raise_for_status()

    def ended(self, number: int, job: str = MAIN) -> Build:
        """Wait for a build's end."""
        build = wait(
            f"the end of build {number}",
            BUILD_SECONDS,
            lambda: None if (found := self.get(f"{job}/{number}"))["building"] else found,
        )
        console = self.console(number, job)
        return Build(number, build["result"], console, build["duration"] / 1000)

    def stages(self, number: int, job: str = MAIN) -> dict[str, float]:
        """Return the seconds of a build's stages, up to one that did not succeed."""
        seconds = {}
        for stage in self.read(f"{job}/{number}/wfapi/describe").json()["stages"]:
            # Those that are skipped take a moment, too.
            if stage["status"] != "NOT_EXECUTED" and stage["durationMillis"] >= 1000:
                seconds[stage["name"]] = stage["durationMillis"] / 1000
                if stage["status"] in {"FAILED", "ABORTED"}:
                    break
        return seconds

    def approve(self, number: int) -> None:
        """Wait for a build's question, and say yes to it."""

        def look() -> Any:
            asked = self.read(f"{MAIN}/{number}/wfapi/pendingInputActions").json()
            if not asked and not self.get(f"{MAIN}/{number}", "building")["building"]:
                expect(False, f"build {number} asked nothing", self.console(number))
            return asked

        asked = wait(f"the question of build {number}", BUILD_SECONDS, look)
        expect(len(asked) == 1, f"build {number} asks {len(asked)} questions")
        print(f"  build {number} asks: {asked[0]['message']}", flush=True)
        answer = asked[0]["abortUrl"].removesuffix("abort") + "proceedEmpty"
        self.post(answer).raise_for_status()


class Story:
    """One rehearsal: the controller, the commits that its builds deploy, and the table."""

    def __init__(self, url: str, seconds: int) -> None:
        self.controller = Controller(url)
        self.rows: list[dict[str, Any]] = []
        self.note("controller and agent from the playbook", seconds)

    @cached_property
    def commits(self) -> dict[str, str]:
        """Return the commits of main, by what they are; the same ones whenever this commit is rehearsed.

        "old" is this commit; the pipeline is the same in all of them.
        """
        path = ROOT / "build/rehearsal"
        if path.exists():
            shutil.rmtree(path)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(path)], check=True)
        when = git("log", "-1", "--format=%cI", path=path)
        made = {"old": git("rev-parse", "HEAD", path=path)}
        good = {"app/beanft/__init__.py": "\n# Another version.\n"}
        for name, changes in (
            ("new", good),
            ("broken", {"app/beanft/wsgi.py": BROKEN}),
            ("unready", {"app/beanft/health/service.py": NEVER_READY}),
            ("tip", {}),
        ):
            if name != "new":
                git("checkout", "--quiet", made["new"], "--", ".", path=path)
            for file, addition in changes.items():
                (path / file).write_text((path / file).read_text() + addition)
            identity = ["-c", "user.name=rehearsal", "-c", "user.email=rehearsal@beanft.invalid"]
            message = ["--all", "--quiet", "--allow-empty", "--message", f"Rehearsal: {name}"]
            git(
                *identity,
                "commit",
                *message,
                path=path,
                GIT_AUTHOR_DATE=when,
                GIT_COMMITTER_DATE=when,
            )
            made[name] = git("rev-parse", "HEAD", path=path)
        return made

    def note(self, name: str, seconds: float, bound: int | None = None, **more: Any) -> None:
        """Add a row to the table."""
        held = bound is None or seconds <= bound
        row = {"name": name, "value": round(seconds, 1), "unit": "s", "bound": bound, "holds": held}
        self.rows.append({**row, **more})
        print(f"  {name}: {seconds:.1f} s", flush=True)

    def called(self, revision: str) -> str:
        """Return what a served revision is here."""
        names = [name for name, commit in self.commits.items() if commit.startswith(revision)]
        return (names or [revision])[0] if revision else "-"

    def concluded(self, what: str, build: Build, result: str, bound: int | None = None) -> Build:
        """Expect a build's result, and add it to the table with what the fleets serve and its stages."""
        expect(build.result == result, f"{what} is {build.result}, not {result}", build.console)
        where = {name: self.called(served(name)) for name in FLEETS}
        self.note(
            f"#{build.number} {what}",
            build.seconds,
            bound,
            result=build.result,
            stages=self.controller.stages(build.number),
            **where,
        )
        return build

    def build(self, what: str, result: str, bound: int | None = None, **parameters: str) -> Build:
        """Build main with parameters, to the end that is expected."""
        number = self.controller.start(MAIN, **parameters)
        return self.concluded(what, self.controller.ended(number), result, bound)

    def serve(self, staging: str, production: str) -> None:
        """Expect which commits the fleets serve."""
        found = {name: self.called(served(name)) for name in FLEETS}
        wanted = {"staging": staging, "production": production}
        expect(found == wanted, f"served is {found}, not {wanted}")

    def table(self) -> str:
        """Return the builds with their results, what was served after each, and the seconds of the stages."""
        lines = [("build", "result", "staging", "production", "seconds", "stages")]
        for row in self.rows:
            stages = ", ".join(f"{name} {took:.0f}" for name, took in row.get("stages", {}).items())
            ends = [str(row.get(key, "")) for key in ("result", "staging", "production")]
            lines.append((row["name"], *ends, f"{row['value']:.0f}", stages))
        widths = [max(len(line[column]) for line in lines) for column in range(5)]
        return "\n".join(
            "  ".join(
                [*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[5]]
            ).rstrip()
            for line in lines
        )


def git(*arguments: str, path: Path = ROOT, **environment: str) -> str:
    """Run git and return what it printed."""
    return subprocess.run(
        ["git", *arguments],
        cwd=path,
        env={**os.environ, "GIT_CONFIG_VALUE_0": "*", **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def docker(*arguments: str) -> str:
    """Run docker and return what it printed."""
    done = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def served(fleet: str) -> str:
    """Return the revision that a fleet serves, or '' where there is none or nothing yet."""
    machine = f"{CHECKOUT}-{fleet}-m1"
    if not docker("ps", "--quiet", "--filter", f"name=^{machine}$"):
        return ""
    port = docker("inspect", "--format", '{{index .Config.Labels "beanft.port.http"}}', machine)
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.get(f"http://127.0.0.1:{port}/version", timeout=30)
        except requests.ConnectionError:
            return ""
    return str(answer.json()["revision"]) if answer.ok else str(answer.status_code)


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


def configure(*credentials: str) -> None:
    """Give the controller the states of fleets as credentials, and take others away."""
    files = {f"beanft-{name}": str(ROOT / f".local/{name}.state") for name in credentials}
    extra = json.dumps({"jenkins_credential_files": files})
    options = ["--extra-vars", f"@{STATE}/rehearsal.yml", "--extra-vars", extra]
    command = [str(ROOT / "bin/jenkins"), *options, "--tags", "always,jenkins"]
    subprocess.run(command, cwd=ROOT, check=True)


def look(story: Story) -> None:
    """Its configuration is in force: nobody comes in without a name, the agent is there, jobs and their clocks are."""
    controller = story.controller
    begun = time.monotonic()
    docker("exec", CONTROLLER, "systemctl", "restart", "jenkins")
    wait("the controller", 3 * READY_SECONDS, lambda: controller.get("", "mode"))
    story.note("controller ready after a restart", time.monotonic() - begun, READY_SECONDS)
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
    code = controller.post("/configuration-as-code/export").text
    for key in ("globalMatrix:", "allowsSignup: false", "manuallyProvidedKeyVerificationStrategy:"):
        expect(key in code, f"the configuration in force has no '{key}'", code)
    jobs = {job["name"] for job in said["jobs"]}
    expect(jobs == {"beanft", "beanft-nightly", "beanft-weekly"}, f"there are the jobs {jobs}")
    for name in ("nightly", "weekly"):
        clock = controller.read(f"/job/beanft-{name}/config.xml").text
        expect("TimerTrigger" in clock, f"job beanft-{name} has no clock")
    plugins = controller.get("/pluginManager", "plugins[shortName,active]")["plugins"]
    failed = [plugin["shortName"] for plugin in plugins if not plugin["active"]]
    expect(not failed, f"plugins did not start: {', '.join(failed)}")
    print(f"  {len(plugins)} plugins are active", flush=True)
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
    story.note("agent is there, by SSH", time.monotonic() - begun, 180)


def push(story: Story) -> None:
    """What is pushed is found, and its build ends at once where a credential is missing."""
    controller = story.controller
    git(
        "push",
        "--quiet",
        "--force",
        os.environ["REHEARSAL_REMOTE"],
        f"{story.commits['tip']}:refs/heads/main",
        path=ROOT / "build/rehearsal",
    )
    begun = time.monotonic()

    def found() -> int | None:
        # Nothing but the push says so: the job looks at its repository by itself, every minute.
        for build in controller.get(MAIN, "builds[number,actions[lastBuiltRevision[SHA1]]]")[
            "builds"
        ]:
            for action in build["actions"]:
                if action.get("lastBuiltRevision", {}).get("SHA1") == story.commits["tip"]:
                    return int(build["number"])
        return None

    number = wait("a build of what was pushed", 600, found)
    story.note("found by itself after a push", time.monotonic() - begun, 180)
    build = controller.ended(number)
    expect(
        'Stage "Credential of staging" did not succeed. Run it yourself: ' in build.console,
        "the first build does not say which stage failed",
        build.console,
    )
    story.concluded("push; credential missing", build, "FAILURE", RED_SECONDS)


def refuse(story: Story) -> None:
    """What can't be done ends red, within seconds and with a sentence."""
    controller = story.controller
    for parameters, words in (
        ({"VERSION": "v999"}, "VERSION='v999' does not exist"),
        ({"ACTION": "drift", "ENVIRONMENT": "none"}, "ACTION=drift is done to an environment"),
        ({"ACTION": "rollback", "VERSION": "x"}, "VERSION='x' with ACTION=rollback is the number"),
    ):
        asked = " ".join(f"{name}={value}" for name, value in parameters.items())
        build = story.build(asked, "FAILURE", RED_SECONDS, **parameters)
        expect(words in build.console, f"{asked} is refused without a sentence", build.console)
        expect("tools:" not in build.console, f"{asked} installs tools", build.console)
    answer = controller.post(f"{MAIN}/buildWithParameters", ENVIRONMENT="moon")
    expect(answer.status_code >= 400, f"ENVIRONMENT=moon is taken: {answer.status_code}")
    units = ["docker.socket", "docker.service"]
    docker("exec", AGENT, "systemctl", "stop", *units)
    try:
        build = story.build("agent without Docker", "FAILURE", RED_SECONDS, ENVIRONMENT="none")
    finally:
        docker("exec", AGENT, "systemctl", "start", *units)
    expect("no Docker engine answers on" in build.console, "no sentence says so", build.console)
    expect("tools:" not in build.console, "an agent without Docker gets tools", build.console)


def update(story: Story) -> None:
    """What needs no environment: aborted it cleans up, and else runs to its green end and keeps its report."""
    controller = story.controller
    asked = {"ACTION": "updates", "ENVIRONMENT": "none"}
    number = controller.start(MAIN, **asked)
    controller.says(number, "make updates")
    begun = time.monotonic()
    controller.stop(number)
    build = story.concluded("ACTION=updates, aborted", controller.ended(number), "ABORTED")
    expect(
        "down-tests: no machine of a test is left" in build.console,
        "the aborted build does not clean up",
        build.console,
    )
    story.note("from abort to end", time.monotonic() - begun, RED_SECONDS)
    build = story.build("ACTION=updates", "SUCCESS", **asked)
    kept = controller.get(f"{MAIN}/{build.number}")["artifacts"]
    names = {item["relativePath"] for item in kept}
    expect("build/reports/updates.json" in names, f"kept is {names}")


def fleets(story: Story) -> None:
    """Two machines that have no release yet, and their states as credentials of the controller."""
    begun = time.monotonic()
    for name in FLEETS:
        subprocess.run([ROOT / "tests/jenkins/fleet", "make", name], cwd=ROOT, check=True)
    story.note("machines of staging and production", time.monotonic() - begun)
    configure(*FLEETS)


def has_state(build: Build) -> None:
    """Expect that a build had the state of an environment for as long as it needed that."""
    expect("state: of ENV=" in build.console, "no state was loaded", build.console)
    expect("removed from this machine" in build.console, "the state stays there", build.console)


def deploy(story: Story, name: str = "old") -> None:
    """A commit goes to staging, is approved, and goes to production."""
    controller = story.controller
    before = story.called(served("production"))
    number = controller.start(MAIN, VERSION=story.commits[name])
    controller.approve(number)
    story.serve(name, before)
    build = controller.ended(number)
    story.concluded(f"{name}, approved", build, "SUCCESS")
    has_state(build)
    expect("Approved by admin" in build.console, "nobody approved", build.console)
    story.serve(name, name)


def operate(story: Story) -> None:
    """Plan, drift, backup, and a deploy as a rehearsal: nothing changes."""
    for action, fleet in (("plan", "production"), ("drift", "staging"), ("backup", "staging")):
        asked = {"ACTION": action, "ENVIRONMENT": fleet}
        has_state(story.build(f"{action} {fleet}", "SUCCESS", **asked))
    asked = {"VERSION": story.commits["new"], "DRY_RUN": "true"}
    build = story.build("new, DRY_RUN", "SUCCESS", **asked)
    has_state(build)
    stages = story.controller.stages(build.number)
    for name in FLEETS:
        expect(f"Plan for {name}" in stages, f"there is no plan for {name}", build.console)
    story.serve("old", "old")


def fail(story: Story) -> None:
    """What is broken ends in staging, which goes back by itself: pages that fail, and what is never ready."""
    production = story.called(served("production"))
    for name, why in (("broken", "requests failed"), ("unready", "did not get there")):
        build = story.build(name, "FAILURE", VERSION=story.commits[name])
        expect('Stage "Staging" did not succeed' in build.console, "not in staging", build.console)
        expect(why in build.console, "the deploy does not say why", build.console)
        expect("serves again" in build.console, "it does not go back by itself", build.console)
        story.serve("old", production)


def abort(story: Story) -> None:
    """A deploy is aborted in the middle; its lock ends by itself, the next goes on to production, staging goes back."""
    controller = story.controller
    production = story.called(served("production"))
    number = controller.start(MAIN, VERSION=story.commits["new"])
    controller.says(number, "Entry and switch")
    begun = time.monotonic()
    controller.stop(number)
    build = controller.ended(number)
    took = time.monotonic() - begun
    story.concluded("new, aborted in the switch", build, "ABORTED")
    has_state(build)
    expect(story.called(served("production")) == production, "production is not as it was")
    story.note("from abort to end", took, RED_SECONDS)
    deploy(story, "new")
    back = {"ACTION": "rollback", "ENVIRONMENT": "staging"}
    has_state(story.build("rollback of staging", "SUCCESS", **back))
    story.serve("old", "new")


def start_by_clock(story: Story, job: str, done: list[str], long: str) -> None:
    """Start a job that builds main some times, and abort the last of those, which takes hours."""
    controller = story.controller
    begun = time.monotonic()
    number = controller.start(f"/job/{job}")

    def builds() -> list[int]:
        """Return those that it has begun, and not what the clock has meanwhile."""
        tree = "builds[number,actions[causes[upstreamProject,upstreamBuild]]]"
        return sorted(
            build["number"]
            for build in controller.get(MAIN, tree)["builds"]
            for action in build["actions"]
            for cause in action.get("causes", [])
            if (cause.get("upstreamProject"), cause.get("upstreamBuild")) == (job, number)
        )

    count = len(done) + 1
    *short, last = wait(
        f"build {count} of {job}",
        2 * BUILD_SECONDS,
        lambda: found if len(found := builds()) == count else None,
    )
    took = time.monotonic() - begun
    found = [controller.ended(build).result for build in short]
    controller.says(last, long)
    # Its own end first: it would go on with what comes after.
    controller.stop(number, f"/job/{job}")
    night = controller.ended(number, f"/job/{job}")
    controller.stop(last)
    build = controller.ended(last)
    expect(build.result == "ABORTED", f"{long} is {build.result}", build.console)
    expect(set(found) <= {"SUCCESS"}, f"{', '.join(done)} are {found}", night.console)
    story.note(f"{job}: {', '.join(done)}; began {long}", took)


def pass_a_night(story: Story) -> None:
    """The nightly job looks at both environments, and the weekly one begins; what takes hours is aborted."""
    night = [f"{action} {fleet}" for action in ("drift", "backup") for fleet in FLEETS]
    start_by_clock(story, "beanft-nightly", night, "make test-restore")
    start_by_clock(story, "beanft-weekly", [], "make test FULL=1")


PARTS = (look, push, refuse, update, fleets, deploy, operate, fail, abort, pass_a_night)


def main() -> None:
    """Rehearse, and print the table, also of what came before a problem."""
    asked = os.environ.get("PARTS", "").split()
    parts = [part for part in PARTS if not asked or part.__name__ in asked]
    story = Story(sys.argv[1], int(sys.argv[2]))
    try:
        for part in parts:
            print(f"\n== {part.__name__}", flush=True)
            part(story)
    finally:
        report = [ROOT / "bin/report", "jenkins-rehearsal", *map(json.dumps, story.rows)]
        subprocess.run(report, check=True, stdout=subprocess.DEVNULL)
        print(f"\n{story.table()}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except (RehearsalProblem, requests.RequestException, subprocess.CalledProcessError) as problem:
        sys.exit(f"beanft: {problem}")

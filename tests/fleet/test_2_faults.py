"""What a deploy promises, while things go wrong: no request lost, no acknowledged write lost, one version at the end.

Each fault is done to a fleet of three under load, and is a row of the table that ends the run. `FULL=1` does all of
them; without it, those that stand for a kind each. Order matters little: every fault begins and ends with a fleet that
serves one version, and on which a deploy finds nothing to do (looked at after each with `FULL=1`, else after the last).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.fleet.checkout import Checkout
from tests.fleet.fleet import Fleet, docker
from tests.fleet.load import Account, Load, report

FULL = os.environ.get("FULL", "") not in ("", "0")
GAP_SECONDS = 1.0
DEAD_GAP_SECONDS = 3.0
BROKEN_START = "\nraise SystemExit('broken on purpose')\n"
NEVER_READY = """

Readiness.check = lambda self: Failing("never", "not ready on purpose")
"""
FAILS_LATER = """

_create_web = create_web


def create_web(settings: Settings) -> Flask:
    import time

    from flask import abort, request

    app = _create_web(settings)
    started = time.monotonic()

    def fail() -> None:
        if time.monotonic() - started > 6 and request.path not in ("/readyz", "/healthz"):
            abort(500)

    app.before_request(fail)
    return app
"""
WRONG_LABELS = """

_right = OnnxModel.predict


def _wrong(self, *arguments, **values):
    answer = _right(self, *arguments, **values)
    answer.labels[:] = answer.labels[::-1]
    return answer


OnnxModel.predict = _wrong
"""
FAILING_MIGRATION = '''"""A migration that fails."""

import sqlalchemy as sa
from alembic import op

revision = "0099"
down_revision = "{head}"
phase = "expand"


def upgrade() -> None:
    op.add_column("users", sa.Column("half_way", sa.Integer(), nullable=True))
    raise RuntimeError("a migration that fails on purpose")


def downgrade() -> None:
    op.drop_column("users", "half_way")
'''


@dataclass
class Story:
    """One fault: what is done, under which load, and what may fail."""

    fleet: Fleet
    load: Load
    revision: str
    """What has to be served at the end."""
    may_fail: int = 0
    may_lose: int = 0
    gap: float = GAP_SECONDS
    notes: list[str] = field(default_factory=list)

    @property
    def checkout(self) -> Checkout:
        """The fleet's checkout."""
        return self.fleet.checkout

    def new_version(self, addition: str = "", path: str = "app/beanft/__init__.py") -> str:
        """Commit a change; return its revision."""
        return self.checkout.change(path, addition or f"\n# {time.time_ns()}\n", "Change")

    def revert(self) -> None:
        """Take the last commit back."""
        self.checkout.git("reset", "--quiet", "--hard", "HEAD~1")


Fault = Callable[[Story], None]
FAULTS: dict[str, Fault] = {}
SHORT: set[str] = set()


def fault(name: str, *, short: bool = False) -> Callable[[Fault], Fault]:
    """Enter a function into the table of faults."""

    def enter(function: Fault) -> Fault:
        FAULTS[name] = function
        if short:
            SHORT.add(name)
        return function

    return enter


# ---------------------------------------------------------------- versions
@fault("deploy")
def deploy(story: Story) -> None:
    story.revision = story.new_version()
    story.checkout.make_target("deploy")


@fault("rollback", short=True)
def rollback(story: Story) -> None:
    before = story.revision
    story.new_version()
    story.checkout.make_target("deploy")
    story.checkout.make_target("rollback")
    story.revision = before
    story.revert()


def broken(story: Story, addition: str, path: str, said: str) -> None:
    """Deploy a version that can't serve; the one before has to go on."""
    story.new_version(addition, path)
    text = story.checkout.fails("make", "deploy")
    assert said in text, "the failure in its own words"
    assert "serves again" in text
    story.revert()


@fault("a version that exits", short=True)
def version_exits(story: Story) -> None:
    broken(story, BROKEN_START, "app/beanft/wsgi.py", "broken on purpose")


@fault("a version that is never ready")
def version_never_ready(story: Story) -> None:
    broken(story, NEVER_READY, "app/beanft/health/service.py", "not ready on purpose")


@fault("a version that predicts wrongly")
def version_predicts_wrongly(story: Story) -> None:
    broken(story, WRONG_LABELS, "app/beanft/ml/predict.py", "a golden row gets another label")


@fault("a version that answers 500 after the switch")
def version_fails_later(story: Story) -> None:
    # What the bad version itself answered can't be saved, only its time be bounded.
    story.may_fail = story.may_lose = 10_000
    story.gap = 30
    story.new_version(FAILS_LATER, "app/beanft/wsgi.py")
    text = story.checkout.fails("make", "deploy")
    assert "requests failed" in text, text[-2000:]
    assert "serves again" in text
    newest = story.checkout.make_target("releases").splitlines()
    assert any("failed" in line for line in newest)
    story.revert()


@fault("a migration that fails")
def migration_fails(story: Story) -> None:
    versions = story.checkout.path / "app/migrations/versions"
    head = max(path.name[:4] for path in versions.glob("0*.py"))
    (versions / "0099_fails.py").write_text(FAILING_MIGRATION.format(head=head))
    story.checkout.commit("A migration that fails")
    text = story.checkout.fails("make", "deploy")
    assert "fails on purpose" in text
    assert "serves again" in text
    story.revert()


# ---------------------------------------------------------------- machines
@fault("a task killed", short=True)
def task_killed(story: Story) -> None:
    # What it was about to answer is gone with it; sent again, it succeeds.
    story.may_fail = 12
    for service in ("web", "api"):
        machine, container = story.fleet.task(f"beanft_{service}")
        story.fleet.on(machine, "docker", "kill", container)
        time.sleep(8)


@fault("a machine killed and back", short=True)
def machine_killed(story: Story) -> None:
    # The one without the database; its entry dies with it, and clients go to the others.
    story.may_fail, story.gap = 12, DEAD_GAP_SECONDS
    machine = story.fleet.machines()["m3"]
    docker("kill", machine)
    time.sleep(10)
    docker("start", machine)
    wait_for_nodes(story.fleet, 3)


@fault("the machine with the database killed and back")
def data_machine_killed(story: Story) -> None:
    # While the only database is away there is no site. What counts is that it comes back whole.
    story.may_fail = story.may_lose = 10_000
    story.gap = 120
    machine = story.fleet.machines()["m1"]
    docker("kill", machine)
    time.sleep(5)
    docker("start", machine)
    story.fleet.wait_served(story.revision, 120)


@fault("an engine restarted")
def engine_restarted(story: Story) -> None:
    story.may_fail, story.gap = 12, DEAD_GAP_SECONDS
    story.fleet.on("m2", "systemctl", "restart", "docker")
    time.sleep(10)
    wait_for_nodes(story.fleet, 3)


def wait_for_nodes(fleet: Fleet, count: int, entries: int = 3) -> None:
    """Wait until so many nodes are ready and every entry runs."""
    deadline = time.monotonic() + 90
    ready, serving = 0, ""
    while time.monotonic() < deadline:
        with contextlib.suppress(AssertionError):
            ready = fleet.manager("node", "ls", "--format", "{{.Status}}").split().count("Ready")
            serving = fleet.manager(
                "service", "ls", "--filter", "name=beanft-edge_haproxy", "--format", "{{.Replicas}}"
            )
            if ready == count and serving.startswith(f"{entries}/{entries}"):
                return
        time.sleep(1)
    raise AssertionError(f"{ready} of {count} nodes are ready, entries {serving}")


# ------------------------------------------------------- what ops change
@fault("the entry's configuration changed")
def entry_changed(story: Story) -> None:
    path = story.checkout.path / "ansible/roles/edge/templates/haproxy.cfg.j2"
    path.write_text(path.read_text() + f"# {time.time_ns()}\n")
    story.revision = story.checkout.commit("Another configuration of the entry")
    text = story.checkout.make_target("deploy")
    assert "Entry on every edge machine" in text


@fault("scaled up and down")
def scaled(story: Story) -> None:
    story.checkout.make_target("scale", "web=3", "api=3")
    assert "3/3" in story.fleet.manager("service", "ls", "--format", "{{.Name}} {{.Replicas}}")
    story.checkout.make_target("scale", "web=2", "api=2")


@fault("machines added and removed")
def machines_added_and_removed(story: Story) -> None:
    story.checkout.make_target("up", "NODES=5")
    wait_for_nodes(story.fleet, 5, entries=3)
    story.checkout.make_target("up", "NODES=3")
    assert sorted(story.fleet.machines()) == ["m1", "m2", "m3"]
    wait_for_nodes(story.fleet, 3)


# ---------------------------------------------------------------- the run
# Where a run is killed: a line it prints, and seconds after it.
STEPS = [
    ("Lock", 0.4),
    ("Publish images", 0.8),
    ("Plan", 0.5),
    ("Pull images", 0.7),
    ("Entry and switch", 0.5),
    ("Entry and switch", 3.0),
    ("Entry and switch", 6.0),
    ("Prune, and watch", 0.5),
    ("Conclude", 0.3),
]


def killed_then_again(story: Story, line: str, after: float) -> None:
    """Kill a deploy in the middle, and run it again."""
    story.revision = story.new_version()
    story.fleet.killed(line, after, "make", "deploy")
    begun = time.monotonic()
    text = story.checkout.make_target("deploy")
    story.notes.append(f"again {time.monotonic() - begun:.0f} s")
    story.fleet.wait_served(story.revision)
    assert "ok: changed=" in text


@fault("the controller killed in the switch", short=True)
def controller_killed(story: Story) -> None:
    killed_then_again(story, "Entry and switch", 3.0)


@fault("the controller killed after each step")
def controller_killed_each(story: Story) -> None:
    for line, after in STEPS:
        killed_then_again(story, line, after)


@fault("two deploys at once")
def two_at_once(story: Story) -> None:
    story.revision = story.new_version()
    story.checkout.run("bin/images")
    environment = {**story.checkout.environment(), "LOCK_WAIT": "2"}
    both = [
        subprocess.Popen(
            ["bin/play", "deploy"],
            cwd=story.checkout.path,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(2)
    ]
    texts = [process.communicate()[0] for process in both]
    print("\n".join(texts))
    codes = sorted(process.returncode for process in both)
    assert codes[0] == 0
    assert codes[1] != 0, "the other one is refused"
    assert any("deploy lock of beanft is held by" in text for text in texts)


@fault("SSH cut in the middle of a deploy")
def ssh_cut(story: Story) -> None:
    story.revision = story.new_version()
    drop = ["-p", "tcp", "--dport", "22", "-j", "REJECT", "--reject-with", "tcp-reset"]
    story.checkout.run("bin/images")
    process = subprocess.Popen(
        ["bin/play", "deploy"],
        cwd=story.checkout.path,
        env=story.checkout.environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Pull images"):
            break
    story.fleet.on("m1", "iptables", "-I", "INPUT", *drop)
    rest = process.communicate()[0]
    story.fleet.on("m1", "iptables", "-D", "INPUT", *drop)
    print(rest)
    assert process.returncode != 0
    assert "UNREACHABLE" in rest
    story.checkout.make_target("deploy")


@fault("no room on a machine's disk")
def disk_full(story: Story) -> None:
    story.new_version()
    # What the engine writes a layer to while it comes in.
    mount = "/var/lib/docker/tmp"
    story.fleet.on("m2", "mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", mount)
    text = story.checkout.fails("make", "deploy")
    story.fleet.on("m2", "umount", mount)
    assert re.search("room|space", text), text[-1500:]
    story.fleet.wait_served(story.revision)
    story.revision = story.checkout.git("rev-parse", "--short=12", "HEAD")
    story.checkout.make_target("deploy")


@fault("the registry gone in the middle of a deploy")
def registry_gone(story: Story) -> None:
    story.revision = story.new_version()
    story.checkout.run("bin/images")
    process = subprocess.Popen(
        ["bin/play", "deploy"],
        cwd=story.checkout.path,
        env=story.checkout.environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "images : Publish" in line:
            docker("kill", f"{story.fleet.name}-registry")
            break
    rest = process.communicate()[0]
    print(rest)
    assert process.returncode != 0
    assert re.search("could not be (pulled|asked)", rest)
    story.checkout.make_target("deploy")


@fault("the control machine's clock a minute ahead")
def clock_skew(story: Story) -> None:
    if not shutil.which("faketime"):
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "faketime"]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    story.revision = story.new_version()
    story.checkout.run("bin/images")
    story.checkout.run("faketime", "-f", "+60s", "bin/play", "deploy")


# ------------------------------------------------------------------- tests
@pytest.fixture
def account(fleet: Fleet) -> Account:
    """Who has an API key for the load, and no data sets yet."""
    return fleet.account()


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """The rows of the report, printed at the end."""
    rows: list[str] = []
    yield rows
    print()
    report(rows, "test-faults")


def row(name: str, value: float, unit: str, bound: float | None = None) -> str:
    holds = None if bound is None else value <= bound
    return json.dumps({"name": name, "value": value, "unit": unit, "bound": bound, "holds": holds})


@pytest.mark.parametrize("name", [name for name in FAULTS if FULL or name in SHORT])
def test_fault(fleet: Fleet, account: Account, table: list[str], name: str) -> None:
    (revision,) = fleet.served()
    begun = time.monotonic()
    with Load(fleet.urls(), account) as load:
        story = Story(fleet, load, revision)
        head = story.checkout.git("rev-parse", "HEAD")
        time.sleep(1)
        try:
            FAULTS[name](story)
        except BaseException:
            # What one fault left is none of the next one's.
            story.checkout.git("reset", "--quiet", "--hard", head)
            raise
        fleet.wait_served(story.revision)
    took = time.monotonic() - begun
    lost = load.writes_lost()
    print(f"\n{name}: {load} {' '.join(story.notes)}")
    print("\n".join([*load.failures[:10], *load.lost[:10], *lost[:10]]))
    table += [
        row(f"{name}: requests", load.requests, f"in {took:.0f} s {' '.join(story.notes)}".strip()),
        row("  failed", len(load.failures), "", story.may_fail),
        row("  failed again when sent again", len(load.lost), "", story.may_lose),
        row("  longest gap", round(load.longest_gap, 2), f"s ({load.longest_of})", story.gap),
        row("  p99", load.p99(), "ms"),
        row("  versions at the end", len(fleet.served()), "", 1),
        row("  acknowledged writes lost", len(lost), f"of {len(load.ledger)}", 0),
    ]
    assert lost == []
    assert load.requests > 100
    assert len(load.failures) <= story.may_fail
    assert len(load.lost) <= story.may_lose
    # The bound is for the table. On a busy machine a gap is longer; one that is this long is none of that.
    assert load.longest_gap <= 5 * story.gap
    # Two tasks on one machine are two that one failure ends.
    assert fleet.apart()
    if FULL:
        fleet.unchanged()


def test_a_deploy_finds_nothing_to_do_after_all_of_them(fleet: Fleet) -> None:
    fleet.unchanged()

"""entry_plan, entry_divert and entry_maintenance, with the clients of a machine as it would have them.

That no request is lost is tested on a machine: molecule/edge.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Load = Callable[[str], ModuleType]
Run = Callable[..., dict[str, Any]]
IMAGE = "registry.invalid/edge@sha256:" + "1" * 64
DEFINITION = {
    "services": {"haproxy": {"image": IMAGE, "deploy": {"mode": "global"}}},
    "configs": {"haproxy": {"name": "c1"}},
}

# ------------------------------------------------------------------ entry_plan


def service(name: str, **labels: str) -> dict[str, Any]:
    """Return a service as the engine shows it."""
    task = {"ContainerSpec": {"Image": IMAGE}}
    return {"Spec": {"Name": name, "Labels": labels, "TaskTemplate": task}}


def plan(run: Run) -> dict[str, Any]:
    return run("entry_plan", stack="e", definition=DEFINITION, config="global\n")


def test_an_entry_that_is_not_there_is_checked_and_not_replaced(docker: Any, run: Run) -> None:
    docker.says(service_ls="beanft_web\n", run="")
    result = plan(run)
    assert (result["changes"], result["running"], result["spare"]) == (True, False, False)
    (check,) = docker.calls("run")
    assert check["stdin"] == "global\n"
    assert check["command"].endswith(f"{IMAGE} -c -f /dev/stdin")
    assert "--network none" in check["command"]
    labels = result["definition"]["services"]["haproxy"]["deploy"]["labels"]
    assert list(labels) == ["beanft.entry"]
    assert not result["changed"]


def test_an_entry_as_it_should_be_is_not_checked_again(docker: Any, run: Run) -> None:
    docker.says(service_ls="", run="")
    label = plan(run)["definition"]["services"]["haproxy"]["deploy"]["labels"]
    docker.says(
        service_ls="e_haproxy\n", service_inspect=json.dumps([service("e_haproxy", **label)])
    )
    result = plan(run)
    assert (result["changes"], result["running"], result["spare"]) == (False, True, False)


@pytest.mark.parametrize(
    ("image", "config", "what"),
    [
        (IMAGE, "c1", ["settings"]),
        (IMAGE, "c0", ["configuration"]),
        ("other", "c1", ["image"]),
        ("other", "c0", ["image", "configuration"]),
    ],
)
def test_what_changes_is_named(
    docker: Any, run: Run, image: str, config: str, what: list[str]
) -> None:
    found = service("e_haproxy")
    found["Spec"]["TaskTemplate"]["ContainerSpec"] |= {
        "Image": image,
        "Configs": [{"ConfigName": config}],
    }
    docker.says(service_ls="e_haproxy\n", service_inspect=json.dumps([found]), run="")
    assert plan(run)["what"] == what


def test_check_mode_does_not_ask_haproxy(docker: Any, run: Run) -> None:
    docker.says(service_ls="")
    result = run("entry_plan", stack="e", definition=DEFINITION, config="global\n", check=True)
    assert (result["changes"], result["what"]) == (True, ["new"])
    assert not docker.calls("run")


def test_another_entry_and_a_spare_one_that_was_left(docker: Any, run: Run) -> None:
    docker.says(
        service_ls="e-spare_haproxy\ne_haproxy\nother_haproxy\n",
        service_inspect=json.dumps(
            [service("e-spare_haproxy"), service("e_haproxy", **{"beanft.entry": "x"})]
        ),
        run="",
    )
    result = plan(run)
    assert (result["changes"], result["running"], result["spare"]) == (True, True, True)
    assert docker.calls("service inspect")[0]["command"].endswith("e-spare_haproxy e_haproxy")


def test_a_configuration_that_haproxy_refuses_is_quoted(docker: Any, run: Run) -> None:
    words = (
        "[NOTICE]   (1) : haproxy version is 3.0.11-1+deb13u5\n"
        "[ALERT]    (1) : config : parsing [/dev/stdin:7] : unexpected character 's' in 'hard-stop-after'\n"
        "[ALERT]    (1) : config : Error(s) found in configuration file : /dev/stdin\n"
        "[ALERT]    (1) : config : Fatal errors found in configuration.\n"
    )
    docker.says(service_ls="", run={"err": words, "code": 1})
    assert plan(run)["msg"] == (
        "HAProxy refuses this configuration, and nothing was changed. It says: "
        "config : parsing [/dev/stdin:7] : unexpected character 's' in 'hard-stop-after'"
    )


def test_an_engine_that_says_no_is_quoted(docker: Any, run: Run) -> None:
    docker.says(service_ls={"err": "This node is not a swarm manager.", "code": 1})
    assert (
        plan(run)["msg"] == "the entry e could not be looked at: This node is not a swarm manager."
    )


# ---------------------------------------------------------------- entry_divert

MACHINE = """
import json, pathlib, sys
here = pathlib.Path(__file__).parent
name, words = pathlib.Path(__file__).name, sys.argv[1:]
with (here / "machine.log").open("a") as log:
    log.write(json.dumps([name, *words]) + "\\n")
state = here / "machine.json"
it = json.loads(state.read_text()) if state.exists() else {"rules": [], "timers": []}
if name == "systemd-run":
    it["timers"].append(words[words.index("--unit") + 1] + ".timer")
elif name == "systemctl" and words[0] == "stop":
    it["timers"].remove(words[1])
elif name == "systemctl":
    print("\\n".join(it["timers"]))
else:
    table, verb, chain, *rule = words[words.index("-t") + 1:]
    if verb == "-S":
        print(f"-N {chain}")
        print("\\n".join(" ".join(["-A", c, *r]) for t, c, r in it["rules"] if (t, c) == (table, chain)))
    elif verb == "-I":
        it["rules"].append([table, chain, rule[1:]])
    elif [table, chain, rule] not in it["rules"]:
        sys.exit("iptables: Bad rule (does a matching rule exist in that chain?).")
    else:
        it["rules"].remove([table, chain, rule])
state.write_text(json.dumps(it))
"""


class Machine:
    """The rules and timers of a machine, kept by clients on the PATH, and an entry on loopback addresses."""

    def __init__(self, directory: Path) -> None:
        """Put the clients beside the docker client."""
        self.directory = directory
        for name in ("iptables", "systemd-run", "systemctl"):
            client = directory / name
            client.write_text(f"#!{sys.executable} -IS\n{MACHINE}", encoding="utf-8")
            client.chmod(0o755)

    def state(self) -> dict[str, Any]:
        """Return its rules and timers."""
        path = self.directory / "machine.json"
        return dict(json.loads(path.read_text())) if path.exists() else {"rules": [], "timers": []}

    def order(self) -> list[str]:
        """Return what changed something, in order."""
        lines = (self.directory / "machine.log").read_text().splitlines()
        calls = [json.loads(line) for line in lines]
        return [call[0] for call in calls if not {"-S", "list-units"} & set(call)]


@pytest.fixture
def machine(docker: Any) -> Machine:
    """A machine without rules, with an entry at 127.0.0.2 and a spare one at 127.0.0.3."""
    service = "ps --quiet --no-trunc --filter label=com.docker.swarm.service.name="
    ends = {"main": {"IPv4Address": "127.0.0.2/16"}, "spare": {"IPv4Address": "127.0.0.3/16"}}
    docker.says(
        {
            f"{service}e_haproxy": "main\n",
            f"{service}e-spare_haproxy": "spare\n",
            f"{service}alone_haproxy": "main\n",
            f"{service}alone-spare_haproxy": "",
            f"{service}none": "",
            "container inspect main": json.dumps([{"Id": "main", "Created": "2026"}]),
            "container inspect spare": json.dumps([{"Id": "spare", "Created": "2026"}]),
            "network inspect docker_gwbridge": json.dumps([{"Containers": ends}]),
        }
    )
    return Machine(docker.directory)


@pytest.fixture
def entries(plugin: Load, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """What the entries at the two addresses say about ready tasks."""
    says = {"127.0.0.2": "web 2 api 1", "127.0.0.3": "web 2 api 1"}

    class Status(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(says[str(self.connection.getsockname()[0])].encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("0.0.0.0", 0), Status)  # noqa: S104 - two loopback addresses
    monkeypatch.setattr(plugin("modules/entry_divert"), "POLL_SECONDS", 0.01)
    monkeypatch.setattr(
        sys.modules["ansible.module_utils.entry"], "STATUS_PORT", server.server_port
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield says
    server.shutdown()
    thread.join()
    server.server_close()


def test_connections_go_to_the_spare_entry_and_back(
    machine: Machine, entries: dict[str, str], run: Run
) -> None:
    there = run("entry_divert", stack="e", port=80, seconds=99)
    assert (there["changed"], there["address"]) == (True, "127.0.0.3")
    nat, accept = sorted(machine.state()["rules"], reverse=True)
    assert nat[:2] == ["nat", "PREROUTING"]
    assert nat[2][-1] == "127.0.0.3:8080"
    assert accept[:2] == ["filter", "DOCKER-USER"]
    assert machine.state()["timers"] == ["beanft-entry-divert-80.timer"]
    # What ends the rule is there before it is, and the rule that leads there is the last.
    assert machine.order() == ["systemd-run", "iptables", "iptables"]
    assert not run("entry_divert", stack="e", port=80, seconds=99)["changed"]
    assert run("entry_divert", stack="e", port=80, state="absent")["changed"]
    assert machine.state() == {"rules": [], "timers": []}
    assert not run("entry_divert", stack="e", port=80, state="absent")["changed"]


def test_another_port_has_rules_of_its_own(
    machine: Machine, entries: dict[str, str], run: Run
) -> None:
    run("entry_divert", stack="e", port=80)
    assert run("entry_divert", stack="e", port=443, target_port=8443)["changed"]
    assert not run("entry_divert", stack="e", port=443, target_port=8443)["changed"]
    assert len(machine.state()["rules"]) == 4
    assert run("entry_divert", stack="e", port=443, target_port=8443, state="absent")["changed"]
    assert [rule[2][-1] for rule in machine.state()["rules"] if rule[0] == "nat"] == [
        "127.0.0.3:8080"
    ]
    assert machine.state()["timers"] == ["beanft-entry-divert-80.timer"]


def test_the_timer_takes_away_the_very_rule(
    machine: Machine, entries: dict[str, str], run: Run
) -> None:
    run("entry_divert", stack="e", port=80, seconds=99)
    calls = [
        json.loads(line) for line in (machine.directory / "machine.log").read_text().splitlines()
    ]
    timer = next(call for call in calls if call[0] == "systemd-run")
    rule = next(call for call in calls if call[0] == "iptables" and "-I" in call and "nat" in call)
    assert timer[timer.index("--on-active") + 1] == "99s"
    assert timer[timer.index("-D") :] == ["-D", "PREROUTING", *rule[rule.index("1") + 1 :]]


def test_nothing_goes_to_an_entry_that_sees_no_tasks(
    machine: Machine, entries: dict[str, str], run: Run
) -> None:
    entries["127.0.0.3"] = "web 2 api 0"
    there = run("entry_divert", stack="e", port=80, timeout=0)
    assert "the entry of stack e-spare sees no ready task of api" in there["msg"]
    assert machine.state()["rules"] == []
    entries["127.0.0.3"] = "web 1 api 9"
    assert run("entry_divert", stack="e", port=80)["changed"]
    entries["127.0.0.2"] = "web 0 api 0"
    back = run("entry_divert", stack="e", port=80, state="absent", timeout=0)
    assert (
        "could not be led back: the entry of stack e sees no ready task of api, web" in back["msg"]
    )
    assert len(machine.state()["rules"]) == 2


def test_where_no_task_is_ready_none_is_waited_for(
    machine: Machine, entries: dict[str, str], run: Run
) -> None:
    entries.update({"127.0.0.2": "web 0 api 0", "127.0.0.3": "web 0 api 0"})
    assert run("entry_divert", stack="e", port=80, timeout=0)["changed"]


def test_a_machine_without_an_entry_has_nothing_to_divert(machine: Machine, run: Run) -> None:
    result = run("entry_divert", stack="none", port=80)
    assert (result.get("failed"), result["changed"], result["address"]) == (None, False, "")


def test_a_spare_entry_that_is_missing_is_an_error(
    machine: Machine, entries: dict[str, str], run: Run
) -> None:
    result = run("entry_divert", stack="alone", port=80, timeout=0)
    assert "the entry of stack alone-spare does not answer" in result["msg"]


def test_check_mode_changes_no_rule(machine: Machine, run: Run) -> None:
    assert run("entry_divert", check=True, stack="e", port=80)["changed"]
    assert machine.state()["rules"] == []


# ----------------------------------------------------------- entry_maintenance


@pytest.fixture
def volume(docker: Any, tmp_path: Path) -> Path:
    """The volume of a machine whose entry does not run."""
    docker.says(ps="", volume_inspect=json.dumps([{"Mountpoint": str(tmp_path)}]))
    return tmp_path / "maintenance.map"


def test_what_an_entry_reads_that_starts_later(volume: Path, run: Run) -> None:
    message = 'Back <soon> & "sound"; 100 %\nünïcode'
    assert run("entry_maintenance", stack="e", active=True, message=message)["changed"]
    key, _, value = volume.read_text().rstrip("\n").partition(" ")
    assert key == "on"
    assert " " not in value
    assert value.count(":") == 1
    assert volume.stat().st_mode & 0o777 == 0o644
    assert not run("entry_maintenance", stack="e", active=True, message=message)["changed"]
    assert run("entry_maintenance", stack="e", active=True, message="other")["changed"]
    assert run("entry_maintenance", stack="e", active=False)["changed"]
    assert volume.read_text() == ""
    assert not run("entry_maintenance", stack="e", active=False)["changed"]


def test_check_mode_writes_nothing(volume: Path, run: Run) -> None:
    assert run("entry_maintenance", check=True, stack="e", active=True)["changed"]
    assert not volume.exists()


def test_every_running_entry_is_told(docker: Any, volume: Path, run: Run) -> None:
    service = "ps --quiet --no-trunc --filter label=com.docker.swarm.service.name="
    docker.says(
        {
            f"{service}e_haproxy": "main\n",
            f"{service}e-spare_haproxy": "spare\n",
            "container inspect main": json.dumps([{"Id": "main", "Created": "2026"}]),
            "container inspect spare": json.dumps([{"Id": "spare", "Created": "2026"}]),
            "volume inspect": json.dumps([{"Mountpoint": str(volume.parent)}]),
            "exec --interactive main": ["", "", "0x5 on x:x\n"],
            "exec --interactive spare": ["0x7 on x:x\n"],
        }
    )
    assert run("entry_maintenance", stack="e", active=True, message="x")["changed"]
    said = [call["stdin"] for call in docker.calls("exec")]
    show = "show map /var/lib/beanft-entry/maintenance.map\n"
    add = "add map /var/lib/beanft-entry/maintenance.map on x:x\n"
    # The one that knows already is only asked.
    assert said == [show, add, show, show]


def test_an_entry_that_does_not_take_it_is_an_error(docker: Any, volume: Path, run: Run) -> None:
    docker.says(
        ps="main\n",
        container_inspect=json.dumps([{"Id": "main", "Created": "2026"}]),
        volume_inspect=json.dumps([{"Mountpoint": str(volume.parent)}]),
        exec="Unknown map identifier. Please use #<id> or <file>.\n",
    )
    result = run("entry_maintenance", stack="e", active=True)
    assert result["msg"] == (
        "maintenance could not be switched on on this machine: "
        "this entry knows no maintenance: run 'make deploy' first"
    )


def refusing(*answers: str) -> list[Any]:
    """Return answers of HAProxy, the first one a refusal."""
    return [{"err": "bash: connect: Connection refused\n", "code": 1}, *answers]


def test_an_entry_that_starts_is_asked_until_it_answers(
    docker: Any, volume: Path, run: Run, plugin: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin("modules/entry_maintenance"), "POLL_SECONDS", 0.01)
    docker.says(
        {"ps --quiet --no-trunc --filter label=com.docker.swarm.service.name=e-spare": ""},
        ps="main\n",
        container_inspect=json.dumps([{"Id": "main", "Created": "2026"}]),
        volume_inspect=json.dumps([{"Mountpoint": str(volume.parent)}]),
        exec=refusing("0x5 on y:y\n", "", "0x5 on x:x\n"),
    )
    assert run("entry_maintenance", stack="e", active=True, message="x")["changed"]
    assert docker.calls("exec")[2]["stdin"].startswith("set map ")


@pytest.mark.parametrize("alone", [True, False])
def test_an_entry_that_stops_is_left_alone_and_the_only_one_is_not(
    docker: Any, volume: Path, run: Run, plugin: Load, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    monkeypatch.setattr(plugin("modules/entry_maintenance"), "START_SECONDS", 0.0)
    service = "ps --quiet --no-trunc --filter label=com.docker.swarm.service.name="
    docker.says(
        {
            f"{service}e_haproxy": "old\n" if alone else "old\nnew\n",
            f"{service}e-spare_haproxy": "",
            "container inspect old": json.dumps([{"Id": "old", "Created": "2025"}]),
            "container inspect new": json.dumps([{"Id": "new", "Created": "2026"}]),
            "volume inspect": json.dumps([{"Mountpoint": str(volume.parent)}]),
            "exec --interactive old": refusing()[0],
            "exec --interactive new": ["0x5 on x:x\n"],
        }
    )
    result = run("entry_maintenance", stack="e", active=True, message="x")
    if alone:
        assert "HAProxy could not be asked: bash: connect: Connection refused" in result["msg"]
    else:
        assert result["changed"]


def test_a_machine_without_a_volume_says_so(docker: Any, run: Run) -> None:
    docker.says(volume_inspect={"err": "Error: No such volume: e", "code": 1})
    assert "No such volume: e" in run("entry_maintenance", stack="e", active=True)["msg"]

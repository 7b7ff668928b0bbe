"""swarm_stack: what counts as settled, as failed and as a change, and that every wait ends."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

Spec = dict[str, Any]
OLD, NEW = "beanft/web@sha256:" + "a" * 64, "beanft/web@sha256:" + "b" * 64


@pytest.fixture
def stack(plugin: Callable[[str], ModuleType]) -> ModuleType:
    return plugin("modules/swarm_stack")


def definition(image: str = NEW, **services: Spec) -> Spec:
    web = {"image": image, "deploy": {"replicas": 2}, "environment": {"A": "1"}}
    return {"version": "3.8", "services": {"web": web, **services}, "volumes": {"data": {}}}


def service(
    image: str = NEW,
    state: str | None = None,
    *,
    name: str = "web",
    labels: dict[str, str] | None = None,
    replicas: int | None = 2,
    message: str = "",
) -> Spec:
    """A service as `docker service inspect` shows it."""
    mode = {"Global": {}} if replicas is None else {"Replicated": {"Replicas": replicas}}
    found: Spec = {
        "ID": f"{name}-service",
        "Spec": {
            "Name": f"s_{name}",
            "Labels": {"com.docker.stack.namespace": "s", **(labels or {})},
            "TaskTemplate": {
                "ContainerSpec": {"Image": image, "Env": ["A=1"], "Isolation": "default"},
                "Resources": {},
                "Placement": {},
                "ForceUpdate": 0,
            },
            "Mode": mode,
        },
    }
    if state:
        found["UpdateStatus"] = {"State": state, "Message": message}
    return found


def task(
    number: int, image: str = NEW, state: str = "running", *, name: str = "web", error: str = ""
) -> Spec:
    """A task as `docker inspect --type task` shows it."""
    over = state in ("failed", "rejected", "shutdown", "complete")
    return {
        "ID": f"{name}{number:022d}",
        "CreatedAt": f"2026-01-01T10:00:{number:02d}.5Z",
        "ServiceID": f"{name}-service",
        "Slot": number,
        # The engine leaves out here what is empty.
        "Spec": {
            "ContainerSpec": {"Image": image, "Env": ["A=1"], "Isolation": "default", "Hosts": []}
        },
        "DesiredState": "shutdown" if over else "running",
        "Status": {
            "State": state,
            "Timestamp": f"2026-01-01T10:01:{number:02d}.5Z",
            **({"Err": error} if error else {"Message": "started"}),
        },
    }


def look(services: list[Spec], tasks: list[Spec]) -> dict[str, Any]:
    """What the client says while the Swarm is so."""
    return {
        "service ls": "".join(f"{item['ID'][:12]}\n" for item in services),
        "service inspect": json.dumps(services),
        "stack ps": "".join(f"{item['ID']}\n" for item in tasks)
        if tasks
        else {"err": "nothing found in stack: s\n", "code": 1},
        "inspect --type task": json.dumps(tasks),
    }


RUNNING = [task(1), task(2)]


def hashes(stack: ModuleType, wanted: Spec) -> dict[str, str]:
    """The labels that the definition's service has in the Swarm."""
    return dict(stack.labelled(wanted, {})["services"]["web"]["deploy"]["labels"])


# ---------------------------------------------------------------------- hashes
def test_hash_stands_for_the_service_and_what_all_share(stack: ModuleType) -> None:
    wanted = definition()
    first = hashes(stack, wanted)
    assert first == hashes(stack, copy.deepcopy(wanted))
    assert first == hashes(stack, json.loads(json.dumps(dict(reversed(wanted.items())))))
    assert first == hashes(stack, definition(api={"image": OLD}))
    assert first != hashes(stack, definition(OLD))
    assert first != hashes(stack, {**wanted, "volumes": {}})
    assert "labels" not in wanted["services"]["web"]["deploy"]


def test_labels_are_added_and_are_no_part_of_the_hash(stack: ModuleType) -> None:
    wanted = definition()
    wanted["services"]["web"]["deploy"]["labels"] = {"own": "1"}
    labels = stack.labelled(wanted, {"beanft.release": 7})["services"]["web"]["deploy"]["labels"]
    assert labels == {"own": "1", "beanft.release": "7", **hashes(stack, wanted)}


# --------------------------------------------------------------------- settled
@pytest.mark.parametrize(
    ("shown", "tasks", "expected"),
    [
        (service(), RUNNING, True),
        (service(state="completed"), RUNNING, True),
        (service(state="completed"), [*RUNNING, task(3, OLD, "shutdown")], True),
        (service(state="completed"), [*RUNNING, task(3, state="failed")], True),
        (service(state="updating"), RUNNING, False),
        (service(state="rollback_completed"), RUNNING, False),
        (service(), [task(1)], False),
        (service(), [*RUNNING, task(3, OLD)], False),
        (service(), [task(1), task(2, state="starting")], False),
        (service(), [task(1), task(2, OLD)], False),
        (service(), [], False),
        (service(), [*RUNNING, task(3)], False),
        (service(), [*RUNNING, {**task(3), "Slot": 1}], True),
        (service(), [*RUNNING, {**task(3, OLD), "Slot": 1}], False),
        (service(replicas=0), [], True),
        (service(replicas=0), [task(1)], False),
        (service(replicas=None), [], False),
        (service(replicas=None), [*RUNNING, task(3)], True),
    ],
)
def test_settled(stack: ModuleType, shown: Spec, tasks: list[Spec], expected: bool) -> None:
    assert stack.settled(shown, tasks) is expected


@pytest.mark.parametrize("state", ["paused", "rollback_started", "rollback_paused"])
def test_an_update_that_went_wrong_is_a_failure(stack: ModuleType, state: str) -> None:
    shown = service(state=state, message="update paused due to failure")
    said = f"{state.replace('_', ' ')}: update paused due to failure"
    assert stack.failure(shown, RUNNING) == said
    assert stack.failure(shown, RUNNING, deployed=False) == said


def test_a_rollback_that_ended_is_a_failure_of_the_run_that_caused_it_only(
    stack: ModuleType,
) -> None:
    shown = service(OLD, "rollback_completed", message="rollback completed")
    tasks = [task(1, OLD), task(2, OLD)]
    assert stack.failure(shown, tasks) == "rollback completed: rollback completed"
    assert not stack.failure(shown, tasks, deployed=False)
    assert stack.settled(shown, tasks, deployed=False)


def test_a_new_service_fails_after_three_tasks_that_died_of_it(stack: ModuleType) -> None:
    dead = [task(number, state="failed") for number in (1, 2, 3)]
    assert stack.failure(service(), dead) == "3 tasks in a row did not stay up"
    assert not stack.failure(service(), dead[:2])
    assert not stack.failure(service(), [*dead[:2], task(3, OLD, "failed")])
    assert not stack.failure(service(), dead, frozenset({dead[0]["ID"]}))
    assert not stack.failure(service(state="updating"), dead)


# ------------------------------------------------------------------------ runs
def test_a_first_deploy(docker: Any, run: Any, stack: ModuleType) -> None:
    docker.says(
        look([], []),
        look([service()], []),
        look([service()], [task(1), task(2, state="preparing")]),
        look([service()], RUNNING),
        stack_deploy="Creating service s_web\n",
    )
    result = run("swarm_stack", name="s", definition=definition(), labels={"beanft.release": "1"})

    assert result["changed"]
    assert result["services"] == [
        {"name": "web", "image": NEW, "image_before": "", "release_before": "", "changes": True}
    ]
    call = docker.calls("stack deploy")
    assert [item["command"] for item in call] == [
        "stack deploy --prune --resolve-image never --compose-file - s"
    ]
    assert json.loads(call[0]["stdin"]) == stack.labelled(definition(), {"beanft.release": "1"})


def test_an_unchanged_stack_is_left_alone(docker: Any, run: Any, stack: ModuleType) -> None:
    labels = {**hashes(stack, definition()), "beanft.release": "4"}
    docker.says(look([service(labels=labels, state="completed")], RUNNING))
    result = run("swarm_stack", name="s", definition=definition(), labels={"beanft.release": "4"})
    assert not result["changed"]
    assert not result["services"][0]["changes"]
    assert result["services"][0]["release_before"] == "4"
    assert not docker.calls("stack deploy")


def test_tasks_that_died_long_ago_fail_nothing(docker: Any, run: Any, stack: ModuleType) -> None:
    dead = [task(number, state="failed") for number in (3, 4, 5)]
    docker.says(look([service(labels=hashes(stack, definition()))], [*RUNNING, *dead]))
    assert not run("swarm_stack", name="s", definition=definition())["changed"]


def test_another_release_of_the_same_definition_is_a_change_of_labels_only(
    docker: Any, run: Any, stack: ModuleType
) -> None:
    labels = hashes(stack, definition())
    docker.says(look([service(labels={**labels, "beanft.release": "4"})], RUNNING), stack_deploy="")
    result = run("swarm_stack", name="s", definition=definition(), labels={"beanft.release": 5})
    assert result["changed"]
    assert not result["services"][0]["changes"]
    assert docker.calls("stack deploy")


def test_a_service_that_is_gone_from_the_definition_is_removed(
    docker: Any, run: Any, stack: ModuleType
) -> None:
    web = service(labels=hashes(stack, definition()))
    docker.says(look([web, service(name="old")], RUNNING), look([web], RUNNING), stack_deploy="")
    result = run("swarm_stack", name="s", definition=definition())
    assert result["changed"]
    assert result["removed"] == ["old"]


@pytest.mark.parametrize("there", [True, False])
def test_check_mode_says_what_would_change_and_touches_nothing(
    docker: Any, run: Any, there: bool
) -> None:
    old = [service(OLD, labels={"beanft.definition": "x", "beanft.release": "3"})]
    docker.says(look(old, [task(1, OLD)]) if there else look([], []))
    result = run("swarm_stack", name="s", definition=definition(), check=True)
    assert result["changed"]
    assert result["services"] == [
        {
            "name": "web",
            "image": NEW,
            "image_before": OLD if there else "",
            "release_before": "3" if there else "",
            "changes": True,
        }
    ]
    assert not docker.calls("stack deploy")


def test_an_update_is_not_done_before_it_began(docker: Any, run: Any) -> None:
    """Between the order and its beginning everything looks settled for a moment."""
    docker.says(
        look([service()], RUNNING),
        look([service()], RUNNING),
        look([service(state="updating")], RUNNING),
        look([service(state="rollback_completed", message="it died")], RUNNING),
        stack_deploy="",
        service_logs="",
    )
    result = run("swarm_stack", name="s", definition=definition())
    assert result["failed"]
    assert "rollback completed: it died" in result["msg"]


def test_a_rolled_back_update_fails_with_the_words_of_the_task(docker: Any, run: Any) -> None:
    old = [task(1, OLD), task(2, OLD)]
    before = task(3, OLD, "failed", error="of long ago")
    died = task(4, NEW, "failed", error="task: non-zero exit (3)")
    docker.says(
        look([service(OLD)], [*old, before]),
        look([service(state="updating")], [*old, before, died]),
        # Not over before the rollback is.
        look([service(OLD, "rollback_started", message="rolling back")], [*old, before, died]),
        look([service(OLD, "rollback_completed", message="rolled back")], [*old, before, died]),
        stack_deploy="",
        service_logs={"out": "starting\n", "err": "no such table: models\n"},
    )
    result = run("swarm_stack", name="s", definition=definition())
    assert result["failed"]
    assert result["failed_services"] == ["web"]
    assert "web: rollback completed: rolled back. " in result["msg"]
    assert f"task {died['ID'][:12]}: task: non-zero exit (3)." in result["msg"]
    assert result["msg"].endswith("Its log ends: starting\nno such table: models")
    assert [call["command"] for call in docker.calls("service logs")] == [
        f"service logs --raw --tail 12 {died['ID']}"
    ]


def test_a_task_that_was_never_ready_is_quoted_too(docker: Any, run: Any) -> None:
    """The engine asks it to stop, and it ends well: neither its state nor its exit code tells."""
    old = [task(1, OLD), task(2, OLD)]
    ended = task(4, NEW, "complete")
    docker.says(
        look([service(OLD)], old),
        look([service(OLD, "rollback_completed", message="rolled back")], [*old, ended]),
        stack_deploy="",
        service_logs="not ready: a golden row gets another label\n",
    )
    result = run("swarm_stack", name="s", definition=definition())
    assert f"task {ended['ID'][:12]}: " in result["msg"]
    assert result["msg"].endswith("a golden row gets another label")


def test_going_back_to_what_a_rollback_has_restored_is_no_failure(
    docker: Any, run: Any, stack: ModuleType
) -> None:
    """A release that all services refused: the engine is quicker than the play that puts them back."""
    labels = hashes(stack, definition(OLD))
    tasks = [task(1, OLD), task(2, OLD)]
    rolled = service(OLD, "rollback_started", labels=labels)
    docker.says(
        look([rolled], tasks),
        look([rolled], tasks),
        look([service(OLD, "rollback_completed", labels=labels)], tasks),
    )
    assert not run("swarm_stack", name="s", definition=definition(OLD))["changed"]


@pytest.mark.parametrize("state", ["paused", "rollback_paused"])
def test_an_update_that_stands_still_is_handed_over_again(
    docker: Any, run: Any, stack: ModuleType, state: str
) -> None:
    labels = hashes(stack, definition())
    docker.says(
        look([service(state=state, labels=labels)], [task(1), task(2, OLD)]),
        look([service(labels=labels)], RUNNING),
        stack_deploy="",
    )
    result = run("swarm_stack", name="s", definition=definition())
    assert result["changed"]
    assert docker.calls("stack deploy")


def test_a_paused_update_fails(docker: Any, run: Any) -> None:
    docker.says(
        look([service(OLD)], [task(1, OLD), task(2, OLD)]),
        look([service(state="paused", message="update paused")], [task(1), task(2, OLD)]),
        stack_deploy="",
        service_logs="",
    )
    result = run("swarm_stack", name="s", definition=definition())
    assert result["failed"]
    assert "web: paused: update paused. task" in result["msg"]
    assert result["msg"].endswith("Its log ends: (empty)")


def test_a_new_service_whose_tasks_die_fails_early(docker: Any, run: Any) -> None:
    dead = [task(number, state="rejected", error="No such image") for number in (1, 2, 3)]
    docker.says(look([], []), look([service()], dead), stack_deploy="", service_logs="")
    started = time.monotonic()
    result = run("swarm_stack", name="s", definition=definition(), timeout=30)
    assert time.monotonic() - started < 30
    assert result["failed"]
    assert "web: 3 tasks in a row did not stay up. " in result["msg"]
    assert ": No such image." in result["msg"]


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        (
            [task(1), task(2, state="starting")],
            "task web000000000: started. Its log ends: ready soon",
        ),
        ([], "no task was started: does any node meet the placement constraints?"),
    ],
)
def test_a_stack_that_never_gets_there_fails_in_time(
    docker: Any, run: Any, tasks: list[Spec], words: str
) -> None:
    docker.says(look([], []), look([service()], tasks), stack_deploy="", service_logs="ready soon")
    started = time.monotonic()
    result = run("swarm_stack", name="s", definition=definition(), timeout=1)
    assert time.monotonic() - started < 30
    assert result["msg"] == f"stack s did not get there. web: not settled after 1 s. {words}"


def test_an_engine_without_a_leader_for_a_moment_is_asked_again(docker: Any, run: Any) -> None:
    silent = {"service ls": {"err": "Error response: The swarm does not have a leader.", "code": 1}}
    docker.says(
        look([], []), silent, silent, look([service()], RUNNING), stack_deploy="", stack_ps=""
    )
    assert run("swarm_stack", name="s", definition=definition())["changed"]


def test_an_engine_that_stays_silent_fails_in_time(docker: Any, run: Any) -> None:
    silent = {"service ls": {"err": "The swarm does not have a leader.\n", "code": 1}}
    docker.says(look([], []), silent, stack_deploy="")
    result = run("swarm_stack", name="s", definition=definition(), timeout=1)
    assert result["msg"] == "stack s could not be deployed: The swarm does not have a leader."


def test_a_refused_definition_fails_with_what_the_client_said(docker: Any, run: Any) -> None:
    docker.says(
        look([], []),
        stack_deploy={"out": "", "err": "x\n\nservices.web Additional property\n", "code": 1},
    )
    result = run("swarm_stack", name="s", definition=definition())
    assert result["msg"] == "stack s could not be deployed: services.web Additional property"


def test_a_log_that_does_not_come_is_not_waited_for(
    docker: Any, plugin: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = plugin("module_utils/docker_cli")
    monkeypatch.setattr(shared, "LOG_SECONDS", 0.5)
    docker.says(service_logs={"seconds": 120})
    started = time.monotonic()
    said = shared.task_log(None, "t", "12")
    assert time.monotonic() - started < 30
    assert said == "(no log: 'docker service logs' did not end within 0 s)"


@pytest.mark.parametrize(
    ("engine", "version", "healthcheck"),
    [
        ("1.45", "3.12", {"interval": "5s", "start_interval": "500ms"}),
        ("1.41", "3.9", {"interval": "2s"}),
    ],
)
def test_an_older_engine_gets_a_health_check_that_it_knows(
    run: Any, docker: Any, engine: str, version: str, healthcheck: dict[str, str]
) -> None:
    wanted = definition()
    wanted["version"] = "3.12"
    wanted["services"]["web"]["healthcheck"] = {"interval": "5s", "start_interval": "500ms"}
    docker.says(version=engine, stack_deploy="", service_ls="", stack_ps="")
    run("swarm_stack", name="s", definition=wanted, timeout=0)
    handed = json.loads(docker.calls("stack deploy")[0]["stdin"])
    assert handed["version"] == version
    assert handed["services"]["web"]["healthcheck"] == healthcheck

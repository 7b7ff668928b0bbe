"""swarm_job: it returns what the job printed, fails with its words, and leaves nothing behind."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

SERVICE = {
    "image": "beanft/worker@sha256:" + "a" * 64,
    "command": ["worker"],
    "volumes": ["data:/data"],
    "healthcheck": {"test": ["CMD", "true"]},
    "deploy": {
        "replicas": 3,
        "placement": {"constraints": ["node.labels.beanft.data == true"]},
        "update_config": {"order": "start-first"},
    },
}
NONE: dict[str, Any] = {
    "service ls": "",
    "network ls": "",
    "stack ps": {"err": "nothing found in stack: j", "code": 1},
}


def shows(state: str, *, service: str = "job-service-1", error: str = "") -> dict[str, Any]:
    """The job's stack with its task in a state."""
    task = {"ID": "task1", "ServiceID": service, "Status": {"State": state, "Err": error}}
    return {
        "service ls": "job-service-1\n",
        "network ls": "",
        "stack ps": "task1\n",
        "inspect --type task": json.dumps([task]),
    }


def act(run: Any, **parameters: Any) -> dict[str, Any]:
    result = run(
        "swarm_job",
        **{
            "name": "j",
            "service": SERVICE,
            "shared": {"volumes": {"data": {"external": True}}},
            "command": ["db", "upgrade"],
            **parameters,
        },
    )
    return dict(result)


def test_a_job_runs_once_and_is_removed(docker: Any, run: Any) -> None:
    docker.says(
        NONE,
        shows("preparing"),
        shows("running"),
        shows("complete"),
        stack_deploy="",
        stack_rm="",
        service_logs={"out": "0001 applied\n\n", "err": "done\n"},
    )
    result = act(run)
    assert result["changed"]
    assert result["stdout_lines"] == ["0001 applied", "done"]
    assert [call["command"].split(" --")[0] for call in docker.calls("stack")][-1] == "stack rm j"
    assert json.loads(docker.calls("stack deploy")[0]["stdin"]) == {
        "volumes": {"data": {"external": True}},
        "services": {
            "job": {
                "image": SERVICE["image"],
                "command": ["db", "upgrade"],
                "volumes": ["data:/data"],
                "healthcheck": {"disable": True},
                "deploy": {
                    "mode": "replicated-job",
                    "replicas": 1,
                    "restart_policy": {"condition": "none"},
                    "placement": {"constraints": ["node.labels.beanft.data == true"]},
                },
            }
        },
    }


def test_a_job_that_an_earlier_run_left_is_removed_first_and_not_believed(
    docker: Any, run: Any
) -> None:
    docker.says(
        shows("complete", service="job-service-0"),
        # Its network goes when its task has gone.
        {**NONE, "network ls": "n1\n"},
        NONE,
        shows("complete", service="job-service-0"),
        shows("failed", error="exit 3"),
        stack_deploy="",
        stack_rm="",
        service_logs="boom\n",
    )
    result = act(run)
    order = [call["command"].split()[1] for call in docker.calls("stack")]
    assert order[:3] == ["rm", "rm", "deploy"]
    assert result["msg"] == "job j ended as 'failed' (exit 3). Its log ends: boom"


@pytest.mark.parametrize("state", ["failed", "rejected", "shutdown", "orphaned"])
def test_a_job_that_fails_says_why_and_is_removed(docker: Any, run: Any, state: str) -> None:
    log = "".join(f"line {number}\n" for number in range(20))
    docker.says(NONE, shows(state, error="exit 1"), stack_deploy="", stack_rm="", service_logs=log)
    result = act(run)
    assert result["failed"]
    assert result["msg"].startswith(f"job j ended as '{state}' (exit 1). Its log ends: line 12 / ")
    assert len(result["stdout_lines"]) == 20
    assert docker.calls("stack rm")


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (shows("running"), "job j ended as 'running' (not done after 1 s). Its log ends: (empty)"),
        (
            shows("pending", error="no suitable node"),
            "job j ended as 'pending' (not done after 1 s: no suitable node). Its log ends: (empty)",
        ),
        (
            {**NONE, "service ls": "job-service-1\n"},
            "job j ended as 'not started' (not done after 1 s: no node meets its placement constraints)."
            " Its log ends: (empty)",
        ),
    ],
)
def test_a_job_that_does_not_end_is_ended(
    docker: Any, run: Any, step: dict[str, Any], sentence: str
) -> None:
    docker.says(NONE, step, stack_deploy="", stack_rm="", service_logs="")
    started = time.monotonic()
    result = act(run, timeout=1)
    assert time.monotonic() - started < 30
    assert result["msg"] == sentence
    assert docker.calls("stack rm")


def test_an_engine_without_a_leader_for_a_moment_is_asked_again(docker: Any, run: Any) -> None:
    silent = {"service ls": {"err": "The swarm does not have a leader.", "code": 1}}
    docker.says(
        NONE, silent, shows("complete"), stack_deploy="", stack_rm="", service_logs="done\n"
    )
    assert act(run)["stdout_lines"] == ["done"]


def test_a_job_is_removed_where_the_engine_stops_answering(docker: Any, run: Any) -> None:
    broken = {**shows("running"), "inspect --type task": {"err": "i/o timeout", "code": 1}}
    docker.says(NONE, broken, stack_deploy="", stack_rm="")
    result = act(run, timeout=1)
    assert result["msg"] == "job j could not be run: i/o timeout"
    assert docker.calls("stack rm")


def test_a_task_that_is_forgotten_between_two_questions_is_no_failure(
    docker: Any, run: Any
) -> None:
    step = shows("complete")
    step["inspect --type task"] = [
        {"err": "Error: No such task: x", "code": 1},
        step["inspect --type task"],
    ]
    docker.says(NONE, step, stack_deploy="", stack_rm="", service_logs="")
    assert act(run)["changed"]


def test_a_removal_that_is_refused_is_tried_again(docker: Any, run: Any) -> None:
    docker.says(
        NONE,
        shows("complete"),
        stack_deploy="",
        stack_rm=[{"err": "network j_default is in use by task x\n", "code": 1}, ""],
        service_logs="done\n",
    )
    assert act(run)["stdout_lines"] == ["done"]
    assert len(docker.calls("stack rm")) == 2


def test_what_cannot_be_removed_is_not_waited_for_for_ever(
    docker: Any, run: Any, plugin: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin("modules/swarm_job"), "REMOVAL_SECONDS", 0.5)
    docker.says(shows("running"), stack_rm="")
    assert act(run)["msg"] == (
        "job j could not be run: what an earlier run left of it is still there: docker stack ps j"
    )


def test_check_mode_runs_nothing(docker: Any, run: Any) -> None:
    assert act(run, check=True)["changed"]
    assert not docker.calls()

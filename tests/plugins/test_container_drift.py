"""container_drift: what runs is what its service's digest stands for."""

from __future__ import annotations

import json
from typing import Any

import pytest

WEB = "127.0.0.1:5000/beanft/web@sha256:" + "a" * 64
SERVICE = "com.docker.swarm.service.name"


def container(name: str, image: str, **labels: str) -> dict[str, Any]:
    named = {key.replace("_", "."): value for key, value in labels.items()}
    return {"Name": f"/{name}", "Image": image, "Config": {"Labels": named or None}}


def task(name: str, image: str, service: str = "beanft_web") -> dict[str, Any]:
    made = container(f"{name}.abcdefghijkl", image)
    made["Config"]["Labels"] = {SERVICE: service, "beanft": "image"}
    return made


def says(docker: Any, *containers: dict[str, Any], **answers: Any) -> None:
    """Say which containers run, on a machine that has the image of web as sha256:1."""
    docker.says(
        {
            "container ls": "".join(f"{number}\n" for number, _ in enumerate(containers)),
            "container inspect": json.dumps(containers),
            f"image inspect {WEB}": json.dumps([{"Id": "sha256:1"}]),
            **{key.replace("_", " "): value for key, value in answers.items()},
        }
    )


def test_what_runs_is_what_should(docker: Any, run: Any) -> None:
    says(
        docker,
        task("beanft_web.1", "sha256:1"),
        container("their-own", "sha256:9"),
        container("theirs-too", "sha256:9", other="image", beanft="volume"),
    )
    result = run("container_drift", images={"beanft_web": WEB, "beanft_api": "not here"})
    assert (result["changed"], result["findings"], result["containers"]) == (False, [], 3)


def test_nothing_runs(docker: Any, run: Any) -> None:
    says(docker)
    assert run("container_drift", images={"beanft_web": WEB})["containers"] == 0


def test_another_image(docker: Any, run: Any) -> None:
    says(docker, task("beanft_web.1", "sha256:1"), task("beanft_web.2", "sha256:2"))
    assert run("container_drift", images={"beanft_web": WEB})["findings"] == [
        {
            "what": "container beanft_web.2",
            "expected": "sha256:1",
            "found": "sha256:2",
            "mend": "on a manager: docker service update --detach --force beanft_web",
        }
    ]


def test_the_right_image_is_not_here(docker: Any, run: Any) -> None:
    gone = {"err": "Error: No such image: x\n", "code": 1}
    says(
        docker,
        task("beanft_web.1", "sha256:2"),
        image_inspect=gone,
        **{f"image inspect {WEB}": gone},
    )
    found = run("container_drift", images={"beanft_web": WEB})["findings"]
    assert [item["expected"] for item in found] == [f"{WEB}, which is not on this machine"]


def test_containers_that_nobody_asked_for(docker: Any, run: Any) -> None:
    says(docker, container("tmp", "sha256:1", beanft="image"), task("x.1", "sha256:1", "old_web"))
    found = run("container_drift", images={"beanft_web": WEB})["findings"]
    assert [(item["what"], item["found"], item["mend"]) for item in found] == [
        ("container tmp", "sha256:1 (started by hand)", "docker rm --force tmp"),
        ("container x.1.abcdefghijkl", "sha256:1 (old_web)", "docker service rm old_web"),
    ]


@pytest.mark.parametrize("command", ["container ls", f"image inspect {WEB}", "container inspect"])
def test_what_cannot_be_asked_for_is_no_agreement(docker: Any, run: Any, command: str) -> None:
    hung = {"err": "context deadline exceeded\n", "code": 1}
    says(docker, task("beanft_web.1", "sha256:1"), **{command: hung})
    result = run("container_drift", images={"beanft_web": WEB})
    assert result["msg"] == "the containers could not be looked at: context deadline exceeded"

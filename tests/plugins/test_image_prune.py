"""image_prune: what carries our label and nothing needs goes, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

REGISTRY = "127.0.0.1:5000"
GONE = {"err": "Error response from daemon: No such image: x\n", "code": 1}


def reference(name: str) -> str:
    return f"{REGISTRY}/beanft/{name}@sha256:{name[0] * 64}"


def image(identity: str, *names: str, tags: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "Id": f"sha256:{identity}",
        "RepoDigests": [*map(reference, names)],
        "RepoTags": [*tags],
    }


def container(name: str, identity: str) -> dict[str, Any]:
    return {"Name": f"/{name}", "Image": f"sha256:{identity}"}


NEW, TARGET, OLD = image("1", "new"), image("2", "target"), image("3", "old")


class Engine:
    """What the fake client says of an engine with some images and containers."""

    def __init__(self, docker: Any, root: Path) -> None:
        """Nothing is there yet."""
        self.docker, self.root = docker, root

    def has(self, *images: Any, containers: tuple[Any, ...] = (), **answers: Any) -> None:
        """Say which images and containers there are, and what the commands in `answers` say."""
        ids = [item["Id"] for item in images]
        known = {
            f"image inspect {name}": json.dumps([item])
            for item in images
            for name in (*item["RepoDigests"], *item["RepoTags"])
        }
        # One that was asked to go is gone when asked for again; one alone is asked for by its id before, too.
        gone = [json.dumps(images), GONE] if len(ids) == 1 else GONE
        known |= {f"image inspect {identity}": gone for identity in ids}
        step = {
            **known,
            "image ls": "".join(f"{identity}\n" for identity in ids),
            "image inspect": GONE,
            **(
                {f"image inspect {' '.join(sorted(ids))}": json.dumps(images)}
                if len(ids) > 1
                else {}
            ),
            "container ls": "".join(f"{number:064d}\n" for number, _ in enumerate(containers)),
            "container inspect": json.dumps(containers),
            "image rm": "",
            "info": f"{self.root}\n",
            **{key.replace("_", " "): value for key, value in answers.items()},
        }
        self.docker.says(step)

    def asked_to_remove(self) -> list[str]:
        """Return what the client was asked to remove."""
        return [call["command"].removeprefix("image rm ") for call in self.docker.calls("image rm")]


@pytest.fixture
def engine(docker: Any, tmp_path: Path) -> Engine:
    return Engine(docker, tmp_path)


def test_what_nothing_needs_goes(engine: Engine, run: Any) -> None:
    engine.has(NEW, TARGET, OLD, containers=(container("beanft_web.1.x", "1"),))
    result = run("image_prune", keep=[reference("new"), reference("target")])
    assert result["changed"]
    assert result["removed"] == engine.asked_to_remove() == [reference("old")]
    assert (result["left"], result["missing"]) == ([], [])
    assert result["freed"] >= 0


def test_only_images_with_the_label_are_listed(engine: Engine, run: Any, docker: Any) -> None:
    engine.has(OLD)
    run("image_prune", keep=[], label="other=thing")
    assert [call["command"] for call in docker.calls("image ls")] == [
        "image ls --quiet --no-trunc --filter label=other=thing"
    ]
    assert not docker.calls("image prune")
    assert not [name for name in engine.asked_to_remove() if name.startswith("-")]


def test_nothing_to_remove_is_no_change(engine: Engine, run: Any) -> None:
    engine.has(NEW, TARGET)
    result = run("image_prune", keep=[reference("new"), reference("target")])
    assert (result["changed"], result["removed"], result["freed"]) == (False, [], 0)
    engine.has()
    assert not run("image_prune", keep=[])["changed"]


def test_check_mode_removes_nothing(engine: Engine, run: Any) -> None:
    engine.has(NEW, OLD, image("4"))
    result = run("image_prune", keep=[reference("new")], check=True)
    assert result["changed"]
    assert result["removed"] == [reference("old"), "sha256:4"]
    assert result["freed"] == 0
    assert not engine.asked_to_remove()


def test_what_a_container_uses_stays_stopped_or_not(engine: Engine, run: Any, docker: Any) -> None:
    engine.has(OLD, containers=(container("beanft_web.2.y", "3"),))
    result = run("image_prune", keep=[])
    assert not result["changed"]
    assert result["left"] == [
        {"image": reference("old"), "reason": "container beanft_web.2.y uses it"}
    ]
    assert [call["command"] for call in docker.calls("container ls")] == [
        "container ls --quiet --no-trunc --all"
    ]
    assert not engine.asked_to_remove()


def test_a_target_that_is_not_there_is_said(engine: Engine, run: Any) -> None:
    engine.has(NEW)
    result = run("image_prune", keep=[reference("target"), reference("new")])
    assert result["missing"] == [reference("target")]
    assert not result["changed"]


def test_all_names_of_an_image_go(engine: Engine, run: Any) -> None:
    engine.has(image("5", "old", "elder", tags=("mine:1",)))
    result = run("image_prune", keep=[])
    assert result["removed"] == engine.asked_to_remove()
    assert result["removed"] == ["mine:1", reference("old"), reference("elder")]


def test_one_name_to_keep_keeps_the_image(engine: Engine, run: Any) -> None:
    engine.has(image("5", "old", "new"))
    assert not run("image_prune", keep=[reference("new")])["changed"]
    assert not engine.asked_to_remove()


def test_an_image_without_a_name_goes_by_its_id(engine: Engine, run: Any) -> None:
    engine.has({"Id": "sha256:6", "RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]})
    result = run("image_prune", keep=[])
    assert result["removed"] == engine.asked_to_remove() == ["sha256:6"]


def test_a_name_that_went_with_another_is_no_error(engine: Engine, run: Any) -> None:
    engine.has(image("5", "old", tags=("mine:1",)), **{"image rm": ["", GONE]})
    assert run("image_prune", keep=[])["removed"] == ["mine:1", reference("old")]


def test_what_the_engine_does_not_let_go_is_left_and_the_rest_goes(
    engine: Engine, run: Any
) -> None:
    refused = {"err": "conflict: unable to delete (must be forced)\n", "code": 1}
    engine.has(
        OLD,
        image("4"),
        **{
            f"image rm {reference('old')}": refused,
            "image inspect sha256:3": json.dumps([OLD]),
            "image inspect sha256:3 sha256:4": json.dumps([OLD, image("4")]),
        },
    )
    result = run("image_prune", keep=[])
    assert result["removed"] == ["sha256:4"]
    assert result["left"] == [
        {"image": reference("old"), "reason": "conflict: unable to delete (must be forced)"}
    ]


@pytest.mark.parametrize("command", ["image inspect", "image ls", "container ls", "info"])
def test_an_engine_that_cannot_say_removes_nothing(engine: Engine, run: Any, command: str) -> None:
    """What could not be asked for must not pass for what is not there: it may be the target."""
    hung = {"err": "context deadline exceeded\n", "code": 1}
    engine.has(OLD, **{command: hung, f"image inspect {reference('target')}": hung})
    result = run("image_prune", keep=[reference("target")])
    assert result["failed"]
    assert result["msg"] == (
        "images that nothing needs could not be removed: context deadline exceeded"
    )
    assert not engine.asked_to_remove()


def test_a_container_that_ends_meanwhile(engine: Engine, run: Any) -> None:
    ended = {"err": "Error: No such container: 1\n", "code": 1}
    engine.has(
        OLD,
        containers=(container("x", "3"),),
        container_inspect=[ended, json.dumps([container("x", "3")])],
    )
    assert run("image_prune", keep=[])["left"]


def test_a_reference_without_a_digest_is_refused(run: Any, docker: Any) -> None:
    result = run("image_prune", keep=["beanft/web:latest"])
    assert result["msg"] == "images are kept by digest, and these have none: beanft/web:latest"
    assert not docker.calls()

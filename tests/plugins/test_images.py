"""image_publish and image_pull: by digest or not at all."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
REGISTRY = "127.0.0.1:5000"


def image(*known: str) -> str:
    """An image as `docker image inspect` shows it."""
    return json.dumps([{"Id": "sha256:1", "RepoDigests": list(known)}])


MISSING = {"err": "Error: No such image: x\n", "code": 1}


def pushed(digest: str, *layers: str) -> str:
    """What `docker push` prints."""
    lines = [f"{number:012d}: {state}" for number, state in enumerate(layers)]
    return "\n".join(
        ["The push refers to repository [r]", *lines, f"latest: digest: {digest} size: 1"]
    )


def test_images_are_pushed_and_named_by_digest(docker: Any, run: Any) -> None:
    docker.says(
        {
            "image inspect c/api": image(),
            "image inspect c/web": image(),
            f"push {REGISTRY}/beanft/api": pushed(A, "Pushed", "Layer already exists"),
            f"push {REGISTRY}/beanft/web": pushed(B, "Pushed", "Pushed"),
        },
        tag="",
    )
    images = {"c/api": "beanft/api", "c/web": "beanft/web"}
    result = run("image_publish", images=images, registry=REGISTRY)
    assert result["changed"]
    assert result["digests"] == {"beanft/api": A, "beanft/web": B}
    assert result["layers"] == 3
    assert {call["command"] for call in docker.calls("tag")} == {
        f"tag c/api {REGISTRY}/beanft/api",
        f"tag c/web {REGISTRY}/beanft/web",
    }


@pytest.mark.parametrize(
    ("known", "digest", "changed"),
    [
        (f"{REGISTRY}/beanft/api@{A}", A, False),
        # Only the configuration differs: no layer moves.
        (f"{REGISTRY}/beanft/api@{B}", A, True),
        (f"{REGISTRY}/beanft/api-other@{A}", A, True),
    ],
)
def test_what_the_registry_has_is_no_change(
    docker: Any, run: Any, known: str, digest: str, changed: bool
) -> None:
    docker.says(image_inspect=image(known), tag="", push=pushed(digest, "Layer already exists"))
    result = run("image_publish", images={"c/api": "beanft/api"}, registry=REGISTRY)
    assert result["changed"] is changed
    assert result["layers"] == 0


@pytest.mark.parametrize(
    "said",
    ["latest: digest: sha256:abc size: 1", "digest: md5:" + "a" * 64, "", "Pushed"],
)
def test_a_push_without_a_digest_is_refused(docker: Any, run: Any, said: str) -> None:
    docker.says(image_inspect=image(), tag="", push=said)
    result = run("image_publish", images={"c/api": "beanft/api"}, registry=REGISTRY)
    assert result["msg"] == (
        f"the registry at {REGISTRY} did not take the images: "
        "docker push of c/api reported no digest"
    )


def test_a_registry_that_refuses(docker: Any, run: Any) -> None:
    docker.says(image_inspect=image(), tag="", push={"err": "connection refused\n", "code": 1})
    result = run("image_publish", images={"c/api": "beanft/api"}, registry=REGISTRY)
    assert (
        result["msg"] == f"the registry at {REGISTRY} did not take the images: connection refused"
    )


def test_images_that_are_not_built_are_named(docker: Any, run: Any) -> None:
    docker.says({"image inspect c/api": image(), "image inspect c/w": MISSING})
    images = {"c/web": "beanft/web", "c/api": "beanft/api", "c/worker": "beanft/worker"}
    result = run("image_publish", images=images, registry=REGISTRY)
    assert result["msg"] == "not built: c/web, c/worker. Run 'make images' first."
    assert not docker.calls("push")


@pytest.mark.parametrize(
    ("known", "changed"), [([f"{REGISTRY}/beanft/api@{A}"], False), ([], True)]
)
def test_check_mode_pushes_nothing(docker: Any, run: Any, known: list[str], changed: bool) -> None:
    docker.says(image_inspect=image(*known))
    images = {"c/api": "beanft/api"}
    result = run("image_publish", images=images, registry=REGISTRY, check=True)
    assert result["changed"] is changed
    assert result["digests"] == {"beanft/api": "" if changed else A}
    assert not docker.calls("push")


def container(image: str = "sha256:r", running: bool = True) -> str:
    labels = {"beanft.port": "5123"}
    return json.dumps(
        [{"Image": image, "State": {"Running": running}, "Config": {"Labels": labels}}]
    )


def test_a_registry_that_is_a_container_is_found_by_its_label(docker: Any, run: Any) -> None:
    docker.says(
        container_inspect=container(), image_inspect=image(), tag="", push=f"digest: {A} size: 1"
    )
    result = run(
        "image_publish",
        images={"c/api": "beanft/api"},
        container={"name": "c-registry", "image": "sha256:r"},
    )
    assert (result["registry"], result["digests"]) == ("127.0.0.1:5123", {"beanft/api": A})


@pytest.mark.parametrize(
    "found", [MISSING, container("sha256:older"), container(running=False)], ids=str
)
def test_a_registry_that_does_not_run_is_not_pushed_to(docker: Any, run: Any, found: Any) -> None:
    docker.says(container_inspect=found, image_inspect=image())
    result = run(
        "image_publish",
        images={"c/api": "beanft/api"},
        container={"name": "c-registry", "image": "sha256:r"},
    )
    assert (result["registry"], result["digests"], result["changed"]) == ("", {}, False)
    assert not docker.calls("push")


# ------------------------------------------------------------------------ pull
def pinned(name: str, digest: str = A) -> str:
    return f"{REGISTRY}/beanft/{name}@{digest}"


@pytest.fixture
def root(tmp_path: Path) -> str:
    """Where the engine keeps its data."""
    return f"{tmp_path}\n"


def test_only_what_is_missing_is_pulled(docker: Any, run: Any, root: str) -> None:
    docker.says(
        {f"image inspect {pinned('api')}": image(), "image inspect": MISSING},
        pull=f"{A}\n",
        info=root,
    )
    images = [pinned("web"), pinned("api"), pinned("web")]
    result = run("image_pull", images=images)
    assert result["changed"]
    assert result["pulled"] == [pinned("web")]
    assert result["missing"] == []
    assert result["bytes"] >= 0
    assert [call["command"] for call in docker.calls("pull")] == [f"pull --quiet {pinned('web')}"]


def test_nothing_missing_is_no_change(docker: Any, run: Any, root: str) -> None:
    docker.says(image_inspect=image(), info=root)
    # There is nothing to make room for.
    result = run("image_pull", images=[pinned("api")], min_free_bytes=10**18)
    assert not result["changed"]
    assert not docker.calls("pull")


def test_an_image_without_a_digest_is_refused(docker: Any, run: Any) -> None:
    result = run("image_pull", images=[pinned("api"), "beanft/web:latest", "beanft/worker"])
    assert result["msg"] == (
        "images are pulled by digest, and these have none: beanft/web:latest, beanft/worker"
    )
    assert not docker.calls()


def test_check_mode_pulls_nothing(docker: Any, run: Any, root: str) -> None:
    docker.says(image_inspect=MISSING, info=root)
    result = run("image_pull", images=[pinned("api")], min_free_bytes=10**18, check=True)
    assert result["changed"]
    assert result["pulled"] == result["missing"] == [pinned("api")]
    assert not docker.calls("pull")


def test_room_is_asked_for_before_anything_is_pulled(
    docker: Any, run: Any, root: str, tmp_path: Path
) -> None:
    docker.says(image_inspect=MISSING, pull=f"{A}\n", info=root)
    result = run("image_pull", images=[pinned("api"), pinned("web")], min_free_bytes=10**18)
    free = result["msg"].split(" has ")[1].split(" GB free")[0]
    assert 0 <= float(free) < 10**9
    assert result["msg"] == (
        f"{platform.node()}:{tmp_path} has {free} GB free and 1000000000.0 GB are needed to pull 2 image(s): "
        "make room on that disk (docker system df shows what takes it) and run again"
    )
    assert not docker.calls("pull")
    assert run("image_pull", images=[pinned("api")], min_free_bytes=1)["free_bytes"] > 1


@pytest.mark.parametrize("said", [{"err": "Cannot connect\n", "code": 1}, "/not/there\n"])
def test_room_that_cannot_be_asked_for(docker: Any, run: Any, said: Any) -> None:
    docker.says(image_inspect=MISSING, info=said)
    result = run("image_pull", images=[pinned("api")])
    assert result["msg"].startswith(f"the free disk of {platform.node()} could not be asked for: ")
    assert not docker.calls("pull")


def test_a_pull_that_fails_says_what_to_look_at(docker: Any, run: Any, root: str) -> None:
    docker.says(
        image_inspect=MISSING,
        pull={"err": "write /var/lib: no space left on device\n", "code": 1},
        info=root,
    )
    result = run("image_pull", images=[pinned("api"), pinned("web")])
    assert result["msg"].startswith(
        "an image could not be pulled (write /var/lib: no space left on device): is the registry"
    )


def test_images_are_pulled_at_once(docker: Any, run: Any, root: str) -> None:
    docker.says(image_inspect=MISSING, pull={"seconds": 6}, info=root)
    run("image_pull", images=[pinned(name) for name in "abcd"])
    began = [call["at"] for call in docker.calls("pull")]
    assert len(began) == 4
    assert max(began) - min(began) < 6


def test_bytes_are_those_of_the_machines_own_interfaces(
    plugin: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    for name, count, hardware in (
        ("lo", 1, False),
        ("docker0", 2, False),
        ("eth0", 40, False),
        ("wlp1", 500, True),
        ("ens3", 6000, True),
    ):
        (tmp_path / name / "statistics").mkdir(parents=True)
        (tmp_path / name / "statistics" / "rx_bytes").write_text(f"{count}\n", encoding="utf-8")
        if hardware:
            (tmp_path / name / "device").mkdir()
    assert plugin("modules/image_pull").received(tmp_path) == 6540


# -------------------------------------------------------------------- the client
def test_no_client_is_said_in_one_sentence(
    docker: Any, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(docker.directory / "nothing"))
    result = run("swarm_release", stack="s")
    assert "the docker client could not be run: " in result["msg"]


def test_a_client_that_hangs_is_ended(docker: Any, plugin: Callable[[str], ModuleType]) -> None:
    shared = plugin("module_utils/docker_cli")
    docker.says(service_ls={"seconds": 120})
    started = time.monotonic()
    with pytest.raises(shared.DockerError, match="'docker service ls' did not end within 1 s"):
        shared.docker(None, "service", "ls", "--quiet", seconds=1)
    assert time.monotonic() - started < 30


def test_a_client_that_fails_without_a_word(
    docker: Any, plugin: Callable[[str], ModuleType]
) -> None:
    shared = plugin("module_utils/docker_cli")
    docker.says(info={"code": 1})
    with pytest.raises(shared.DockerError, match="the docker client said nothing"):
        shared.docker(None, "info")

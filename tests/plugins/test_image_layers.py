"""image_layers and its filter: what moves to a machine, as the registry says it."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

V2 = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Registry:
    """A registry on the loopback with the manifests that a test puts into it."""

    def __init__(self) -> None:
        """Start to listen."""
        self.manifests: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.accepted: set[str] = set()
        self.status = 200
        registry = self

        class Answers(BaseHTTPRequestHandler):
            """Serves manifests."""

            def do_GET(self) -> None:
                """Answer."""
                registry.asked.append(self.path)
                registry.accepted |= set(self.headers["Accept"].split(", "))
                body = registry.manifests.get(self.path)
                self.send_response(registry.status if body is not None else 404)
                self.end_headers()
                self.wfile.write(b"{}" if body is None else body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.name = f"127.0.0.1:{self.server.server_port}"

    def put(self, name: str, *layers: tuple[str, int], **values: Any) -> str:
        """Put an image into it, return its reference as a machine pulls it."""
        manifest = {
            "mediaType": V2,
            "config": {"digest": "sha256:c", "size": 7},
            "layers": [{"digest": digest, "size": size} for digest, size in layers],
            **values,
        }
        return self.put_text(name, json.dumps(manifest).encode())

    def put_text(self, name: str, body: bytes) -> str:
        """Put a manifest's text into it."""
        digest = hashlib.sha256(body).hexdigest()
        self.manifests[f"/v2/beanft/{name}/manifests/sha256:{digest}"] = body
        return f"192.0.2.1:5000/beanft/{name}@sha256:{digest}"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry; a proxy that a company has does not lead to it."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    found = Registry()
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


UNKNOWN = f"192.0.2.1:5000/beanft/api@sha256:{'0' * 64}"


def test_layers_and_what_moves(
    registry: Registry, run: Any, plugin: Callable[[str], ModuleType]
) -> None:
    old = registry.put("api", ("base", 1000), ("code1", 50))
    api = registry.put("api", ("base", 1000), ("code2", 60))
    web = registry.put("web", ("base", 1000), ("code2", 60), ("pages", 5))
    result = run(
        "image_layers", registry=registry.name, references=[api, web], known=[old, UNKNOWN]
    )
    assert not result["changed"]
    assert result["forgotten"] == [UNKNOWN]
    assert result["images"][api] == {
        "layers": [{"digest": "base", "size": 1000}, {"digest": "code2", "size": 60}],
        "config": 7,
    }
    assert V2 in registry.accepted
    move = plugin("filter/layers").FilterModule().filters()["layers_to_move"]
    images = result["images"]
    # A layer that two images share moves once, and every new image has a configuration.
    assert move(images, [api, web], [old]) == {
        "layers": [{"digest": "code2", "size": 60}, {"digest": "pages", "size": 5}],
        "bytes": 60 + 5 + 2 * 7,
    }
    assert move(images, [api, web])["bytes"] == 1000 + 60 + 5 + 2 * 7
    assert move(images, [api, web], [UNKNOWN]) == move(images, [api, web])
    assert move(images, [api], [old, api]) == {"layers": [], "bytes": 0}
    with pytest.raises(AnsibleFilterError, match="no layers are known: 192"):
        move(images, [UNKNOWN])


def test_the_same_layer_above_another_one_moves_again(plugin: Any) -> None:
    def image(*digests: str) -> dict[str, Any]:
        return {"layers": [{"digest": name, "size": 10} for name in digests], "config": 1}

    images = {
        "api:1": image("base", "code1"),
        "web:1": image("base", "pages", "code1"),
        "api:2": image("base", "code2"),
        "web:2": image("base", "pages", "code2"),
    }
    move = plugin("filter/layers").FilterModule().filters()["layers_to_move"]
    moved = move(images, ["api:2", "web:2"], ["api:1", "web:1"])
    assert [layer["digest"] for layer in moved["layers"]] == ["code2", "code2"]
    assert moved["bytes"] == 2 * 10 + 2 * 1


def test_an_image_that_was_not_published(registry: Registry, run: Any) -> None:
    result = run("image_layers", registry=registry.name, references=[UNKNOWN])
    assert result["msg"] == (
        f"the registry {registry.name} does not have {UNKNOWN}: publish the images first"
    )


@pytest.mark.parametrize("kind", [{"mediaType": INDEX}, {"mediaType": None, "manifests": []}])
def test_an_index_is_refused(registry: Registry, run: Any, kind: dict[str, Any]) -> None:
    reference = registry.put("api", **kind)
    result = run("image_layers", registry=registry.name, references=[reference])
    assert result["msg"] == (
        f"{reference} is an index of several platforms: name the image of one platform by its digest"
    )


def test_a_manifest_of_another_kind_is_refused(registry: Registry, run: Any) -> None:
    reference = registry.put("api", mediaType="text/x")
    result = run("image_layers", registry=registry.name, references=[reference])
    assert result["msg"] == f"{reference} has a manifest of the unknown kind text/x"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"layers": [{}], "config": {"size": 1}}'])
def test_a_manifest_that_is_none(registry: Registry, run: Any, body: bytes) -> None:
    reference = registry.put_text("api", body)
    result = run("image_layers", registry=registry.name, references=[reference])
    assert f"the manifest of {reference} can't be read: " in result["msg"]


def test_a_manifest_that_was_changed_is_refused(registry: Registry, run: Any) -> None:
    reference = registry.put("api", ("base", 1000))
    path = next(iter(registry.manifests))
    registry.manifests[path] = registry.manifests[path].replace(b"1000", b"1001")
    result = run("image_layers", registry=registry.name, references=[reference])
    assert result["msg"] == f"the registry {registry.name} has another manifest under {reference}"


def test_a_registry_that_refuses(registry: Registry, run: Any) -> None:
    reference = registry.put("api")
    registry.status = 401
    result = run("image_layers", registry=registry.name, references=[reference])
    assert result["msg"] == f"the registry {registry.name} answers 401 for {reference}"


def test_no_registry(run: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        name = f"127.0.0.1:{taken.getsockname()[1]}"
        result = run("image_layers", registry=name, references=[UNKNOWN])
    assert result["msg"].startswith(f"the registry {name} could not be asked for {UNKNOWN} (")
    assert result["msg"].endswith("): does it run?")


@pytest.mark.parametrize("bad", ["api@sha256:" + "0" * 64, "r/api:latest", "r/api@sha256:ab"])
def test_a_reference_without_a_digest_is_refused(run: Any, bad: str) -> None:
    result = run("image_layers", registry="127.0.0.1:1", references=[], known=[bad])
    assert result["msg"] == f"images are known by digest, and these have none: {bad}"


@pytest.mark.parametrize(
    ("registry_name", "loopback"),
    [
        ("127.0.0.1:5000", True),
        ("127.8.0.1:5000", True),
        ("[::1]:5000", True),
        ("localhost:5000", True),
        ("registry.example:5000", False),
        ("127.0.0.1.example:5000", False),
        ("10.0.0.1:5000", False),
    ],
)
def test_only_a_loopback_is_asked_in_clear(
    plugin: Callable[[str], ModuleType], registry_name: str, loopback: bool
) -> None:
    assert plugin("modules/image_layers").is_loopback(registry_name) is loopback

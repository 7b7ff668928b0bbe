"""swarm_lock: who gets the lock, who has to wait, and that a dead run's ends by itself.

The engine is a server on a socket of its own that keeps configs as Swarm does: labels are written with the
version that was read, any other version is refused.
"""

from __future__ import annotations

import contextlib
import json
import os
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Result = dict[str, Any]


class Store(socketserver.ThreadingUnixStreamServer):
    """Configs by name, each with a version."""

    def __init__(self, path: str) -> None:
        self.configs: dict[str, dict[str, Any]] = {}
        self.version = 10
        self.guard = threading.Lock()
        self.silent = False
        super().__init__(path, Handler)


class Handler(BaseHTTPRequestHandler):
    """The three calls that the lock makes."""

    server: Store

    def address_string(self) -> str:
        """Return a name: a socket's client has no address."""
        return "test"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: Any = None) -> None:
        """Answer with JSON."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        """Return a config."""
        with self.server.guard:
            if self.server.silent:
                self.answer(503, {"message": "The swarm does not have a leader"})
                return
            found = self.server.configs.get(self.path.rsplit("/", 1)[-1])
            self.answer(200 if found else 404, found)

    def do_POST(self) -> None:
        """Make or write a config."""
        spec = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.guard:
            known = self.server.configs.get(spec["Name"])
            if self.path.endswith("/create"):
                if known:
                    self.answer(409, {"message": "exists"})
                    return
            elif not known or f"version={known['Version']['Index']}" not in self.path:
                self.answer(500, {"message": "rpc error: update out of sequence"})
                return
            self.server.version += 1
            self.server.configs[spec["Name"]] = {
                "ID": "id",
                "Version": {"Index": self.server.version},
                "Spec": spec,
            }
            if known:
                self.server.configs["id"] = self.server.configs[spec["Name"]]
            self.answer(200, {"ID": "id"})


@pytest.fixture
def lock(plugin: Callable[[str], ModuleType]) -> ModuleType:
    """The module's part that is shared, as modules import it."""
    plugin("modules/swarm_lock")
    return sys.modules["ansible.module_utils.swarm_lock"]


@pytest.fixture
def store(
    plugin: Callable[[str], ModuleType],
    lock: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Store]:
    """An engine's store; the lease is short."""
    # The name is bound to at most 108 characters.
    monkeypatch.chdir(tmp_path)
    with Store("engine.sock") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setattr(lock, "SOCKET", "engine.sock")
        monkeypatch.setattr(plugin("modules/swarm_lock"), "LEASE", 1)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def take(run: Callable[..., Result], store: Store) -> Callable[..., Result]:
    """Return a function that takes the lock for a run."""

    def act(name: str, **values: Any) -> Result:
        return run("swarm_lock", stack="beanft", run=name, who=name, why=f"deploy {name}", **values)

    return act


def test_the_first_takes_it_and_says_who_where_and_why(take: Callable[..., Result]) -> None:
    result = take("anna", where="laptop")
    assert not result["changed"], "coming and going is no change of the machines"
    assert result["holder"]["run"] == "anna"
    assert result["holder"]["token"] == "1"
    assert "held by anna on laptop since 20" in result["text"]
    assert result["text"].endswith("for: deploy anna")


def test_the_same_run_may_take_it_again(take: Callable[..., Result]) -> None:
    take("anna")
    assert take("anna")["holder"]["token"] == "1"


def test_another_one_is_told_who_holds_it(take: Callable[..., Result]) -> None:
    take("anna")
    result = take("ben")
    assert result["failed"]
    assert "held by anna" in result["msg"]
    assert "LOCK_WAIT" in result["msg"]


def test_given_up_it_is_free_for_the_next(take: Callable[..., Result]) -> None:
    take("anna")
    assert take("anna", state="released")["holder"] == {}
    result = take("ben")
    assert (result["holder"]["run"], result["holder"]["token"]) == ("ben", "2")
    assert result["lost"] == {}


def test_nobody_gives_up_the_lock_of_another(take: Callable[..., Result]) -> None:
    take("anna")
    assert take("ben", state="released")["holder"]["run"] == "anna"


def test_who_waits_gets_it_when_it_is_given_up(
    take: Callable[..., Result], lock: ModuleType
) -> None:
    take("anna")
    later = threading.Timer(0.6, lambda: lock.Lock("beanft").release("anna"))
    later.start()
    result = take("ben", wait=5)
    later.join()
    assert result["holder"]["run"] == "ben"
    assert result["lost"] == {}


def test_the_lock_of_a_dead_run_ends_after_its_lease(take: Callable[..., Result]) -> None:
    take("anna")
    started = time.monotonic()
    result = take("ben", wait=10)
    assert result["holder"]["run"] == "ben"
    assert result["lost"]["run"] == "anna"
    assert 0.9 < time.monotonic() - started < 9


def test_a_run_that_renews_keeps_it(take: Callable[..., Result], lock: ModuleType) -> None:
    take("anna")
    stop = threading.Event()

    def renew() -> None:
        while not stop.wait(0.2):
            lock.Lock("beanft").renew("anna")

    thread = threading.Thread(target=renew)
    thread.start()
    result = take("ben", wait=3)
    stop.set()
    thread.join()
    assert result["failed"]
    assert "held by anna" in result["msg"]


class Module:
    """What a fence reads of a module."""

    check_mode = False

    def __init__(self, run: str) -> None:
        self.params = {"lock": {"stack": "beanft", "run": run}}


def test_the_fence_stops_a_run_whose_lock_was_taken_over(
    take: Callable[..., Result], lock: ModuleType
) -> None:
    take("anna")
    fence = lock.Fence(Module("anna"))
    fence.check()
    take("ben", wait=10)
    with pytest.raises(Exception, match="no longer this run's but held by ben"):
        fence.check()


def test_without_a_lock_there_is_no_fence(lock: ModuleType) -> None:
    module = Module("")
    module.params = {"lock": None}
    lock.Fence(module).check()
    lock.Fence(module).tick()


def test_a_module_that_nobody_listens_to_changes_nothing(
    take: Callable[..., Result], lock: ModuleType, tmp_path: Path
) -> None:
    """As on a machine whose control machine was killed: nothing reads the module's stdout."""
    take("anna")
    reader, writer = os.pipe()
    kept = os.dup(1)
    try:
        os.dup2(writer, 1)
        os.close(writer)
        lock.Fence(Module("anna")).check()
        os.close(reader)
        with pytest.raises(Exception, match="control machine has gone"):
            lock.Fence(Module("anna")).check()
        with pytest.raises(Exception, match="control machine has gone"):
            lock.Fence(Module("anna")).tick()
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def test_while_it_waits_a_step_bears_an_engine_without_a_leader(
    take: Callable[..., Result], lock: ModuleType, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    take("anna")
    fence = lock.Fence(Module("anna"))
    monkeypatch.setattr(lock, "LEASE", 0)
    store.silent = True
    fence.tick()
    with pytest.raises(Exception, match="leader"):
        fence.check()


def test_of_two_at_once_one_gets_it(take: Callable[..., Result], lock: ModuleType) -> None:
    got: list[str] = []

    def grab(name: str) -> None:
        wanted = {"run": name, "who": name, "where": "x", "why": "x", "since": "now", "lease": "60"}
        with contextlib.suppress(lock.DockerError):
            lock.acquire(lock.Lock("beanft"), wanted, 0)
            got.append(name)

    threads = [threading.Thread(target=grab, args=(f"run{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1

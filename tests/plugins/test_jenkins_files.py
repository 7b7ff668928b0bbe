"""The module that fetches Jenkins' war and plugins, against a mirror on the loopback."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., dict[str, Any]]


class Mirror:
    """A mirror, and a controller's folders."""

    def __init__(self, root: Path) -> None:
        self.root = root / "mirror"
        self.wars, self.plugins = root / "wars", root / "home/plugins"
        for folder in (self.root / "war", self.root / "plugins", self.wars, self.plugins):
            folder.mkdir(parents=True)
        self.asked: list[str] = []

    def has(self, path: str, content: str) -> str:
        """Put a file there, and return its checksum."""
        (self.root / path).write_text(content)
        return hashlib.sha256(content.encode()).hexdigest()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the mirror, and notes what was asked for."""

    def __init__(self, mirror: Mirror, *arguments: Any) -> None:
        self.mirror = mirror
        super().__init__(*arguments, directory=str(mirror.root))

    def log_message(self, *arguments: Any) -> None:
        """Note it instead of printing it."""
        self.mirror.asked.append(self.path)


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path)


@pytest.fixture
def ask(run: Run, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Return a function that runs the module against the mirror."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, mirror))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def act(**parameters: Any) -> dict[str, Any]:
        mirror.asked.clear()
        return run(
            "jenkins_files",
            **{
                "mirror": f"http://127.0.0.1:{server.server_port}/",
                "wars": str(mirror.wars),
                "folder": str(mirror.plugins),
                **parameters,
            },
        )

    yield act
    server.shutdown()
    thread.join()
    server.server_close()


def pins(mirror: Mirror, war: str = "war 1", **plugins: str) -> dict[str, Any]:
    """Put files on the mirror, and return what pins them; a version is the last word of a content."""
    return {
        "war": {"version": war.split()[-1], "sha256": mirror.has("war/jenkins.war", war)},
        "plugins": [
            {
                "name": name,
                "version": text.split()[-1],
                "sha256": mirror.has(f"plugins/{name}.hpi", text),
            }
            for name, text in plugins.items()
        ],
    }


def names(folder: Path) -> list[str]:
    """Return what is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_what_is_missing_is_fetched_once(ask: Run, mirror: Mirror) -> None:
    wanted = pins(mirror, git="git 1", mailer="mailer 1")
    announced = ask(**wanted, check=True)
    assert announced["changed"]
    assert (names(mirror.wars), names(mirror.plugins), mirror.asked) == ([], [], [])
    done = ask(**wanted)
    assert (
        done["fetched"] == ["the war 1", "plugin git 1", "plugin mailer 1"] == announced["fetched"]
    )
    assert (mirror.wars / "jenkins-1.war").read_text() == "war 1"
    assert names(mirror.plugins) == ["git.jpi", "mailer.jpi"]
    assert (mirror.plugins / "git.jpi").read_text() == "git 1"
    again = ask(**wanted)
    assert not again["changed"]
    assert mirror.asked == []


def test_another_version_takes_its_place_and_the_war_of_before_stays(
    ask: Run, mirror: Mirror
) -> None:
    before = pins(mirror, git="git 1", mailer="mailer 1")
    ask(**before)
    (mirror.plugins / "git").mkdir()
    (mirror.plugins / "git/unpacked").touch()
    done = ask(**pins(mirror, "war 2", git="git 2", mailer="mailer 1"))
    assert done["fetched"] == ["the war 2", "plugin git 2"]
    assert names(mirror.wars) == ["jenkins-1.war", "jenkins-2.war"]
    assert (mirror.plugins / "git.jpi").read_text() == "git 2"
    # Jenkins unpacks it anew.
    assert names(mirror.plugins) == ["git.jpi", "mailer.jpi"]
    # And back: the war is there, the plugin is asked for.
    mirror.has("plugins/git.hpi", "git 1")
    assert ask(**before)["fetched"] == ["plugin git 1"]


def test_what_is_not_listed_is_removed(ask: Run, mirror: Mirror) -> None:
    wanted = pins(mirror, git="git 1")
    ask(**wanted)
    for name in ("old.jpi", "older.hpi"):
        (mirror.plugins / name).write_text("x")
    (mirror.plugins / "old").mkdir()
    assert ask(**wanted, check=True)["removed"] == ["old", "older"]
    assert len(names(mirror.plugins)) == 4
    done = ask(**wanted)
    assert (done["changed"], done["fetched"], done["removed"]) == (True, [], ["old", "older"])
    assert names(mirror.plugins) == ["git.jpi"]


@pytest.mark.parametrize("path", ["war/jenkins.war", "plugins/mailer.hpi"])
def test_a_changed_byte_is_refused_before_anything_is_put_in_place(
    ask: Run, mirror: Mirror, path: str
) -> None:
    ask(**pins(mirror, git="git 1", mailer="mailer 1"))
    wanted = pins(mirror, "war 2", git="git 2", mailer="mailer 2")
    mirror.has(path, "war X" if "war" in path else "mailer X")
    done = ask(**wanted)
    assert done["failed"]
    assert f"{path} is refused, and nothing is changed: its SHA-256 is" in done["msg"]
    assert names(mirror.wars) == ["jenkins-1.war"]
    assert (mirror.plugins / "git.jpi").read_text() == "git 1"


def test_a_file_that_was_changed_on_the_controller_is_put_back(ask: Run, mirror: Mirror) -> None:
    wanted = pins(mirror, git="git 1")
    ask(**wanted)
    (mirror.plugins / "git.jpi").write_text("git 0")
    assert ask(**wanted)["fetched"] == ["plugin git 1"]
    assert (mirror.plugins / "git.jpi").read_text() == "git 1"


def test_a_mirror_that_lacks_a_file_or_does_not_answer_is_named(ask: Run, mirror: Mirror) -> None:
    wanted = pins(mirror, git="git 1")
    (mirror.root / "plugins/git.hpi").unlink()
    assert "plugin git 1 could not be fetched from http://127.0.0.1:" in ask(**wanted)["msg"]
    done = ask(**wanted, mirror="http://127.0.0.1:9")
    assert "is the mirror in reach, and does it have it?" in done["msg"]
    assert names(mirror.wars) == []

"""A checkout of its own, with a fleet of its own, to try operations on.

Names of containers, networks and ports derive from a checkout's path: a copy of the tree in
another folder is another installation, and nothing here touches the one beside it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What make and the scripts would inherit from the run that called us.
INHERITED = (
    "MAKEFLAGS",
    "MAKELEVEL",
    "MAKEOVERRIDES",
    "MFLAGS",
    "ENV",
    "CLOUD",
    "NODES",
    "MACHINES",
    "RELEASE",
    "STACK",
    "TO",
    "AT",
    "HOST",
    "SERVICE",
    "ROLE",
    "BUNDLE",
    "CONFIRM",
    "LOCK_WAIT",
    "SECRET",
    "FROM",
    "FULL",
    "ON",
    "MESSAGE",
    "SIGNERS",
    "WATCH",
    "JSON",
    "VERSION",
    "STATE",
    "ANY_REVISION",
    "ACTION",
    "ENVIRONMENT",
    "DRY_RUN",
    "AGREED",
    "DISKS",
    "CHECK",
    "JENKINS_MIRROR",
)


class CommandError(AssertionError):
    """A command exited with something other than 0."""


@dataclass
class Checkout:
    """A copy of this tree, committed, in a folder of its own."""

    path: Path
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, path: Path) -> Checkout:
        """Clone the commit, lay what is not committed over it, and commit that."""
        checkout = cls(path)
        if path.exists():
            if (path / "Makefile").exists():
                checkout.run("bin/down", ok=False)
            shutil.rmtree(path)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(path)], check=True)
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            source, target = ROOT / name, path / name
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
            else:
                target.unlink(missing_ok=True)
        for name in ("user.name", "user.email"):
            checkout.git("config", name, "fleet@beanft.invalid")
        checkout.commit("As it is in the tree")
        # The same tools, by the same lock file.
        (path / ".venv").symlink_to(ROOT / ".venv")
        return checkout

    def environment(self) -> dict[str, str]:
        """Return the environment of a person who opens a new terminal."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if key not in INHERITED
            and not key.startswith(("BEANFT_", "GIT_CONFIG_", "PYTEST_", "ANSIBLE_"))
        }
        return {**kept, **self.variables}

    def run(self, *command: str, ok: bool = True, show: bool = True) -> str:
        """Run a command, show what it prints as it comes, and return it.

        Raises:
            CommandError: the exit code is not 0 although `ok`, or 0 although not `ok` is "fails".
        """
        if show:
            print(f"\n$ {' '.join(command)}", flush=True)
        lines = []
        with subprocess.Popen(
            command,
            cwd=self.path,
            env=self.environment(),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if show:
                    sys.stdout.write(f"  | {line}")
                    sys.stdout.flush()
        text = "".join(lines)
        if ok and process.returncode:
            raise CommandError(
                f"{' '.join(command)} exited with {process.returncode}: {text[-3000:]}"
            )
        return text

    def make_target(self, *arguments: str) -> str:
        """Run make and return what it printed."""
        return self.run("make", *arguments)

    def fails(self, *command: str) -> str:
        """Run a command that has to fail, and return what it printed."""
        print(f"\n$ {' '.join(command)}   (has to fail)", flush=True)
        done = subprocess.run(
            command,
            cwd=self.path,
            env=self.environment(),
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        text = done.stdout + done.stderr
        print("".join(f"  | {line}\n" for line in text.splitlines()), flush=True)
        assert done.returncode != 0, f"{' '.join(command)} succeeded and should not have"
        return text

    def git(self, *arguments: str) -> str:
        """Run git and return what it printed."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, message: str) -> str:
        """Commit all there is and return the revision as images carry it."""
        self.git("add", "--all")
        if self.git("status", "--porcelain"):
            self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "--short=12", "HEAD")

    def change(self, name: str, addition: str, message: str) -> str:
        """Add text to a file, commit, and return the revision."""
        path = self.path / name
        path.write_text(path.read_text() + addition)
        return self.commit(message)

    def url(self) -> str:
        """Return the URL of the entry."""
        return self.run("bin/url", show=False).strip()

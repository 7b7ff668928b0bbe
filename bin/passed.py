"""Runs a command unless it has passed on the same content; `bin/once` calls it.

    bin/once NAME PATHSPEC… -- COMMAND…

The content is all that git knows of the files that the pathspecs name (tracked, or new and not ignored),
the kernel, the architecture, the Python that runs, and PYTEST_ADDOPTS, which may choose tests. What has
passed is remembered for a week, which is how old Debian's packages may get, for every checkout of this user.
FRESH=1 runs everything again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(os.environ["BEANFT_ROOT"])
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "beanft" / "passed"
KEPT_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class Check:
    """Something that passes or fails by content alone."""

    name: str
    content: str
    """SHA-256 in hexadecimal."""

    @property
    def path(self) -> Path:
        """The file that is there when it has passed: its age is when, its words the seconds."""
        return CACHE / f"{self.name}-{self.content}"

    def passed(self) -> str:
        """Return when it has passed on this content and how long that took, or '' if it has not lately."""
        if os.environ.get("FRESH") == "1":
            return ""
        try:
            at, seconds = self.path.stat().st_mtime, self.path.read_text(encoding="utf-8")
        except OSError:
            return ""
        if not time.time() - KEPT_SECONDS < at <= time.time():
            return ""
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
        return f"passed on this content at {when} in {seconds} s (FRESH=1 runs it again)"

    def note(self, seconds: float) -> None:
        """Remember that it has passed now, and forget what is too old."""
        CACHE.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        temporary.write_text(f"{seconds:.0f}", encoding="utf-8")
        temporary.replace(self.path)
        for path in CACHE.iterdir():
            if path.stat().st_mtime < time.time() - KEPT_SECONDS:
                path.unlink(missing_ok=True)


def check(name: str, pathspecs: Iterable[str], more: Iterable[str] = ()) -> Check:
    """Return a check of the content that git's pathspecs name, and of more files, whatever those leave out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *pathspecs],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    around = (*platform.uname()[2:], sys.version, os.environ.get("PYTEST_ADDOPTS", ""))
    digest = hashlib.sha256("\n".join(around).encode())
    for relative in sorted({*listed.split(b"\0"), *map(os.fsencode, more)} - {b""}):
        path = ROOT / os.fsdecode(relative)
        if path.is_symlink():
            content = b"link " + os.fsencode(path.readlink())
        elif path.is_file():
            runs = b"program " if path.stat().st_mode & 0o100 else b"file "
            content = runs + hashlib.sha256(path.read_bytes()).digest()
        else:
            continue  # gone from the tree, not yet from git
        digest.update(relative + b"\0" + content + b"\0")
    return Check(name, digest.hexdigest())


def once(name: str, pathspecs: list[str], more: list[str], command: list[str]) -> int:
    """Run a command unless it has passed on this content; return its exit code, or 0."""
    before = check(name, pathspecs, more)
    if said := before.passed():
        print(f"{name}: {said}")
        return 0
    started = time.monotonic()
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    # What was changed meanwhile has not passed.
    if code == 0 and check(name, pathspecs, more) == before:
        before.note(time.monotonic() - started)
    return code


def main(words: list[str]) -> int:
    """Run what the command line says."""
    if "--" not in words[2:]:
        print("beanft: use bin/once NAME PATHSPEC… -- COMMAND…", file=sys.stderr)
        return 2
    middle = words.index("--")
    return once(words[0], words[1:middle], [], words[middle + 1 :])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

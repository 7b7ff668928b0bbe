"""Callback that prints nothing: modules that Ansible has built for machines are kept for later runs.

What goes to a machine is a module with all that it imports, in one archive. To build them is a good part of what a
short run takes, and each would build anew those that it uses. They are kept in ~/.cache/beanft/modules, in a folder
for each content of what they are built from: Python, the packages of the lock file, this project's plugins.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import time
from pathlib import Path

from ansible import constants as C  # noqa: N812 - as Ansible names it
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: built_modules
type: aggregate
short_description: modules that Ansible has built for machines are kept for later runs
description:
  - Leads the folder of a run in which Ansible looks for modules that are built to one that outlives the run.
"""

PLUGINS = Path(__file__).resolve().parents[1]
# What bin/tools writes when the packages of the lock file are installed.
INSTALLED = Path(sys.prefix) / "beanft-lock.sha256"
WEEK = 7 * 24 * 3600


def content() -> str:
    """Return a name for what modules are built from, '' where that is not known."""
    # A collection in the tree would come before the one that is installed.
    if not INSTALLED.is_file() or (PLUGINS.parent / "collections").exists():
        return ""
    known = hashlib.sha256(f"{sys.version} {INSTALLED.read_text(encoding='utf-8')}".encode())
    for folder in ("modules", "module_utils"):
        for path in sorted((PLUGINS / folder).rglob("*.py")):
            known.update(f"{path.relative_to(PLUGINS)} {path.stat().st_size} ".encode())
            known.update(path.read_bytes())
    return known.hexdigest()[:16]


def forget(kept: Path) -> None:
    """Remove what no run has begun with for a week."""
    for other in kept.parent.iterdir():
        with contextlib.suppress(OSError):
            if other != kept and other.stat().st_mtime < time.time() - WEEK:
                shutil.rmtree(other)


def keep(run: Path) -> Path | None:
    """Let a run find what earlier ones have built, and keep what it builds; return where, or None."""
    name = content()
    # Ansible makes a folder of this name when it builds the first.
    here = run / "ansiballz_cache"
    if not name or here.exists():
        return None
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kept = cache / "beanft" / "modules" / name
    # A run goes on without, where there is no room or no right.
    with contextlib.suppress(OSError):
        new = not kept.exists()
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Nobody else says what machines run.
        if kept.stat().st_uid == os.geteuid():
            os.utime(kept)
            if new:
                forget(kept)
            here.symlink_to(kept)
            return kept
    return None


KEPT = keep(Path(C.DEFAULT_LOCAL_TMP))


class CallbackModule(CallbackBase):
    """The callback: most of what it does happens when it is loaded."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "built_modules"

    def v2_playbook_on_stats(self, stats: object) -> None:
        """Keep nothing of a run in which a plugin was edited: it may be of another content than its folder says."""
        del stats
        if KEPT and KEPT.name != content():
            shutil.rmtree(KEPT, ignore_errors=True)

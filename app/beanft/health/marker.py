"""The file by which the supervisor tells the server that it is being drained."""

from __future__ import annotations

from pathlib import Path


def drain_marker(run_dir: Path) -> Path:
    """Return the marker's path: while it exists, ``/readyz`` answers 503."""
    return run_dir / "draining"

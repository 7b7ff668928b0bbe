"""And back to nothing."""

from __future__ import annotations

import subprocess

from tests.fleet.checkout import ROOT, Checkout
from tests.fleet.fleet import Fleet, docker


def test_down_leaves_nothing(fleet: Fleet, checkout: Checkout) -> None:
    name = fleet.name
    checkout.make_target("down")
    # Down also stops an engine that this project started and nothing else uses: look at what it kept.
    subprocess.run([str(ROOT / "bin/engine")], check=True)
    for kind in ("container ls --all", "network ls", "volume ls"):
        left = docker(*kind.split(), "--quiet", "--filter", f"label=beanft.checkout={name}")
        assert left == "", f"{kind}: {left}"
    # Also what has lost its label.
    assert name not in docker("ps", "--all", "--format", "{{.Names}}")

"""One checkout with its images, for all clouds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bridge.bridge import OVERLAY
from tests.fleet.checkout import ROOT, Checkout


@pytest.fixture(scope="session")
def checkout() -> Iterator[Checkout]:
    """A checkout whose images are built before anything in the environment leads to a stand-in."""
    checkout = Checkout.make(ROOT / "build" / "bridge-test")
    with (checkout.path / ".git" / "info" / "exclude").open("a") as file:
        # The second is what Ansible leaves in a home.
        file.write(f"{OVERLAY}\n.ansible/\n")
    try:
        checkout.make_target("images")
        yield checkout
    finally:
        checkout.variables = {}
        checkout.run("bin/down", ok=False)

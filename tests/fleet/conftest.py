"""One fleet for all tests here: made by the first that asks for it, gone after the last, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet.checkout import ROOT, Checkout
from tests.fleet.fleet import Fleet


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Three machines in a checkout of their own, up and serving."""
    checkout = Checkout.make(ROOT / "build" / "fleet-test")
    try:
        fleet = Fleet(checkout)
        fleet.up_text = checkout.make_target("up", "NODES=3")
        yield fleet
    finally:
        checkout.run("bin/down", ok=False)


@pytest.fixture(scope="session")
def checkout(fleet: Fleet) -> Checkout:
    """The fleet's checkout."""
    return fleet.checkout

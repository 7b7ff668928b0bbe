"""bin/inventory: by which URL the entry is asked for."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PROGRAM = str(Path(__file__).parents[2] / "bin/inventory")
LOCAL = {"beanft_entry_port": "8081", "beanft_entry_https_port": "8444"}
SELF_SIGNED, NAMED = {"name": "", "port": "443"}, {"name": "www.example.org", "port": "443"}


@pytest.fixture(scope="module")
def program() -> ModuleType:
    """Return the program, whose name has no suffix."""
    loader = importlib.machinery.SourceFileLoader("beanft_inventory", PROGRAM)
    spec = importlib.util.spec_from_loader("beanft_inventory", loader)
    assert spec
    found = importlib.util.module_from_spec(spec)
    loader.exec_module(found)
    return found


@pytest.mark.parametrize(
    ("host", "secure", "url"),
    [
        ({}, {}, "http://192.0.2.1"),
        (LOCAL, {}, "http://192.0.2.1:8081"),
        ({}, SELF_SIGNED, "https://192.0.2.1"),
        (LOCAL, SELF_SIGNED, "https://192.0.2.1:8444"),
        ({}, NAMED, "https://www.example.org"),
        ({}, NAMED | {"port": "8443"}, "https://www.example.org:8443"),
    ],
)
def test_url(program: ModuleType, host: dict[str, Any], secure: dict[str, str], url: str) -> None:
    assert program.url({"ansible_host": "192.0.2.1", **host}, secure) == url

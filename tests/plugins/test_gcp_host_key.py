"""The host key in what a machine's guest agent has told."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

Load = Callable[[str], ModuleType]


@pytest.mark.parametrize(
    ("answer", "key"),
    [
        ({}, ""),
        ({"queryValue": {}}, ""),
        (
            {"queryValue": {"items": [{"namespace": "other", "key": "ssh-ed25519", "value": "A"}]}},
            "",
        ),
        (
            {"queryValue": {"items": [{"namespace": "hostkeys", "key": "ssh-rsa", "value": "A"}]}},
            "",
        ),
        (
            {
                "queryValue": {
                    "items": [{"namespace": "hostkeys", "key": "ssh-ed25519", "value": "A"}]
                }
            },
            "ssh-ed25519 A",
        ),
    ],
)
def test_the_ed25519_key_is_taken(plugin: Load, answer: dict[str, Any], key: str) -> None:
    assert plugin("modules/gcp_host_key").key_of(answer) == key

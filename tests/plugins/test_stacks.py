"""Filters on stacks: what differs, what is scaled, and what an earlier release takes over."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


def stack(**services: Any) -> dict[str, Any]:
    return {"version": "3.12", "services": services, "secrets": {"key": {"name": "beanft-key-1"}}}


def service(image: str = "web@sha256:1", **environment: str) -> dict[str, Any]:
    return {"image": image, "environment": environment, "deploy": {"replicas": 2}}


@pytest.fixture
def stacks(plugin: Callable[[str], ModuleType]) -> ModuleType:
    return plugin("filter/stacks")


def test_another_image_is_no_setting(stacks: ModuleType) -> None:
    assert stacks.stack_differences(stack(web=service()), stack(web=service("web@sha256:2"))) == []


def test_settings_are_named_and_their_values_are_not(stacks: ModuleType) -> None:
    new = stack(web=service(A="secret-new", B="1"), api=service())
    old = stack(web=service(A="secret-old", C="1"), cars=service())
    new["secrets"]["key"]["name"] = "beanft-key-2"
    lines = stacks.stack_differences(new, old)
    assert lines == [
        "api: new",
        "web: ~environment.A",
        "web: +environment.B",
        "web: -environment.C",
        "cars: removed",
        "~secrets.key.name",
    ]
    assert "secret-" not in str(lines)


def test_scaled_leaves_the_original_alone(stacks: ModuleType) -> None:
    original = stack(web=service())
    assert stacks.stack_scaled(original, {"web": "4"})["services"]["web"]["deploy"]["replicas"] == 4
    assert original["services"]["web"]["deploy"]["replicas"] == 2


def test_an_earlier_release_takes_over_rotated_secrets_and_replicas(stacks: ModuleType) -> None:
    current = stack(web=service("web@sha256:2"))
    current["secrets"]["key"]["name"] = "beanft-key-2"
    carried = stacks.stack_carried(stack(web=service()), current, {"web": 3})
    assert carried["services"]["web"]["image"] == "web@sha256:1"
    assert carried["services"]["web"]["deploy"]["replicas"] == 3
    assert carried["secrets"]["key"]["name"] == "beanft-key-2"


def on_servers() -> dict[str, Any]:
    current = stack(
        web=service("web@sha256:2", BEANFT_DATABASE_URL="postgresql://x", BEANFT_QUEUE_URL="v://y")
    )
    current["services"]["web"]["deploy"]["placement"] = {"constraints": []}
    current["services"]["web"]["secrets"] = [{"source": "key"}, {"source": "password"}]
    current["secrets"]["password"] = {"name": "beanft-password-1"}
    return current


def in_a_file() -> dict[str, Any]:
    before = stack(web=service(A="1"))
    before["services"]["web"]["deploy"]["placement"] = {"constraints": ["data == true"]}
    before["services"]["web"]["secrets"] = [{"source": "key"}]
    return before


def test_an_earlier_release_finds_the_data_where_they_were_moved(stacks: ModuleType) -> None:
    carried = stacks.stack_carried(in_a_file(), on_servers(), {})
    web = carried["services"]["web"]
    assert web["image"] == "web@sha256:1"
    assert web["environment"] == {
        "A": "1",
        "BEANFT_DATABASE_URL": "postgresql://x",
        "BEANFT_QUEUE_URL": "v://y",
    }
    assert web["deploy"]["placement"] == {"constraints": []}
    assert [secret["source"] for secret in web["secrets"]] == ["key", "password"]
    assert carried["secrets"]["password"] == {"name": "beanft-password-1"}


def test_and_where_they_were_moved_back(stacks: ModuleType) -> None:
    carried = stacks.stack_carried(on_servers(), in_a_file(), {})
    web = carried["services"]["web"]
    assert web["image"] == "web@sha256:2"
    assert web["environment"] == {}
    assert web["deploy"]["placement"] == {"constraints": ["data == true"]}
    assert [secret["source"] for secret in web["secrets"]] == ["key"]
    assert set(carried["secrets"]) == {"key"}


def test_a_secret_is_named_by_its_content(stacks: ModuleType) -> None:
    first, same, other = (stacks.stack_secrets({"key": value}, "beanft") for value in "aab")
    assert first == same != other
    assert first["key"]["external"] is True
    assert first["key"]["name"].startswith("beanft-key-")


def test_files_are_kept_under_names_with_their_contents_hash(stacks: ModuleType) -> None:
    files = {"rules.yml": "a", "dashboard/page.js": "{{ b }}"}
    kept = stacks.stored_files(files, "m")
    assert kept["sources"] == {"rules.yml": "rules-yml", "dashboard/page.js": "dashboard-page-js"}
    assert kept["names"]["rules.yml"] == "m-rules-yml-ca978112ca1b"
    assert kept["texts"] == {kept["names"][path]: text for path, text in files.items()}
    again = stacks.stored_files({**files, "rules.yml": "c"}, "m")
    assert again["names"]["rules.yml"] != kept["names"]["rules.yml"]
    assert again["names"]["dashboard/page.js"] == kept["names"]["dashboard/page.js"]

"""Filters on stacks: in which settings two differ, and what an earlier one takes over from the current one."""

from __future__ import annotations

import copy
import hashlib
import re
from typing import Any

IMAGE = "image"
# Settings of the application that say where the data are.
STORES = ("BEANFT_DATABASE_URL", "BEANFT_DATABASE_CA", "BEANFT_QUEUE_URL", "BEANFT_QUEUE_CA")


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return the leaves of a definition by their path."""
    if isinstance(value, dict):
        return {
            key: leaf
            for name, item in value.items()
            for key, leaf in flat(item, f"{path}.{name}" if path else str(name)).items()
        }
    return {path: value}


def stack_differences(new: dict[str, Any], old: dict[str, Any]) -> list[str]:
    """Return what differs, a line each: settings of services but their images, then all that services share.

    Names only, for values may be anything. A service of which there was none is one line.
    """
    lines = []
    before = old.get("services", {})
    for name, service in sorted(new.get("services", {}).items()):
        if name not in before:
            lines.append(f"{name}: new")
            continue
        lines += [
            f"{name}: {line}" for line in compared(service, before[name]) if line[1:] != IMAGE
        ]
    lines += [f"{name}: removed" for name in sorted(set(before) - set(new.get("services", {})))]

    def shared(stack: dict[str, Any]) -> dict[str, Any]:
        return {
            key: value
            for key, value in stack.items()
            if key not in ("services", "version") and key[:2] != "x-"
        }

    return lines + compared(shared(new), shared(old))


def compared(new: dict[str, Any], old: dict[str, Any]) -> list[str]:
    """Return the paths that differ: + is new, - is gone, ~ has another value."""
    after, before = flat(new), flat(old)
    return [
        ("+" if path not in before else "-" if path not in after else "~") + path
        for path in sorted(set(after) | set(before))
        if after.get(path, before) != before.get(path, after)
    ]


def stack_scaled(stack: dict[str, Any], scale: dict[str, Any]) -> dict[str, Any]:
    """Return a stack with other numbers of replicas."""
    result = copy.deepcopy(stack)
    for name, replicas in scale.items():
        result["services"][name]["deploy"]["replicas"] = int(replicas)
    return result


def stack_carried(
    stack: dict[str, Any], current: dict[str, Any], scale: dict[str, Any]
) -> dict[str, Any]:
    """Return an earlier release's stack as it runs now.

    With the replicas, secrets, and places of the data that were changed since.
    """
    result = stack_scaled(stack, scale)
    newer = current.get("secrets", {})
    for name in result.get("secrets", {}):
        result["secrets"][name] = newer.get(name, result["secrets"][name])
    for name, service in result["services"].items():
        if name in current.get("services", {}):
            stay_with_data(result, service, current, current["services"][name])
    return result


def stay_with_data(
    stack: dict[str, Any], service: dict[str, Any], current: dict[str, Any], now: dict[str, Any]
) -> None:
    """Give an earlier release's service the database and queue that the current one has."""
    before, after = (
        {key: of.get("environment", {}).get(key) for key in STORES} for of in (service, now)
    )
    if before == after:
        return
    environment = service.setdefault("environment", {})
    for key in STORES:
        environment.pop(key, None)
        if after[key] is not None:
            environment[key] = after[key]
    service["deploy"]["placement"] = copy.deepcopy(now["deploy"].get("placement", {}))
    # And what opens them; a secret that the current one lacks was for where the data were.
    service["secrets"] = copy.deepcopy(now.get("secrets", []))
    wanted = {secret["source"] for each in stack["services"].values() for secret in each["secrets"]}
    known = {**stack.get("secrets", {}), **current.get("secrets", {})}
    stack["secrets"] = {name: known[name] for name in sorted(known) if name in wanted}


def stack_secrets(secrets: dict[str, str], stack: str) -> dict[str, Any]:
    """Return the secrets of a Compose file: each in the store under a name with its content's hash."""
    return {
        key: {
            "external": True,
            "name": f"{stack}-{key}-{hashlib.sha256(value.encode()).hexdigest()[:12]}",
        }
        for key, value in sorted(secrets.items())
    }


def stored_files(files: dict[str, str], stack: str) -> dict[str, dict[str, str]]:
    """Return how files are kept as configs of the Swarm, which can't change: under names with their content's hash.

    By a file's path: C(sources), what a Compose file calls it, and C(names), what the store does. C(texts) are the
    contents by the store's names.
    """
    sources = {path: re.sub(r"[^a-z0-9]+", "-", path) for path in files}
    names = {
        path: f"{stack}-{sources[path]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        for path, text in files.items()
    }
    texts = {names[path]: text for path, text in files.items()}
    return {"sources": sources, "names": names, "texts": texts}


class FilterModule:
    """The filters."""

    def filters(self) -> dict[str, Any]:
        """Return them by their names."""
        return {
            "stack_differences": stack_differences,
            "stack_scaled": stack_scaled,
            "stack_carried": stack_carried,
            "stack_secrets": stack_secrets,
            "stored_files": stored_files,
        }

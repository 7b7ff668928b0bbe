"""Filter that says which layers a machine lacks, and how many bytes they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def chains(image: Mapping[str, Any]) -> list[tuple[tuple[str, ...], int]]:
    """Return for each layer of an image the digests up to it, which the engine knows it by, and its bytes."""
    digests = [str(layer["digest"]) for layer in image["layers"]]
    return [
        (tuple(digests[: number + 1]), int(layer["size"]))
        for number, layer in enumerate(image["layers"])
    ]


def layers_to_move(
    images: Mapping[str, Mapping[str, Any]], new: Iterable[str], had: Iterable[str] = ()
) -> dict[str, Any]:
    """Return what moves to a machine that has the images `had` and gets `new`: `layers` and `bytes`.

    `images` is what module image_layers returns. An image that a machine has does not move, and a layer
    moves once for all images that have the same layers below it: the engine keeps a layer by its whole chain, and
    loads the same content above another chain again. What the registry has forgotten of `had` counts as not there.
    """
    had = set(had)
    wanted = sorted(set(new) - had)
    unknown = [reference for reference in wanted if reference not in images]
    if unknown:
        raise AnsibleFilterError(
            f"layers_to_move: of these no layers are known: {', '.join(unknown)}"
        )
    there = {chain for name in had if name in images for chain, _ in chains(images[name])}
    moving = {
        chain: size for name in wanted for chain, size in chains(images[name]) if chain not in there
    }
    configs = sum(int(images[name]["config"]) for name in wanted)
    return {
        "layers": [{"digest": chain[-1], "size": size} for chain, size in sorted(moving.items())],
        "bytes": sum(moving.values()) + configs,
    }


def moves(
    present: Mapping[str, Mapping[str, Any]],
    images: Mapping[str, Mapping[str, Any]],
    new: Iterable[str],
    before: Iterable[str],
) -> list[dict[str, Any]]:
    """Return for each machine its `name`, the `bytes` that move to it and those that are `free` there.

    `present` is what module image_pull returned in check mode, by machine, when asked for `new` and `before`.
    """
    new, asked = list(new), {*new, *before}
    return [
        {
            "name": name.rsplit("-", 1)[-1],
            "bytes": layers_to_move(images, new, asked - set(found["missing"]))["bytes"],
            "free": found["free_bytes"],
        }
        for name, found in sorted(present.items())
    ]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, object]:
        """Return the filters by name."""
        return {"layers_to_move": layers_to_move, "moves": moves}

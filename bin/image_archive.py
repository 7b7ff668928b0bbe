"""Images as one tar that the same images always give, byte for byte.

What `docker save` writes differs each time: times, the order of the images, and which of two equal layers is a
link to the other. Here configurations and layers are named by their content and written in that order.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import IO, Any


class ArchiveProblem(Exception):  # noqa: N818 - what it says is the sentence for people
    """The engine saved something else than it was asked for."""


def rewrite(
    saved: Path, target: IO[bytes], ids: list[str], called: dict[str, str] | None = None
) -> int:
    """Write the images of a file that `docker save` wrote, each layer once; return the tar's length.

    Args:
        saved: that file.
        target: is written in one stream.
        ids: the images that have to be in it.
        called: by id, what an engine that loads them shall call them; else nothing.

    Raises:
        ArchiveProblem: other images are in it.
    """
    with (
        tarfile.open(saved, mode="r:") as before,
        tarfile.open(fileobj=target, mode="w|", format=tarfile.USTAR_FORMAT) as after,
    ):
        configs: dict[str, bytes] = {}
        layers: dict[str, str] = {}  # by the digest of what is in it: its name in `before`
        manifest: list[dict[str, Any]] = []
        for image in json.loads(content(before, "manifest.json").read()):
            config = content(before, image["Config"]).read()
            digest = hashlib.sha256(config).hexdigest()
            names = [
                name.removeprefix("sha256:") for name in json.loads(config)["rootfs"]["diff_ids"]
            ]
            layers |= dict(zip(names, image["Layers"], strict=True))
            configs[digest] = config
            tag = (called or {}).get(f"sha256:{digest}")
            manifest.append(
                {
                    "Config": f"{digest}.json",
                    "RepoTags": [tag] if tag else None,
                    "Layers": [f"{name}.tar" for name in names],
                }
            )
        if {f"sha256:{digest}" for digest in configs} != set(ids):
            raise ArchiveProblem(
                "'docker save' gave images by other ids than they have: the engine's containerd image store "
                "does that; use one with the classic store"
            )
        for digest, config in sorted(configs.items()):
            add(after, f"{digest}.json", len(config), io.BytesIO(config))
        for name, place in sorted(layers.items()):
            layer = content(before, place)
            add(after, f"{name}.tar", layer.seek(0, io.SEEK_END), layer)
        manifest.sort(key=lambda image: str(image["Config"]))
        text = json.dumps(manifest, sort_keys=True).encode()
        add(after, "manifest.json", len(text), io.BytesIO(text))
        # What is missing are the two empty blocks, and what fills the last record.
        return after.offset


def content(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    """Return what is in a member, or in what it is a link to."""
    file = archive.extractfile(name)
    if file is None:
        raise ArchiveProblem(f"'docker save' gave no file {name}")
    return file


def add(archive: tarfile.TarFile, name: str, size: int, source: IO[bytes]) -> None:
    """Write a member without times and owners."""
    info = tarfile.TarInfo(name)
    info.size = size
    source.seek(0)
    archive.addfile(info, source)

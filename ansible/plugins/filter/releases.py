"""Filter on releases: which images have to stay on a machine."""

from __future__ import annotations

from typing import Any


def release_images(releases: list[dict[str, Any]], targets: int) -> list[str]:
    """Return the images, by digest, of what serves now and of the newest releases that a rollback may go to.

    Args:
        releases: records as module `swarm_release` returns them, oldest first.
        targets: how many releases to go back to keep theirs.
    """
    back = [record for record in releases if record["is_target"]]
    kept = [record for record in releases if record["current"]] + (
        back[-targets:] if targets else []
    )
    return sorted({image for record in kept for image in record.get("images", {}).values()})


class FilterModule:
    """The filters."""

    def filters(self) -> dict[str, Any]:
        """Return them by their names."""
        return {"release_images": release_images}

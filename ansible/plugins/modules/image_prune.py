#!/usr/bin/python
"""Ansible module: removes images of this project that nothing needs any more."""

from __future__ import annotations

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import DockerError, docker, docker_json

DOCUMENTATION = r"""
module: image_prune
short_description: Remove images that nothing needs
description:
  - Removes the images with a label that are neither to be kept nor used by a container, running or stopped. Images
    without the label are never touched.
  - An image that the engine does not let go is left and returned as such.
options:
  keep:
    description: References with a digest that stay, whether a container uses them or not.
    type: list
    elements: str
    required: true
  label:
    description: Label of the images that may be removed.
    type: str
    default: beanft=image
"""

EXAMPLES = r"""
- name: Prune
  image_prune:
    keep: ["127.0.0.1:5000/beanft/api@sha256:…"]
"""

RETURN = r"""
removed:
  description: References, or ids where there is none, that were removed or would be.
  returned: success
  type: list
  elements: str
freed:
  description: Bytes that the file system of the engine's data gained meanwhile; 0 in check mode.
  returned: success
  type: int
left:
  description: C(image) and C(reason) of what was not to be kept and had to stay.
  returned: success
  type: list
  elements: dict
missing:
  description: Those of C(keep) that are not on this machine.
  returned: success
  type: list
  elements: str
"""

# The engine unlinks every file of a layer before it answers.
REMOVAL_SECONDS = 300
Image = dict[str, Any]


def is_gone(error: DockerError) -> bool:
    """Tell whether the engine says that there is no such thing, and not that it can't tell."""
    return "no such" in str(error).lower()


def inspected(module: AnsibleModule, kind: str, *listing: str) -> list[Image]:
    """Return the inspected things that a listing names; one may go between the two questions."""
    for attempt in range(5):
        ids = sorted(set(docker(module, kind, "ls", "--quiet", "--no-trunc", *listing).split()))
        try:
            return list(docker_json(module, kind, "inspect", *ids)) if ids else []
        except DockerError as error:
            if attempt == 4 or not is_gone(error):
                raise
    return []


def there(module: AnsibleModule, reference: str) -> str:
    """Return the id of an image, or '' where it is not on this machine.

    Raises:
        DockerError: the engine could not say; what it does not say is not taken for missing.
    """
    try:
        return str(docker_json(module, "image", "inspect", reference)[0]["Id"])
    except DockerError as error:
        if not is_gone(error):
            raise
        return ""


def references(image: Image) -> list[str]:
    """Return all names of an image, or its id where it has none."""
    names = [*(image.get("RepoTags") or []), *(image.get("RepoDigests") or [])]
    return [name for name in names if "<none>" not in name] or [image["Id"]]


def remove(module: AnsibleModule, image: Image) -> str:
    """Remove an image by all its names, never by force; return why it is still there, or ''."""
    reason = ""
    for name in references(image):
        try:
            docker(module, "image", "rm", name, seconds=REMOVAL_SECONDS)
        except DockerError as error:
            # A digest goes with its repository's last tag.
            if not is_gone(error):
                reason = str(error)
                break
    # A name may be gone and the image be there, or the client be late and the image gone.
    if not there(module, image["Id"]):
        return ""
    return reason or "it is still there"


def free_bytes(directory: str) -> int:
    """Return what is free on the file system of a directory."""
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "keep": {"type": "list", "elements": "str", "required": True},
            "label": {"type": "str", "default": "beanft=image"},
        },
        supports_check_mode=True,
    )
    keep = module.params["keep"]
    unpinned = [reference for reference in keep if "@sha256:" not in reference]
    if unpinned:
        module.fail_json(
            msg=f"images are kept by digest, and these have none: {', '.join(unpinned)}"
        )
    removed: list[str] = []
    left: list[dict[str, str]] = []
    freed = 0
    try:
        kept = {reference: there(module, reference) for reference in keep}
        images = inspected(module, "image", "--filter", f"label={module.params['label']}")
        used = {
            box["Image"]: box["Name"].lstrip("/") for box in inspected(module, "container", "--all")
        }
        root = docker(module, "info", "--format", "{{.DockerRootDir}}").strip()
        before = free_bytes(root)
        for image in sorted(images, key=lambda item: str(item["Id"])):
            names = references(image)
            if image["Id"] in kept.values():
                continue
            if image["Id"] in used:
                reason = f"container {used[image['Id']]} uses it"
            else:
                reason = "" if module.check_mode else remove(module, image)
            if reason:
                left.append({"image": names[0], "reason": reason})
            else:
                removed += names
        if removed and not module.check_mode:
            freed = max(0, free_bytes(root) - before)
    except (DockerError, OSError) as error:
        module.fail_json(msg=f"images that nothing needs could not be removed: {error}")
    module.exit_json(
        changed=bool(removed),
        removed=removed,
        freed=freed,
        left=left,
        missing=sorted(reference for reference, identity in kept.items() if not identity),
    )


if __name__ == "__main__":
    main()

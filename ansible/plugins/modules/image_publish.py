#!/usr/bin/python
"""Ansible module: pushes local images to a registry and says by which digest they are known."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import (
    TRANSFER_SECONDS,
    DockerError,
    docker,
    docker_json,
    inspect_images,
)

DOCUMENTATION = r"""
module: image_publish
short_description: Push local images to a registry
description:
  - Pushes images of this engine to a registry, several at once, and returns the digest by which each is pulled.
  - An image that the registry has already is not pushed again.
options:
  images:
    description: Name in the registry, by local reference.
    type: dict
    required: true
  registry:
    description: Host and port of the registry.
    type: str
  container:
    description: >-
      Instead of C(registry), a container of this engine that is one, with its port on the loopback in the label
      C(beanft.port). Where it does not run, or runs another image, nothing is pushed and C(registry) is empty.
    type: dict
    suboptions:
      name:
        description: Name of the container.
        type: str
        required: true
      image:
        description: Id of the image that it has to run.
        type: str
        required: true
"""

EXAMPLES = r"""
- name: Publish
  image_publish:
    images: {"checkout/api": "beanft/api"}
    registry: 127.0.0.1:5000
"""

RETURN = r"""
registry:
  description: Host and port of the registry that the images are in.
  returned: success
  type: str
digests:
  description: Digest by name in the registry.
  returned: success
  type: dict
layers:
  description: How many layers the registry did not have.
  returned: success
  type: int
"""


def known_digest(image: dict[str, Any], repository: str) -> str:
    """Return the digest that an earlier push of this image got, or ''."""
    for known in image.get("RepoDigests") or []:
        name, _, digest = known.partition("@")
        if name == repository:
            return str(digest)
    return ""


def publish(module: AnsibleModule, local: str, repository: str) -> tuple[str, int]:
    """Push one image; return its digest and how many layers moved."""
    docker(module, "tag", local, repository)
    out = docker(module, "push", repository, seconds=TRANSFER_SECONDS)
    match = re.search(r"digest: (sha256:[0-9a-f]{64})", out)
    if not match:
        raise DockerError(f"docker push of {local} reported no digest")
    return match.group(1), len(re.findall(r": Pushed$", out, re.MULTILINE))


def registry_in(module: AnsibleModule, container: dict[str, str]) -> str:
    """Return host and port of the registry that a container is, or '' where it does not run as it should."""
    try:
        found = docker_json(module, "container", "inspect", container["name"])[0]
    except DockerError:
        return ""
    port = str((found["Config"].get("Labels") or {}).get("beanft.port", ""))
    right = found["State"]["Running"] and found["Image"] == container["image"]
    return f"127.0.0.1:{port}" if right and port else ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "dict", "required": True},
            "registry": {"type": "str"},
            "container": {
                "type": "dict",
                "options": {
                    "name": {"type": "str", "required": True},
                    "image": {"type": "str", "required": True},
                },
            },
        },
        required_one_of=[("registry", "container")],
        supports_check_mode=True,
    )
    images = module.params["images"]
    registry = module.params["registry"] or registry_in(module, module.params["container"])
    if not registry:
        module.exit_json(changed=False, registry="", digests={}, layers=0)
    present = inspect_images(module, list(images))
    missing = sorted(set(images) - set(present))
    if missing:
        module.fail_json(msg=f"not built: {', '.join(missing)}. Run 'make images' first.")
    digests: dict[str, str] = {}
    layers = 0
    known = {
        name: known_digest(present[local], f"{registry}/{name}") for local, name in images.items()
    }
    if module.check_mode:
        module.exit_json(
            changed=not all(known.values()), registry=registry, digests=known, layers=0
        )
    try:
        with ThreadPoolExecutor(max_workers=4) as pool:
            jobs = {
                name: pool.submit(publish, module, local, f"{registry}/{name}")
                for local, name in images.items()
            }
            for name, job in jobs.items():
                digests[name], moved = job.result()
                layers += moved
    except DockerError as error:
        module.fail_json(msg=f"the registry at {registry} did not take the images: {error}")
    # Images may differ in nothing but their configuration: no layer moves, and the digest is new.
    module.exit_json(
        changed=layers > 0 or digests != known, registry=registry, digests=digests, layers=layers
    )


if __name__ == "__main__":
    main()

#!/usr/bin/python
"""Ansible module: pushes local images to a registry and says by which digest they are known."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import TRANSFER_SECONDS, DockerError, docker, inspect_images

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
    required: true
"""

EXAMPLES = r"""
- name: Publish
  image_publish:
    images: {"checkout/api": "beanft/api"}
    registry: 127.0.0.1:5000
"""

RETURN = r"""
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


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "dict", "required": True},
            "registry": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    registry, images = module.params["registry"], module.params["images"]
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
        module.exit_json(changed=not all(known.values()), digests=known, layers=0)
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
    module.exit_json(changed=layers > 0 or digests != known, digests=digests, layers=layers)


if __name__ == "__main__":
    main()

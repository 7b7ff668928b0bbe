#!/usr/bin/python
"""Ansible module: asks a registry of which layers images are made, and how many bytes they are."""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import json
import re
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: image_layers
short_description: Layers of images in a registry
description:
  - Reads the manifests of images from a registry and returns their layers and sizes as they would move, compressed.
  - The filter C(layers_to_move) says from that what a machine lacks.
options:
  registry:
    description: Host and port of the registry as this machine reaches it. On a loopback address it speaks plain HTTP.
    type: str
    required: true
  references:
    description: References with a digest that have to be in the registry. Their own host is not asked.
    type: list
    elements: str
    required: true
  known:
    description: References of earlier images, which the registry may have forgotten.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Layers
  image_layers:
    registry: "127.0.0.1:{{ images_registry_port }}"
    references: ["127.0.0.1:5000/beanft/api@sha256:…"]
"""

RETURN = r"""
images:
  description: By reference the C(layers), each with C(digest) and C(size), and the size of the C(config).
  returned: success
  type: dict
forgotten:
  description: Those of C(known) that the registry does not have.
  returned: success
  type: list
  elements: str
"""

MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
# Asked for too, so that what is no single image is told from what is not there.
INDEXES = (
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
PINNED = re.compile(r"[^/@]+/[^@]+@sha256:[0-9a-f]{64}")
SECONDS = 20
LARGEST = 4 * 2**20


class RegistryError(Exception):
    """The registry did not say what was asked; the message is a sentence."""


def is_loopback(registry: str) -> bool:
    """Tell whether a registry is on this machine's loopback."""
    host = registry.rsplit(":", 1)[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def fetch(registry: str, reference: str) -> bytes | None:
    """Return an image's manifest as the registry has it, None where it has none."""
    repository, _, digest = reference.partition("/")[2].partition("@")
    local = is_loopback(registry)
    url = f"{'http' if local else 'https'}://{registry}/v2/{repository}/manifests/{digest}"
    request = urllib.request.Request(url, headers={"Accept": ", ".join(MANIFESTS + INDEXES)})  # noqa: S310 - http or https
    # A proxy leads out of this machine.
    handlers = [urllib.request.ProxyHandler({})] if local else []
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=SECONDS) as answer:
            body = bytes(answer.read(LARGEST))
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 404:
            return None
        raise RegistryError(
            f"the registry {registry} answers {error.code} for {reference}"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise RegistryError(
            f"the registry {registry} could not be asked for {reference} ({reason}): does it run?"
        ) from error
    if f"sha256:{hashlib.sha256(body).hexdigest()}" != digest:
        raise RegistryError(f"the registry {registry} has another manifest under {reference}")
    return body


def image(reference: str, manifest: bytes) -> dict[str, Any]:
    """Return the layers and sizes that a manifest names."""
    try:
        content = json.loads(manifest)
        kind = content.get("mediaType") or MANIFESTS[1]
        if kind in INDEXES or "manifests" in content:
            raise RegistryError(
                f"{reference} is an index of several platforms: name the image of one platform by its digest"
            )
        if kind not in MANIFESTS:
            raise RegistryError(f"{reference} has a manifest of the unknown kind {kind}")
        layers = [
            {"digest": str(layer["digest"]), "size": int(layer["size"])}
            for layer in content["layers"]
        ]
        return {"layers": layers, "config": int(content["config"]["size"])}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(f"the manifest of {reference} can't be read: {error!r}") from error


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "registry": {"type": "str", "required": True},
            "references": {"type": "list", "elements": "str", "required": True},
            "known": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    registry = module.params["registry"]
    wanted, known = set(module.params["references"]), set(module.params["known"])
    unpinned = sorted(name for name in wanted | known if not PINNED.fullmatch(name))
    if unpinned:
        module.fail_json(
            msg=f"images are known by digest, and these have none: {', '.join(unpinned)}"
        )
    try:
        with ThreadPoolExecutor(max_workers=4) as pool:
            asked = {
                reference: pool.submit(fetch, registry, reference)
                for reference in sorted(wanted | known)
            }
        manifests = {reference: job.result() for reference, job in asked.items()}
        absent = sorted(reference for reference in wanted if manifests[reference] is None)
        if absent:
            raise RegistryError(
                f"the registry {registry} does not have {', '.join(absent)}: publish the images first"
            )
        images = {
            reference: image(reference, manifest)
            for reference, manifest in manifests.items()
            if manifest is not None
        }
    except RegistryError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, images=images, forgotten=sorted(known - set(images)))


if __name__ == "__main__":
    main()

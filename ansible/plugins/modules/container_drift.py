#!/usr/bin/python
"""Ansible module: says in what a machine's running containers differ from what its services are to run."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import DockerError, docker, docker_json

DOCUMENTATION = r"""
module: container_drift
short_description: Compare running containers with the images of their services
description:
  - Compares the image that every running container was really made from with the image that its service's digest
    stands for on this machine, and finds containers of this project that no service asked for. It changes nothing.
options:
  images:
    description: Image of each service, by digest.
    type: dict
    required: true
  label:
    description: Label of this project's images.
    type: str
    default: beanft=image
"""

EXAMPLES = r"""
- name: Containers
  container_drift:
    images: {beanft_web: "127.0.0.1:5000/beanft/web@sha256:…"}
"""

RETURN = r"""
findings:
  description: Each difference, with C(what), C(expected), C(found) and C(mend).
  returned: success
  type: list
  elements: dict
containers:
  description: How many running containers were looked at.
  returned: success
  type: int
"""

SERVICE = "com.docker.swarm.service.name"


def running(module: AnsibleModule) -> list[dict[str, Any]]:
    """Return the inspected running containers; one may end between the two questions."""
    for attempt in range(5):
        ids = docker(module, "container", "ls", "--quiet", "--no-trunc").split()
        try:
            return list(docker_json(module, "container", "inspect", *ids)) if ids else []
        except DockerError as error:
            if attempt == 4 or "no such" not in str(error).lower():
                raise
    return []


def identities(module: AnsibleModule, references: set[str]) -> dict[str, str]:
    """Return the id of every image by its reference, '' where it is not on this machine."""
    found = {}
    for reference in sorted(references):
        try:
            found[reference] = str(docker_json(module, "image", "inspect", reference)[0]["Id"])
        except DockerError as error:
            # What else goes wrong must not pass for an image that is not there.
            if "no such image" not in str(error).lower():
                raise
            found[reference] = ""
    return found


def compare(
    container: dict[str, Any], images: dict[str, str], known: dict[str, str], label: str
) -> dict[str, str]:
    """Return the difference of a container, or {}."""
    name = container["Name"].lstrip("/")
    labels = container["Config"]["Labels"] or {}
    service = labels.get(SERVICE, "")
    key, _, value = label.partition("=")
    if service in images:
        expected, found = known[images[service]], container["Image"]
        mend = f"on a manager: docker service update --detach --force {service}"
        # The service's own container is named by its task, which tells nothing to a person.
        name = ".".join(name.split(".")[:2])
    elif labels.get(key) == value:
        expected, found = "none", f"{container['Image']} ({service or 'started by hand'})"
        mend = f"docker rm --force {name}" if not service else f"docker service rm {service}"
    else:
        return {}
    if expected == found:
        return {}
    return {
        "what": f"container {name}",
        "expected": expected or f"{images[service]}, which is not on this machine",
        "found": found,
        "mend": mend,
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "dict", "required": True},
            "label": {"type": "str", "default": "beanft=image"},
        },
        supports_check_mode=True,
    )
    images = module.params["images"]
    try:
        containers = running(module)
        here = {(container["Config"]["Labels"] or {}).get(SERVICE) for container in containers}
        known = identities(module, {image for service, image in images.items() if service in here})
    except DockerError as error:
        module.fail_json(msg=f"the containers could not be looked at: {error}")
    found = [compare(container, images, known, module.params["label"]) for container in containers]
    module.exit_json(
        changed=False, findings=[item for item in found if item], containers=len(containers)
    )


if __name__ == "__main__":
    main()

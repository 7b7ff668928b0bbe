#!/usr/bin/python
"""Ansible module: makes sure that images are on a machine, by digest."""

from __future__ import annotations

import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.docker_cli import TRANSFER_SECONDS, DockerError, docker, inspect_images

DOCUMENTATION = r"""
module: image_pull
short_description: Pull images by digest
description:
  - Pulls those of the images that this machine does not have, several at once, and says how many bytes came in.
  - Check mode pulls nothing and says what is missing and how much room there is.
options:
  images:
    description: References with a digest.
    type: list
    elements: str
    required: true
  min_free_bytes:
    description: Bytes that have to be free on the file system of the engine's data before anything is pulled.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Pull
  image_pull:
    images: ["127.0.0.1:5000/beanft/api@sha256:…"]
"""

RETURN = r"""
pulled:
  description: The references that were not there before.
  returned: success
  type: list
  elements: str
missing:
  description: The references that are still not there, which is none but in check mode.
  returned: success
  type: list
  elements: str
bytes:
  description: Bytes that came in over this machine's network meanwhile.
  returned: success
  type: int
seconds:
  description: How long it took.
  returned: success
  type: float
free_bytes:
  description: Bytes that were free on the file system of the engine's data before anything was pulled.
  returned: success
  type: int
"""


def received(devices: Path = Path("/sys/class/net")) -> int:
    """Return the bytes that this machine's own interfaces have received since boot."""
    counters = (
        device / "statistics/rx_bytes"
        for device in devices.iterdir()
        # Interfaces with a `device` are hardware; a local machine's eth0 is one end of a pair.
        if (device / "device").exists() or device.name.startswith(("eth", "en"))
    )
    return sum(int(counter.read_text()) for counter in counters if counter.exists())


def free(module: AnsibleModule) -> tuple[str, int]:
    """Return where the engine keeps its data, and what is free on that file system.

    Raises:
        DockerError: the engine did not say where.
    """
    directory = docker(module, "info", "--format", "{{.DockerRootDir}}").strip()
    try:
        disk = os.statvfs(directory)
    except OSError as error:
        raise DockerError(f"{directory} can't be looked at: {error.strerror}") from error
    return directory, disk.f_bavail * disk.f_frsize


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "list", "elements": "str", "required": True},
            "min_free_bytes": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    images = module.params["images"]
    unpinned = [image for image in images if "@sha256:" not in image]
    if unpinned:
        module.fail_json(
            msg=f"images are pulled by digest, and these have none: {', '.join(unpinned)}"
        )
    wanted = sorted(set(images) - set(inspect_images(module, images)))
    needed = module.params["min_free_bytes"]
    try:
        directory, room = free(module)
    except DockerError as error:
        module.fail_json(msg=f"the free disk of {platform.node()} could not be asked for: {error}")
    if wanted and room < needed and not module.check_mode:
        module.fail_json(
            msg=f"{platform.node()}:{directory} has {room / 1e9:.1f} GB free and {needed / 1e9:.1f} GB are needed to "
            f"pull {len(wanted)} image(s): make room on that disk (docker system df shows what takes it) and run again"
        )
    started, before = time.monotonic(), received()
    if wanted and not module.check_mode:
        try:
            with ThreadPoolExecutor(max_workers=4) as pool:
                jobs = [
                    pool.submit(docker, module, "pull", "--quiet", image, seconds=TRANSFER_SECONDS)
                    for image in wanted
                ]
            for job in jobs:
                job.result()
        except DockerError as error:
            module.fail_json(
                msg=f"an image could not be pulled ({error}): is the registry in reach of this machine, "
                "and is there room on its disk (df /var/lib/docker)?"
            )
    module.exit_json(
        changed=bool(wanted),
        pulled=wanted,
        missing=wanted if module.check_mode else [],
        bytes=received() - before,
        seconds=round(time.monotonic() - started, 1),
        free_bytes=room,
    )


if __name__ == "__main__":
    main()

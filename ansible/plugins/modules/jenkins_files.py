#!/usr/bin/python
"""Ansible module: the war and the plugins of a Jenkins controller, each checked against its pinned checksum."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

DOCUMENTATION = r"""
module: jenkins_files
short_description: War and plugins of a Jenkins controller
description:
  - Fetches what is missing, or is another version, and puts it in place once its checksum is the pinned one.
    One file that is not as it should be stops the run before anything is put in place.
  - Plugins that are not listed are removed, with what Jenkins has unpacked of them.
  - A war stays when another version comes, as the way back.
options:
  war:
    description: Version and SHA-256 of the war.
    type: dict
    required: true
  plugins:
    description: Name, version and SHA-256 of each plugin.
    type: list
    elements: dict
    required: true
  mirror:
    description: >-
      Base URL of a mirror that has C(war/jenkins.war) and C(plugins/NAME.hpi). Empty is where the Jenkins project
      publishes them.
    type: str
    default: ""
  wars:
    description: The folder of the wars, C(jenkins-VERSION.war).
    type: path
    required: true
  folder:
    description: The folder of the plugins, in the controller's home.
    type: path
    required: true
  timeout:
    description: Seconds that a server may keep silent.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: War and plugins
  jenkins_files:
    war: {version: 2.516.3, sha256: "{{ war_sha256 }}"}
    plugins: [{name: git, version: 5.7.0, sha256: "{{ git_sha256 }}"}]
    mirror: https://mirror.example.org/jenkins
    wars: /opt/jenkins
    folder: /var/lib/jenkins/plugins
"""

RETURN = r"""
fetched:
  description: Files that were fetched, or would be.
  returned: success
  type: list
  elements: str
removed:
  description: Plugins that were removed, or would be.
  returned: success
  type: list
  elements: str
"""

WAR_PLACE = "https://get.jenkins.io/war-stable/{version}/jenkins.war"
PLUGIN_PLACE = "https://updates.jenkins.io/download/plugins/{name}/{version}/{name}.hpi"


class FilesProblem(Exception):  # noqa: N818 - what it says is the sentence for people
    """A file can't be had as it is pinned; the message is one sentence with cause and mend."""


@dataclass(frozen=True)
class File:
    """A file with its checksum, where it comes from and where it goes."""

    what: str
    url: str
    path: Path
    sha256: str

    def present(self) -> bool:
        """Return whether it is there as pinned."""
        return self.path.is_file() and digest(self.path) == self.sha256


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def wanted(parameters: dict[str, Any]) -> Iterator[File]:
    """Yield the files that there have to be."""
    mirror = parameters["mirror"].rstrip("/")
    war = parameters["war"]
    yield File(
        f"the war {war['version']}",
        f"{mirror}/war/jenkins.war" if mirror else WAR_PLACE.format(**war),
        Path(parameters["wars"]) / f"jenkins-{war['version']}.war",
        war["sha256"],
    )
    for plugin in parameters["plugins"]:
        yield File(
            f"plugin {plugin['name']} {plugin['version']}",
            f"{mirror}/plugins/{plugin['name']}.hpi" if mirror else PLUGIN_PLACE.format(**plugin),
            Path(parameters["folder"]) / f"{plugin['name']}.jpi",
            plugin["sha256"],
        )


def fetch(file: File, folder: Path, timeout: int) -> Path:
    """Fetch a file into a folder, and return where it is once it is what was pinned."""
    path = folder / file.path.name
    try:
        with open_url(file.url, timeout=timeout) as answer, path.open("wb") as target:
            shutil.copyfileobj(answer, target)
    # A server that breaks off, too.
    except (URLError, OSError, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise FilesProblem(
            f"{file.what} could not be fetched from {file.url} ({error}): is the mirror in reach, and does it have it?"
        ) from error
    found = digest(path)
    if found != file.sha256:
        raise FilesProblem(
            f"{file.what} from {file.url} is refused, and nothing is changed: its SHA-256 is {found} and {file.sha256} "
            "is pinned; it is another version, or somebody changed it"
        )
    return path


def strays(parameters: dict[str, Any]) -> list[str]:
    """Return the names of plugins that are there and not listed."""
    folder, listed = (
        Path(parameters["folder"]),
        {plugin["name"] for plugin in parameters["plugins"]},
    )
    found = {path.stem for suffix in ("jpi", "hpi") for path in folder.glob(f"*.{suffix}")}
    return sorted(found - listed)


def forget(folder: Path, name: str) -> None:
    """Remove what Jenkins has unpacked of a plugin."""
    shutil.rmtree(folder / name, ignore_errors=True)


def put(parameters: dict[str, Any], missing: list[File], gone: list[str]) -> None:
    """Fetch what is missing, all of it, and only then put it in place and remove what is gone."""
    wars, folder = Path(parameters["wars"]), Path(parameters["folder"])
    # Beside its place: a rename, which is whole or not at all.
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=wars) as scratch:
        with ThreadPoolExecutor(max_workers=4) as pool:
            tasks = [
                pool.submit(fetch, file, Path(scratch), parameters["timeout"]) for file in missing
            ]
            fetched = [task.result() for task in tasks]
        for file, path in zip(missing, fetched, strict=True):
            path.chmod(0o644)
            if file.path.parent == folder:
                forget(folder, file.path.stem)
            # The home may be another file system.
            near = file.path.with_name(f".{file.path.name}.part")
            shutil.move(path, near)
            near.replace(file.path)
    for name in gone:
        for suffix in ("jpi", "hpi"):
            with suppress(FileNotFoundError):
                (folder / f"{name}.{suffix}").unlink()
        forget(folder, name)


def main() -> None:
    """Bring war and plugins to what is pinned."""
    module = AnsibleModule(
        argument_spec={
            "war": {"type": "dict", "required": True},
            "plugins": {"type": "list", "elements": "dict", "required": True},
            "mirror": {"type": "str", "default": ""},
            "wars": {"type": "path", "required": True},
            "folder": {"type": "path", "required": True},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    missing = [file for file in wanted(parameters) if not file.present()]
    gone = strays(parameters)
    if not module.check_mode and (missing or gone):
        try:
            put(parameters, missing, gone)
        except FilesProblem as problem:
            module.fail_json(msg=str(problem))
        except OSError as error:
            module.fail_json(
                msg=f"{error.filename or parameters['wars']} could not be written: {error.strerror}"
            )
    module.exit_json(
        changed=bool(missing or gone), fetched=[file.what for file in missing], removed=gone
    )


if __name__ == "__main__":
    main()

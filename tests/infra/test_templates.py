"""Guards the roles' templates: each renders by itself, with nothing undefined, as its kind of file.

A template is rendered by Ansible's own engine, with the plugins of the project, from the role's
defaults and ``tests/infra/template_vars/<role>.yml``: what a play would bring along (required
variables, facts, group members). Each YAML document in that file is one case, and every template of
the role is rendered in every case. The result is then read by a parser of its kind. (HAProxy's
configuration is checked by HAProxy itself, in the role's own scenario.)
"""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError  # type: ignore[import-untyped]
from ansible.parsing.dataloader import DataLoader  # type: ignore[import-untyped]
from ansible.plugins.loader import (  # type: ignore[import-untyped]
    filter_loader,
    init_plugin_loader,
    lookup_loader,
    test_loader,
)
from ansible.template import Templar, trust_as_template  # type: ignore[import-untyped]
from ansible.utils.collection_loader import (  # type: ignore[import-untyped]
    AnsibleCollectionConfig,
)

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = ROOT / "ansible"
CASES = Path(__file__).parent / "template_vars"
TEMPLATES = sorted((ANSIBLE / "roles").glob("*/templates/**/*.j2"))
BLOCKS = ("block", "rescue", "always")


@pytest.fixture(scope="module", autouse=True)
def plugins() -> None:
    """Let Ansible find collections and the project's own filters, tests and lookups."""
    # Once in a process: other tests render templates, too.
    if not AnsibleCollectionConfig.collection_finder:
        init_plugin_loader()
    filter_loader.add_directory(str(ANSIBLE / "plugins" / "filter"))
    test_loader.add_directory(str(ANSIBLE / "plugins" / "test"))
    lookup_loader.add_directory(str(ANSIBLE / "plugins" / "lookup"))


def role_of(template: Path) -> Path:
    """Return the role that a template belongs to."""
    return next(path.parent for path in template.parents if path.name == "templates")


def cases_of(role: Path, cases: Path = CASES) -> list[dict[str, Any]]:
    """Return the example variables of a role, one mapping a case."""
    path = cases / f"{role.name}.yml"
    if not path.is_file():
        return [{}]
    return [case or {} for case in yaml.safe_load_all(path.read_text(encoding="utf-8"))]


def variables_of(role: Path) -> dict[str, Any]:
    """Return the role's own variables; templates in them stay templates."""
    loader = DataLoader()
    found: dict[str, Any] = {}
    for name in ("defaults/main.yml", "vars/main.yml"):
        if (role / name).is_file():
            content = loader.load_from_file(str(role / name), trusted_as_template=True)
            found.update(content or {})
    return found


def tasks_in(tasks: Any) -> Iterator[dict[str, Any]]:
    """Yield tasks, also those inside blocks."""
    for task in tasks or []:
        yield task
        for key in BLOCKS:
            yield from tasks_in(task.get(key))


def whitespace_of(template: Path) -> dict[str, bool]:
    """Return how the role's task for the template treats white space, or the defaults."""
    role = role_of(template)
    source = str(template.relative_to(role / "templates"))
    chosen = {"trim_blocks": True, "lstrip_blocks": False}
    for path in sorted((role / "tasks").rglob("*.yml")):
        for task in tasks_in(yaml.safe_load(path.read_text(encoding="utf-8"))):
            arguments = task.get("ansible.builtin.template") or {}
            if arguments.get("src") == source:
                chosen |= {key: arguments[key] for key in chosen if key in arguments}
    return chosen


def render(template: Path, case: dict[str, Any]) -> str:
    """Return what the template gives in a case; anything undefined is an error."""
    loader = DataLoader()
    loader.set_basedir(str(role_of(template)))
    variables = {
        "role_path": str(role_of(template)),
        "ansible_managed": "Ansible managed",
        "ansible_search_path": [str(role_of(template))],
        **variables_of(role_of(template)),
        **case,
    }
    templar = Templar(loader=loader, variables=variables)
    source = trust_as_template(template.read_text(encoding="utf-8"))
    result = templar.template(source, overrides=whitespace_of(template))
    return result if isinstance(result, str) else json.dumps(result)


def problem_of(name: str, text: str) -> str | None:
    """Return why a rendered file is not what its name promises, None where it is."""
    kind = Path(name.removesuffix(".j2")).suffix
    if not text.strip():
        return "empty"
    # What begins with a dot is for Docker or Prometheus to fill in.
    if left := re.search(r"\{\{(?!-?\s*\.).*?\}\}|\{%.*?%\}", text):
        return f"still a template: {left.group()}"
    try:
        if kind in {".yml", ".yaml"} and not list(yaml.safe_load_all(text)):
            return "no document"
        if kind == ".json":
            json.loads(text)
        if kind == ".toml":
            tomllib.loads(text)
    except (yaml.YAMLError, json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        return f"no {kind[1:]}: {error}"
    if kind == ".sh" or re.match(r"#!.*\b(sh|bash)\n", text):
        shell = "bash" if "bash" in text.split("\n", 1)[0] else "sh"
        checked = subprocess.run(
            [shell, "-n"], input=text, capture_output=True, text=True, check=False, timeout=10
        )
        if checked.returncode:
            return f"no {shell}: {checked.stderr}"
    if kind == ".py" or re.match(r"#!.*\bpython3?\n", text):
        try:
            compile(text, name, "exec")
        except SyntaxError as error:
            return f"no Python: {error}"
    return None


def test_there_are_templates() -> None:
    """The test below would pass if it found nothing to render."""
    assert TEMPLATES != []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ANSIBLE)))
def test_template(template: Path) -> None:
    """The template renders in every case of its role, to what its name says."""
    for number, case in enumerate(cases_of(role_of(template)), start=1):
        problem = problem_of(template.name, render(template, case))
        assert problem is None, f"case {number}: {problem}"


def test_every_case_is_of_a_role_with_templates() -> None:
    """Examples do not outlive what they are examples for."""
    roles = {role_of(template).name for template in TEMPLATES}
    assert {path.stem for path in CASES.glob("*.yml")} <= roles


# The checks themselves, on a small role.


@pytest.fixture
def role(tmp_path: Path) -> Path:
    """Make a role with one default that is a template, and with one task."""
    role = tmp_path / "web"
    for folder in ("templates", "defaults", "tasks"):
        (role / folder).mkdir(parents=True)
    (role / "defaults" / "main.yml").write_text(
        '---\nweb_port: 80\nweb_address: "{{ web_host }}:{{ web_port }}"\n', encoding="utf-8"
    )
    (role / "tasks" / "main.yml").write_text(
        "---\n- block:\n    - name: Write\n      ansible.builtin.template:\n"
        "        src: list.yml.j2\n        dest: /list.yml\n        lstrip_blocks: true\n",
        encoding="utf-8",
    )
    return role


def template_in(role: Path, name: str, text: str) -> Path:
    """Write a template into a role."""
    path = role / "templates" / name
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_and_cases_meet(role: Path) -> None:
    """Defaults that are templates use what the case brings along, with Ansible's filters."""
    template = template_in(role, "a.yml.j2", "at: {{ web_address | ansible.builtin.quote }}\n")
    assert render(template, {"web_host": "a b"}) == "at: 'a b:80'\n"


def test_values_of_a_case_win(role: Path) -> None:
    """A case can set what the role has a default for."""
    template = template_in(role, "a.txt.j2", "port {{ web_port }}\n")
    assert render(template, {"web_port": 8080}) == "port 8080\n"


def test_a_task_decides_on_white_space(role: Path) -> None:
    """The result is that of the role's task, not one of another white space."""
    text = "hosts:\n  {% for host in ['a', 'b'] %}\n- {{ host }}\n  {% endfor %}\n"
    template = template_in(role, "list.yml.j2", text)
    assert render(template, {}) == "hosts:\n- a\n- b\n"
    assert render(template_in(role, "other.yml.j2", text), {}) != "hosts:\n- a\n- b\n"


@pytest.mark.parametrize(
    "text",
    [
        "{{ web_absent }}\n",
        "x {{ web_address }}\n",
        "{{ {}.absent }}\n",
        "{{ 1 | absent_filter }}\n",
    ],
)
def test_what_is_undefined_is_refused(text: str, role: Path) -> None:
    """Undefined variables fail, also inside defaults, and so do attributes and filters."""
    with pytest.raises(AnsibleError):
        render(template_in(role, "a.txt.j2", text), {})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("a.yml.j2", "a: 1\n", "a: [1\n"),
        ("a.yaml.j2", "- 1\n", "a: b: c\n"),
        ("a.json.j2", '{"a": 1}', '{"a": 1,}'),
        ("a.toml.j2", "a = 1\n", "a = \n"),
        ("a.sh.j2", "if true; then true; fi\n", "if true; then\n"),
        ("hook.j2", "#!/bin/sh\ntrue\n", "#!/bin/sh\nif\n"),
        ("a.py.j2", "a = 1\n", "a = \n"),
        ("a.conf.j2", "a {{.Node.ID}}\n", "a {{ b }}\n"),
        ("a.conf.j2", "a 1\n", " \n"),
    ],
)
def test_results_are_parsed(name: str, good: str, bad: str) -> None:
    """Each kind of file has a result that is accepted and one that is refused."""
    assert problem_of(name, good) is None
    assert problem_of(name, bad) is not None

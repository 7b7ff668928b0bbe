"""Guards the roles' interfaces: what a role declares, defaults to, uses and documents must agree.

Also guards what no role or playbook may do, because it hides a failure or a change:
``ignore_errors``, ``failed_when: false`` and the ``shell`` module. Every check is a function from a
role's folder to a list of problems, run on the project's roles and on small spoiled ones.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = ROOT / "ansible"
ROLES = sorted(path for path in (ANSIBLE / "roles").glob("*") if path.is_dir())

Check = Callable[[Path], list[str]]
Task = Mapping[str, Any]

BLOCKS = ("block", "rescue", "always")
INCLUDES = ("include_role", "import_role")
SHELLS = ("shell", "ansible.builtin.shell", "ansible.legacy.shell")
TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "path": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}


def generator() -> ModuleType:
    """Return the module that writes the READMEs."""
    spec = importlib.util.spec_from_file_location(
        "role_readme", ANSIBLE / "docs" / "role_readme.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


README = generator()


def load(path: Path) -> Any:
    """Return the content of a YAML file, None where there is none."""
    if not path.is_file():
        return None
    return README.parse(path.read_text(encoding="utf-8"))


def defaults_of(role: Path) -> dict[str, Any]:
    """Return the role's default values."""
    return load(role / "defaults" / "main.yml") or {}


def options_of(role: Path) -> dict[str, dict[str, Any]]:
    """Return the options of all entry points of the role."""
    specs = (load(role / "meta" / "argument_specs.yml") or {}).get("argument_specs") or {}
    found: dict[str, dict[str, Any]] = {}
    for spec in specs.values():
        found |= {
            name: option or {} for name, option in ((spec or {}).get("options") or {}).items()
        }
    return found


def within(tasks: Any) -> Iterator[Task]:
    """Yield tasks, also those inside blocks."""
    for task in tasks or []:
        yield task
        for key in BLOCKS:
            yield from within(task.get(key))


def tasks_of(role: Path) -> Iterator[tuple[Path, Task]]:
    """Yield the tasks and handlers of a role with the files that hold them."""
    for folder in ("tasks", "handlers"):
        for path in sorted((role / folder).rglob("*.yml")):
            for task in within(load(path)):
                yield path, task


def plays(ansible: Path) -> Iterator[tuple[Path, Task]]:
    """Yield the plays of the playbooks with their files."""
    for path in sorted((ansible / "playbooks").rglob("*.yml")):
        content = load(path)
        if isinstance(content, list):
            for play in content:
                yield path, play


def tasks_of_play(play: Task) -> Iterator[Task]:
    """Yield the tasks of a play."""
    for section in ("pre_tasks", "tasks", "post_tasks", "handlers"):
        yield from within(play.get(section))


def module_of(task: Task, *names: str) -> Any:
    """Return the arguments of a task's module if it is one of these, by short or full name."""
    for name in names:
        for key in (name, f"ansible.builtin.{name}"):
            if key in task:
                return task[key] or {}
    return None


def is_template(value: Any) -> bool:
    """Return whether a default's real value is known only when the role runs."""
    return isinstance(value, str) and "{{" in value


def undeclared(role: Path) -> list[str]:
    """Every default is declared, and everything declared has a default or is required."""
    if not (role / "meta" / "argument_specs.yml").is_file():
        return [f"{role.name}: no meta/argument_specs.yml"]
    defaults, options = set(defaults_of(role)), options_of(role)
    required = {name for name, option in options.items() if option.get("required")}
    problems = [f"{name}: has a default and is not declared" for name in defaults - set(options)]
    problems += [
        f"{name}: neither required nor default" for name in set(options) - defaults - required
    ]
    problems += [f"{name}: required, so its default is never used" for name in required & defaults]
    problems += [
        f"{name}: no description"
        for name, option in options.items()
        if not option.get("description")
    ]
    return sorted(problems)


def mistyped(role: Path) -> list[str]:
    """Defaults have the declared type, are among the choices and stand in both files alike."""
    problems = []
    for name, option in options_of(role).items():
        kind = option.get("type")
        if kind != "raw" and kind not in TYPES:
            problems.append(f"{name}: type {kind}")
            continue
        if kind == "list" and "elements" not in option:
            problems.append(f"{name}: a list of what")
        if name not in defaults_of(role):
            continue
        default: Any = defaults_of(role)[name]
        if "default" in option and option["default"] != default:
            problems.append(f"{name}: default {default!r}, declared {option['default']!r}")
        if kind == "raw" or is_template(default):
            continue
        if not fits(default, kind):
            problems.append(f"{name}: default {default!r} is no {kind}")
        elif kind == "list" and not all(
            is_template(item) or fits(item, option.get("elements", "raw")) for item in default
        ):
            problems.append(f"{name}: default {default!r} is no list of {option.get('elements')}")
        elif "choices" in option and any(
            item not in option["choices"] for item in (default if kind == "list" else [default])
        ):
            problems.append(f"{name}: default {default!r} is not among the choices")
    return problems


def fits(value: Any, kind: str) -> bool:
    """Return whether a value is of a type; true and false are no numbers here."""
    if kind == "raw":
        return True
    if isinstance(value, bool) and kind != "bool":
        return False
    return isinstance(value, TYPES[kind])


def misnamed(role: Path) -> list[str]:
    """Every variable begins with the role's name, or with ``_`` where it is the role's own."""
    public = f"{role.name}_"
    names = [(name, "defaults") for name in defaults_of(role)]
    names += [(name, "argument_specs") for name in options_of(role)]
    problems = [
        f"{name} ({place}): does not begin with {public}"
        for name, place in names
        if not name.startswith(public)
    ]
    made: list[tuple[str, str]] = []
    for path in sorted((role / "vars").rglob("*.yml")):
        made += [(name, path.name) for name in load(path) or {}]
    for path, task in tasks_of(role):
        other = (module_of(task, *INCLUDES) or {}).get("name", role.name)
        made += [
            (name, path.name)
            for name in task.get("vars") or {}
            if not name.startswith((f"{other}_", "ansible_"))
        ]
        made += [
            (name, path.name) for name in module_of(task, "set_fact") or {} if name != "cacheable"
        ]
        made += [(task["register"], path.name)] if "register" in task else []
        control = task.get("loop_control") or {}
        made += [(control[key], path.name) for key in ("loop_var", "index_var") if key in control]
    problems += [
        f"{name} ({place}): begins neither with {public} nor with _"
        for name, place in made
        if not name.startswith((public, "_"))
    ]
    return problems


def unused(role: Path) -> list[str]:
    """Every default is read somewhere in the role."""
    texts = [
        path.read_text(encoding="utf-8")
        for folder in ("tasks", "handlers", "templates", "vars", "files")
        for path in sorted((role / folder).rglob("*"))
        # Python's bytecode of a script that a test imported is no text.
        if path.is_file() and path.suffix != ".pyc"
    ]
    used = "\n".join(
        line for text in texts for line in text.splitlines() if not line.lstrip().startswith("#")
    )
    values = {name: str(value) for name, value in defaults_of(role).items()}
    problems = []
    for name in values:
        places = [used, *(value for other, value in values.items() if other != name)]
        if not any(re.search(rf"\b{re.escape(name)}\b", place) for place in places):
            problems.append(f"{name}: never used")
    return problems


def undocumented(role: Path) -> list[str]:
    """Compare the README with what the generator makes of the role as it is."""
    path = role / "README.md"
    if not path.is_file() or path.read_text(encoding="utf-8") != README.readme(role):
        return ["README.md: out of date, run python ansible/docs/role_readme.py"]
    return []


def names(entry: str | None, role: str) -> bool:
    """Return whether an entry of a play is this role, or a template that can become it."""
    parts = re.split(r"\{\{.*?\}\}", entry or "")
    return re.fullmatch(".+".join(re.escape(part) for part in parts), role) is not None


def untagged(role: Path) -> list[str]:
    """Roles can be picked by a tag: of their tasks, or of every use of them in a playbook."""
    tasks = load(role / "tasks" / "main.yml") or []
    if tasks and all("tags" in task for task in tasks):
        return []
    problems, uses = [], 0
    for path, play in plays(role.parents[1]):
        entries = [
            entry if isinstance(entry, dict) else {"role": entry}
            for entry in play.get("roles") or []
        ]
        found: list[Task] = [
            entry for entry in entries if names(entry.get("role", entry.get("name")), role.name)
        ]
        found += [
            task
            for task in tasks_of_play(play)
            if names((module_of(task, *INCLUDES) or {}).get("name"), role.name)
        ]
        uses += len(found)
        problems += [
            f"{path.name}: uses {role.name} without tags"
            for use in found
            if "tags" not in use and "tags" not in play
        ]
    return problems if uses else [f"{role.name}: no tags on its tasks, and in no playbook"]


def hiding(tasks: Iterator[Task], place: str) -> list[str]:
    """Return the tasks that hide a failure or run a shell."""
    problems = []
    for task in tasks:
        name = f"{place}: {task.get('name', 'a task without a name')}"
        if "ignore_errors" in task:
            problems.append(f"{name}: ignore_errors")
        condition = task.get("failed_when")
        if str(condition).strip().lower() in ("false", "no"):
            problems.append(f"{name}: failed_when: false")
        action = task.get("action", task.get("local_action", ""))
        action = action.get("module", "") if isinstance(action, dict) else str(action)
        if any(shell in task for shell in SHELLS) or action.split(" ")[0] in SHELLS:
            problems.append(f"{name}: the shell module")
    return problems


def hiding_in_role(role: Path) -> list[str]:
    """No task or handler of the role hides a failure or runs a shell."""
    return [
        problem
        for path, task in tasks_of(role)
        for problem in hiding(iter([task]), str(path.relative_to(role)))
    ]


def hiding_in_playbooks(ansible: Path) -> list[str]:
    """No play, and no task of one, hides a failure or runs a shell."""
    return [
        problem
        for path, play in plays(ansible)
        for problem in [
            *hiding(iter([play]), path.name),
            *hiding(tasks_of_play(play), path.name),
        ]
    ]


CHECKS: list[Check] = [
    undeclared,
    mistyped,
    misnamed,
    unused,
    undocumented,
    untagged,
    hiding_in_role,
]


def test_there_are_roles_and_playbooks() -> None:
    """The tests below would pass if they found nothing to look at."""
    assert {"common", "docker", "swarm", "edge", "release"} <= {role.name for role in ROLES}
    assert list(plays(ANSIBLE)) != []
    for role in ROLES:
        assert list(tasks_of(role)) != [], f"{role.name} has no tasks"


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_role(role: Path, check: Check) -> None:
    """Nothing is wrong with a role."""
    assert check(role) == []


def test_playbooks_hide_nothing() -> None:
    """Nothing is wrong with the playbooks."""
    assert hiding_in_playbooks(ANSIBLE) == []


# The checks themselves: a small role passes all of them, and each spoiled copy fails its own.

SPECS = """\
---
argument_specs:
  main:
    short_description: A web server
    options:
      web_port:
        description: The port to listen on.
        type: int
        choices: [80, 8080]
        default: 80
      web_names:
        description: Names of the site.
        type: list
        elements: str
      web_title:
        description: Derived from the names.
        type: str
      web_root:
        description: Folder with the pages.
        type: path
        required: true
"""
DEFAULTS = """\
---
web_port: 80
web_names: [localhost]
web_title: "{{ web_names | first }}"
"""
TASKS = """\
---
- name: Configure
  block:
    - name: Write the pages
      ansible.builtin.template:
        src: page.j2
        dest: "{{ web_root }}/{{ web_title }}"
      register: _web_page
    - name: Listen
      community.general.listen_ports_facts:
        port: "{{ web_port }}"
      vars:
        web_extra: 1
"""
PLAYBOOK = """\
---
- name: Site
  hosts: all
  roles:
    - role: web
      tags: [web]
  tasks:
    - name: Say hello
      ansible.builtin.debug:
"""
FILES = {
    "roles/web/meta/argument_specs.yml": SPECS,
    "roles/web/meta/main.yml": "---\ngalaxy_info:\n  description: A web server\n",
    "roles/web/defaults/main.yml": DEFAULTS,
    "roles/web/tasks/main.yml": TASKS,
    "playbooks/site.yml": PLAYBOOK,
}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write a small project with one role and return the role's folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    role = folder / "roles" / "web"
    (role / "README.md").write_text(README.readme(role), encoding="utf-8")
    return role


@pytest.mark.parametrize("check", CHECKS)
def test_checks_accept_a_good_role(check: Check, tmp_path: Path) -> None:
    """No check complains where nothing is wrong."""
    assert check(write(tmp_path, FILES)) == []


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "problem"),
    [
        (undeclared, "defaults", "web_port: 80", "web_port: 80\nweb_new: 1", "not declared"),
        (undeclared, "defaults", "web_port: 80\n", "", "neither required nor default"),
        (undeclared, "defaults", "web_port: 80", "web_port: 80\nweb_root: /srv", "never used"),
        (
            undeclared,
            "specs",
            "description: The port to listen on.",
            "version_added: 1",
            "web_port",
        ),
        (mistyped, "defaults", "web_port: 80", "web_port: '80'", "no int"),
        (mistyped, "defaults", "web_port: 80", "web_port: true", "no int"),
        (mistyped, "defaults", "web_port: 80", "web_port:", "no int"),
        (mistyped, "defaults", "web_port: 80", "web_port: 8080", "declared 80"),
        (mistyped, "specs", "choices: [80, 8080]", "choices: [443]", "among the choices"),
        (mistyped, "defaults", "[localhost]", "localhost", "no list"),
        (mistyped, "defaults", "[localhost]", "[1]", "no list of str"),
        (mistyped, "specs", "        elements: str\n", "", "a list of what"),
        (mistyped, "specs", "type: path", "type: folder", "type folder"),
        (mistyped, "specs", "        type: path\n", "", "type None"),
        (misnamed, "defaults", "web_port: 80", "port: 80", "port (defaults)"),
        (misnamed, "specs", "      web_root:", "      root:", "root (argument_specs)"),
        (misnamed, "tasks", "_web_page", "page", "page (main.yml)"),
        (misnamed, "tasks", "web_extra", "extra", "extra (main.yml)"),
        (unused, "tasks", 'port: "{{ web_port }}"', "port: 80", "web_port: never used"),
        (unused, "tasks", 'port: "{{ web_port }}"', "# web_port", "web_port: never used"),
        (unused, "tasks", "web_port", "web_portal", "web_port: never used"),
        (untagged, "playbook", "      tags: [web]\n", "", "without tags"),
        (untagged, "playbook", "role: web", "role: other", "in no playbook"),
        (
            untagged,
            "playbook",
            "role: web\n      tags:",
            "role: 'w{{ x }}'\n      x:",
            "without tags",
        ),
        (hiding_in_role, "tasks", "register: _web_page", "ignore_errors: true", "ignore_errors"),
        (hiding_in_role, "tasks", "register: _web_page", "failed_when: false", "failed_when"),
        (hiding_in_role, "tasks", "register: _web_page", "failed_when: 'no'", "failed_when"),
        (hiding_in_role, "tasks", "ansible.builtin.template", "ansible.builtin.shell", "shell"),
        (hiding_in_role, "tasks", "ansible.builtin.template", "shell", "shell"),
        (hiding_in_role, "tasks", "register: _web_page", "action: shell true", "shell"),
    ],
)
def test_checks_refuse_a_bad_role(
    check: Check, file: str, old: str, new: str, problem: str, tmp_path: Path
) -> None:
    """Every check is seen to fail, for the reason it was made for."""
    names = {
        "specs": "roles/web/meta/argument_specs.yml",
        "defaults": "roles/web/defaults/main.yml",
        "tasks": "roles/web/tasks/main.yml",
        "playbook": "playbooks/site.yml",
    }
    content = FILES[names[file]]
    assert old in content
    role = write(tmp_path, {**FILES, names[file]: content.replace(old, new, 1)})
    assert any(problem in found for found in check(role)), check(role)


def test_a_role_without_specs_is_refused(tmp_path: Path) -> None:
    """An absent file is a problem and not an empty one."""
    role = write(tmp_path, FILES)
    (role / "meta" / "argument_specs.yml").unlink()
    assert undeclared(role) == ["web: no meta/argument_specs.yml"]


@pytest.mark.parametrize("content", [None, "# web\n"])
def test_a_readme_that_is_absent_or_old_is_refused(content: str | None, tmp_path: Path) -> None:
    """The README follows the role."""
    role = write(tmp_path, FILES)
    if content is None:
        (role / "README.md").unlink()
    else:
        (role / "README.md").write_text(content, encoding="utf-8")
    assert undocumented(role) != []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("ansible.builtin.debug:", "ansible.builtin.shell: 'true'", "shell"),
        ("ansible.builtin.debug:", "ansible.builtin.debug:\n      ignore_errors: true", "ignore"),
        ("  hosts: all", "  hosts: all\n  ignore_errors: true", "ignore_errors"),
    ],
)
def test_a_playbook_that_hides_failures_is_refused(
    old: str, new: str, problem: str, tmp_path: Path
) -> None:
    """What roles may not do, playbooks may not either."""
    write(tmp_path, {**FILES, "playbooks/site.yml": PLAYBOOK.replace(old, new, 1)})
    assert any(problem in found for found in hiding_in_playbooks(tmp_path))


def test_the_generator_checks_and_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--check`` fails and changes nothing, writing mends, and a second run has nothing to do."""
    role = write(tmp_path, FILES)
    folder = ["--roles", str(tmp_path / "roles")]
    (role / "README.md").write_text("old", encoding="utf-8")
    assert README.main([*folder, "--check"]) == 1
    assert (role / "README.md").read_text(encoding="utf-8") == "old"
    assert README.main(folder) == 0
    assert README.main([*folder, "--check"]) == 0
    assert "written" in capsys.readouterr().out
    text = (role / "README.md").read_text(encoding="utf-8")
    assert "| `web_port` | int | `80` | no | `80`, `8080` | The port to listen on. |" in text
    assert "        web_root: …  # path" in text

#!/usr/bin/env python3
"""Write the README of every role from what the role itself declares.

The sources are ``meta/argument_specs.yml`` (variables, types, descriptions), ``defaults/main.yml``
(default values) and ``meta/main.yml`` (a description, dependencies). The result depends on nothing
else, so ``--check`` can compare it with what is committed.

    python ansible/docs/role_readme.py            write every README.md
    python ansible/docs/role_readme.py --check    exit 1 and name the ones that are out of date
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[1] / "roles"
NOTICE = (
    "<!-- Written by ansible/docs/role_readme.py from the role's metadata; edit that instead. -->"
)
# The markup of Ansible's documentation: C(code), V(value), O(option) and so on, and L(text, link).
MARKUP = re.compile(r"\b[CVOEMBIU]\(([^()]*)\)")
LINK = re.compile(r"\bL\(([^(),]*),\s*([^()\s]*)\)")
COLUMNS = ("Variable", "Type", "Default", "Required", "Choices", "Description")

Table = Mapping[str, Any]


class _Loader(yaml.SafeLoader):
    """Safe YAML that also reads Ansible's own tags, as the plain values that they mark."""


def _tagged(loader: yaml.SafeLoader, _suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return None


_Loader.add_multi_constructor("!", _tagged)


def parse(content: str) -> Any:
    """Return what a YAML document holds."""
    loader = _Loader(content)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def load(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, or an empty one where the file is absent or empty."""
    if not path.is_file():
        return {}
    content = parse(path.read_text(encoding="utf-8"))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected a mapping, found {type(content).__name__}")
    return content


def text(value: Any) -> str:
    """Return a description, a string or a list of paragraphs, as one line of Markdown."""
    parts = value if isinstance(value, list) else [value or ""]
    plain = " ".join(" ".join(str(part).split()) for part in parts).strip()
    plain = LINK.sub(r"[\1](\2)", plain)
    return MARKUP.sub(r"`\1`", plain)


def code(value: Any) -> str:
    """Return a value as typed in YAML, in code quotes that its own backticks can't end."""
    shown = value.strip() if isinstance(value, str) and value.strip() else json.dumps(value)
    shown = " ".join(shown.split())
    fence = "``" if "`" in shown else "`"
    pad = " " if "`" in shown else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def cell(content: str) -> str:
    """Return text that can't end a table's cell."""
    return content.replace("|", "\\|")


def options(spec: Table, prefix: str = "") -> Iterator[tuple[str, Table]]:
    """Yield an entry point's options and, after each, those nested in it as ``name.nested``."""
    for name, option in (spec.get("options") or {}).items():
        path = f"{prefix}{name}"
        yield path, option or {}
        is_list = (option or {}).get("type") == "list"
        yield from options(option or {}, f"{path}[]." if is_list else f"{path}.")


def type_of(option: Table) -> str:
    """Return an option's type, with that of a list's elements."""
    name = option.get("type", "str")
    return f"list of {option['elements']}" if name == "list" and "elements" in option else str(name)


def rows(spec: Table, defaults: Table) -> Iterator[Sequence[str]]:
    """Yield the cells of the table of variables, one row an option."""
    for name, option in options(spec):
        default = defaults.get(name, option.get("default"))
        known = name in defaults or "default" in option
        yield (
            f"`{name}`",
            type_of(option),
            code(default) if known else "",
            "yes" if option.get("required") else "no",
            ", ".join(code(choice) for choice in option.get("choices") or []),
            text(option.get("description")),
        )


def table(spec: Table, defaults: Table) -> list[str]:
    """Return the table of variables as lines of Markdown."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    for row in rows(spec, defaults):
        lines.append(
            "|" + "|".join(f" {cell(content)} " if content else " " for content in row) + "|"
        )
    return lines


def example(role: str, spec: Table, hosts: str) -> list[str]:
    """Return a play that uses the role, with a place for each required variable."""
    lines = ["```yaml", f"- name: Apply {role}", f"  hosts: {hosts}", "  roles:"]
    required = [
        (name, option or {})
        for name, option in (spec.get("options") or {}).items()
        if (option or {}).get("required")
    ]
    lines.append(f"    - role: {role}")
    if required:
        lines.append("      vars:")
        for name, option in required:
            choices = option.get("choices")
            filler = json.dumps(choices[0]) if choices else f"…  # {type_of(option)}"
            lines.append(f"        {name}: {filler}")
    return [*lines, "```"]


def readme(role: Path) -> str:
    """Return the README of the role in a folder."""
    specs = load(role / "meta" / "argument_specs.yml").get("argument_specs") or {}
    defaults = load(role / "defaults" / "main.yml")
    meta = load(role / "meta" / "main.yml")
    galaxy = meta.get("galaxy_info") or {}
    main = specs.get("main") or {}

    lines = [f"# {role.name}", "", NOTICE, ""]
    summary = text(galaxy.get("description") or main.get("short_description"))
    lines += [summary, ""] if summary else []
    paragraphs = main.get("description") or []
    for paragraph in paragraphs if isinstance(paragraphs, list) else [paragraphs]:
        if text(paragraph) != summary:
            lines += [text(paragraph), ""]
    names = [
        str(item.get("role") if isinstance(item, dict) else item)
        for item in meta.get("dependencies") or []
    ]
    if names:
        lines += ["Depends on: " + ", ".join(f"`{name}`" for name in names) + ".", ""]

    for point, spec in specs.items():
        spec = spec or {}
        if point == "main":
            lines += ["## Variables", ""]
        else:
            lines += [f"## Variables of `tasks_from: {point}`", ""]
            about = text(spec.get("description") or spec.get("short_description"))
            lines += [about, ""] if about else []
        lines += table(spec, defaults) if spec.get("options") else ["None."]
        lines.append("")

    hosts = "localhost" if role.name.startswith("cloud_") else "all"
    lines += ["## Example", "", *example(role.name, main, hosts), ""]
    return "\n".join(lines)


def folders(roles: Path) -> list[Path]:
    """Return the folders of the roles, in order of their names."""
    return sorted(path for path in roles.iterdir() if (path / "meta").is_dir())


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the README of every role; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the README of every role.")
    parser.add_argument(
        "--check", action="store_true", help="change nothing, fail if one is out of date"
    )
    parser.add_argument("--roles", type=Path, default=ROLES, help="the folder of roles")
    chosen = parser.parse_args(arguments)

    stale = []
    for role in folders(chosen.roles):
        target = role / "README.md"
        wanted = readme(role)
        if target.is_file() and target.read_text(encoding="utf-8") == wanted:
            continue
        stale.append(target)
        if not chosen.check:
            target.write_text(wanted, encoding="utf-8")
    for target in stale:
        sys.stdout.write(f"{target}: {'out of date' if chosen.check else 'written'}\n")
    if chosen.check and stale:
        sys.stderr.write("Run: python ansible/docs/role_readme.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

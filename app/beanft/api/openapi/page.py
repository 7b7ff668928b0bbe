"""The document as what a page shows: operations in groups, tables of fields, lines for curl."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from markupsafe import Markup, escape

from beanft.api.openapi.parts import SECURITY, Json

DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Field:
    """A line of a table: a field's or parameter's name, its type, and what it is."""

    name: str
    type: str
    required: bool
    text: Markup
    where: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, what it means, and the schema of its body if it has a name."""

    status: str
    title: str
    text: Markup
    schema: str | None


@dataclass(frozen=True, slots=True)
class Operation:
    """What is shown of an operation."""

    id: str
    method: str
    path: str
    summary: str
    text: Markup
    scopes: list[str]
    parameters: list[Field]
    body: list[Field]
    curl: str
    answers: list[Answer]
    example: str | None


@dataclass(slots=True)
class Group:
    """The operations of one tag."""

    name: str
    text: str
    operations: list[Operation] = field(default_factory=list)


def marked_up(text: str) -> Markup:
    """Return a text with paragraphs, lists, ``code`` and bold words as HTML."""
    blocks = []
    for block in text.split("\n\n"):
        inner = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(block)))
        inner = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", inner)
        if inner.startswith("- "):
            items = "".join(f"<li>{line[2:]}</li>" for line in inner.split("\n"))
            blocks.append(f"<ul>{items}</ul>")
        else:
            blocks.append(f"<p>{inner}</p>")
    return Markup("".join(blocks))  # noqa: S704 - escaped above, before the tags were added


def _inline(text: str) -> Markup:
    return Markup(str(marked_up(text)).removeprefix("<p>").removesuffix("</p>"))  # noqa: S704 - as above


class _Document:
    """Reads a document."""

    def __init__(self, document: Json) -> None:
        self._document = document

    def resolve(self, part: Json) -> Json:
        """Follow a reference."""
        if "$ref" not in part:
            return part
        found: Json = self._document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return found

    def type_of(self, schema: Json) -> str:
        """Return a schema's type in words."""
        if "$ref" in schema:
            return str(schema["$ref"].rpartition("/")[2])
        for choice in ("oneOf", "anyOf"):
            if choice in schema:
                return " or ".join(self.type_of(entry) for entry in schema[choice])
        if "enum" in schema:
            return " | ".join(json.dumps(value) for value in schema["enum"])
        types = schema.get("type", "anything")
        words = types if isinstance(types, list) else [types]
        if "array" in words:
            inner = self.type_of(schema["items"])
            words = [f"list of {inner}" if word == "array" else word for word in words]
        return " or ".join(words)

    def _bounds(self, schema: Json) -> str:
        said = []
        for name, text in (
            ("default", "preset"),
            ("minimum", "at least"),
            ("maximum", "at most"),
            ("maxLength", "characters at most"),
            ("maxItems", "entries at most"),
        ):
            if name in schema:
                value = schema[name]
                said.append(f"{text} {value if isinstance(value, str) else json.dumps(value)}")
        return ", ".join(said)

    def fields(self, schema: Json, prefix: str = "", depth: int = 0) -> list[Field]:
        """Return a line for each property, and below it those of what it holds."""
        schema = self.resolve(schema)
        if "array" in schema.get("type", ()) and depth:
            return self.fields(schema["items"], prefix + "[]", depth)
        found: list[Field] = []
        for name, part in schema.get("properties", {}).items():
            text = part.get("description", "")
            if bounds := self._bounds(part):
                text = f"{text} ({bounds})".strip()
            required = name in schema.get("required", ())
            path = f"{prefix}.{name}" if prefix else name
            found.append(Field(path, self.type_of(part), required, _inline(text)))
            if "$ref" not in part and depth < DEEPEST:
                for choice in part.get("oneOf", [part]):
                    if "$ref" not in choice.get("items", {}):
                        found += self.fields(choice, path, depth + 1)
        return found

    def parameter(self, part: Json) -> Field:
        """Return a parameter's line."""
        found = self.resolve(part)
        text = found["description"]
        if bounds := self._bounds(found["schema"]):
            text = f"{text} ({bounds})"
        required = found.get("required", False)
        kind = self.type_of(found["schema"])
        return Field(found["name"], kind, required, _inline(text), found["in"])

    def answer(self, status: str, part: Json) -> Answer:
        """Return a response's line."""
        found = self.resolve(part)
        schema = None
        for media in found.get("content", {}).values():
            if schema is None and "$ref" in media["schema"]:
                schema = media["schema"]["$ref"].rpartition("/")[2]
        phrase = HTTPStatus(int(status)).phrase
        return Answer(status, phrase, _inline(found["description"]), schema)

    def curl(self, method: str, path: str, operation: Json) -> str:
        """Return a command that sends such a request."""
        words = ["curl"]
        if method not in {"GET", "POST"} or (method == "POST" and "requestBody" not in operation):
            words.append(f"-X {method}")
        address = re.sub(r"\{(\w+)_id\}", lambda found: f"${found[1].upper()}", path)
        lines = [f'{" ".join(words)} "$BEANFT{address}"']
        if operation.get("security"):
            lines.append('-H "Authorization: Bearer $KEY"')
        if "requestBody" in operation:
            kind, media = next(iter(operation["requestBody"]["content"].items()))
            lines.append(f'-H "Content-Type: {kind}"')
            if kind == "application/json":
                sent = json.dumps(media["example"]).replace("'", "'\\''")
                lines.append(f"--data '{sent}'")
            else:
                lines.append("--data-binary @data.csv")
        return " \\\n  ".join(lines)

    def operation(self, method: str, path: str, operation: Json) -> Operation:
        """Return what is shown of an operation."""
        content = operation.get("requestBody", {}).get("content", {})
        body = content.get("application/json", {}).get("schema", {})
        success = self.resolve(next(iter(operation["responses"].values())))
        examples = (media.get("example") for media in success.get("content", {}).values())
        example = next((found for found in examples if found is not None), None)
        return Operation(
            id=operation["operationId"],
            method=method,
            path=path,
            summary=operation["summary"],
            text=marked_up(operation["description"]),
            scopes=[entry[SECURITY][0] for entry in operation.get("security", [])],
            parameters=[self.parameter(part) for part in operation["parameters"]],
            body=self.fields(body),
            curl=self.curl(method, path, operation),
            answers=[self.answer(*pair) for pair in operation["responses"].items()],
            example=_shown(example),
        )


def _shown(example: Any) -> str | None:
    if example is None or isinstance(example, str):
        return example
    return json.dumps(example, indent=2)


def operations_by_tag(document: Json) -> list[Group]:
    """Return the operations in groups, both in the document's order."""
    reader = _Document(document)
    groups = {tag["name"]: Group(tag["name"], tag["description"]) for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            shown = reader.operation(method.upper(), path, operation)
            groups[operation["tags"][0]].operations.append(shown)
    return list(groups.values())


def schemas_of(document: Json) -> Mapping[str, list[Field]]:
    """Return the fields of each shared schema."""
    reader = _Document(document)
    return {
        name: reader.fields(schema) for name, schema in document["components"]["schemas"].items()
    }

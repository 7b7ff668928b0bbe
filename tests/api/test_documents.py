"""The OpenAPI document holds every route and nothing else; its page and per-model documents are whole."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from flask import Flask

from beanft.users.keys import SCOPES

DOCUMENT = "/api/v1/openapi.json"


@pytest.fixture
def document(api: Flask) -> dict[str, Any]:
    found: dict[str, Any] = api.test_client().get(DOCUMENT).json
    return found


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_route_is_described_and_every_description_has_a_route(
    api: Flask, document: dict[str, Any]
) -> None:
    routes = {
        (method, re.sub(r"<(\w+)>", r"{\1}", str(rule)))
        for rule in api.url_map.iter_rules()
        if str(rule).startswith("/api/")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(method, path) for method, path, _ in operations(document)} == routes


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [name for value in part.values() for name in references(value)]
    if isinstance(part, list):
        return [name for value in part for name in references(value)]
    return []


def test_it_is_whole(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    used = set(references(document))
    there = {
        f"#/components/{kind}/{name}"
        for kind, parts in document["components"].items()
        for name in parts
        if kind != "securitySchemes"
    }
    assert used <= there
    spare = {name.rpartition("/")[2] for name in there - used}
    assert spare <= {"500", "503"}, spare
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in document["tags"]}
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"], where
        assert set(operation["tags"]) <= tags, where
        assert {"500", "503"} <= set(operation["responses"]), where
        for entry in operation["security"]:
            assert set(entry["key"]) <= set(SCOPES), where
        if "{" in path:
            assert "404" in operation["responses"], where
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= set(operation["responses"]), where
            for media in operation["requestBody"]["content"].values():
                assert "example" in media, where


def test_scopes_are_those_that_are_asked_for(
    api: Flask, caller: Any, document: dict[str, Any]
) -> None:
    from beanft.users import keys

    here = api.extensions["beanft"]
    for method, path, operation in operations(document):
        scopes = {entry["key"][0] for entry in operation["security"]}
        address = re.sub(r"\{\w+\}", "0" * 20, path)
        if not scopes:
            assert api.test_client().open(address, method=method).status_code == 200
            continue
        others = keys.ALL_SCOPES - scopes
        key, secret = keys.make_key(here.database, caller.user.id, "others", others)
        headers = {"Authorization": f"Bearer {secret}"}
        answer = api.test_client().open(address, method=method, headers=headers)
        assert answer.status_code == 403, address
        keys.revoke_key(here.database, caller.user.id, key.id)


def test_it_is_kept_and_not_sent_twice(api: Flask) -> None:
    client = api.test_client()
    for path in (DOCUMENT, "/api/v1/docs", "/api/v1/docs.css"):
        first = client.get(path)
        assert first.status_code == 200
        again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


class Page(HTMLParser):
    """Collects what a page has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.seen.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "id":
                self.ids.append(value or "")
            if name == "href":
                self.links.append(value or "")


def test_the_page_shows_all_of_it_and_runs_nothing(api: Flask, document: dict[str, Any]) -> None:
    client = api.test_client()
    answer = client.get("/api/v1/docs")
    page = Page(answer.text)
    assert len(page.ids) == len(set(page.ids))
    for _, path, operation in operations(document):
        assert operation["operationId"] in page.ids
        assert f"<code>{path}</code>" in answer.text
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    for link in page.links:
        if not link.startswith("#"):
            assert client.get(link).status_code == 200
    assert not page.seen & {"script", "style", "img", "iframe"}
    assert not {name for name in page.attributes if name == "style" or name.startswith("on")}
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "style-src 'self'" in policy
    assert "script" not in policy
    for scope in SCOPES:
        assert f"<code>{scope}</code>" in answer.text
    assert "$ref" not in answer.text
    assert "None" not in answer.text.replace("If-None-Match", "")


def test_curl_lines_work(api: Flask, caller: Any, document: dict[str, Any]) -> None:
    """What the page says for a shell is a request that is understood."""
    import shlex
    from html import unescape

    page = unescape(api.test_client().get("/api/v1/docs").text)
    lines = re.findall(r"<code>(curl .*?)</code>", page, re.S)
    assert len(lines) == len(operations(document))
    for line in lines:
        words = shlex.split(line.replace("\\\n", " "))
        method = "POST" if any(word.startswith("--data") for word in words) else "GET"
        headers = dict(caller.headers)
        data = b""
        address = ""
        for flag, value in itertools.pairwise(words):
            if flag == "-X":
                method = value
            elif flag == "-H" and not value.startswith("Authorization"):
                name, _, text = value.partition(": ")
                headers[name] = text
            elif flag == "--data":
                data = value.encode()
            elif flag == "--data-binary":
                data = b"a,b\n1,2\n"
            elif value.startswith("$BEANFT"):
                address = re.sub(r"\$[A-Z]+", "0" * 20, value.removeprefix("$BEANFT"))
        answer = api.test_client().open(address, method=method, headers=headers, data=data)
        assert answer.status_code in {200, 201, 404} or (
            answer.status_code == 422 and answer.json["errors"][0]["field"] == "dataset"
        ), line

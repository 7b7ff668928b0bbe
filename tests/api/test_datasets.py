"""Data sets over the API: stored once however often they are sent, and read back."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from beanft.config import Settings
from beanft.core.database import Database, utcnow
from beanft.extensions import NAME
from beanft.uploader import once
from beanft.uploader.models import Dataset, IdempotencyKey
from beanft.users import keys
from beanft.users.models import User
from beanft.wsgi import create_api
from tests.kept import Kept

PATH = "/api/v1/datasets"
BODY = b"a,b\n1,x\n2,y\n"


def send(caller: Any, content: bytes = BODY, key: str | None = None, name: str = "t.csv") -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    path = f"{PATH}?name={name}"
    return caller.post(path, data=content, content_type="text/csv", headers=headers)


def check_problem(answer: Any, status: int) -> str:
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    detail: str = answer.json["detail"]
    return detail


def count(database: Database) -> int:
    with database.reading() as session:
        return int(session.scalar(sa.select(sa.func.count()).select_from(Dataset)) or 0)


def files(kept_files: Kept) -> int:
    return len(kept_files.stored())


def test_store_list_look_delete(caller: Any, kept_files: Kept) -> None:
    made = send(caller)
    assert made.status_code == 201
    assert "Idempotent-Replay" not in made.headers
    assert made.json["sha256"] == hashlib.sha256(BODY).hexdigest()
    shown = {name: made.json[name] for name in ("name", "rows", "columns", "size")}
    assert shown == {"name": "t.csv", "rows": 2, "columns": 2, "size": len(BODY)}
    assert made.location == f"{PATH}/{made.json['id']}"
    assert caller.get(made.location).json == made.json
    second = send(caller)  # without a key it is another one
    listed = caller.get(PATH).json["datasets"]
    assert [entry["id"] for entry in listed] == [second.json["id"], made.json["id"]]
    assert all(entry["created_at"] for entry in listed)
    gone = caller.client.delete(made.location, headers=caller.headers)
    assert (gone.status_code, gone.data) == (204, b"")
    check_problem(caller.get(made.location), 404)
    check_problem(caller.client.delete(made.location, headers=caller.headers), 404)
    assert files(kept_files) == 1


def test_what_others_stored_is_not_there(
    api: Flask, caller: Any, database: Database, make_user: Callable[[str], User]
) -> None:
    made = send(caller, key="k")
    _key, secret = keys.make_key(database, make_user("dora@example.org").id, "test")
    dora = dataclasses.replace(caller, key=secret)
    check_problem(dora.get(made.location), 404)
    check_problem(dora.client.delete(made.location, headers=dora.headers), 404)
    assert dora.get(PATH).json == {"datasets": [], "next": None}
    hers = send(dora, b"c,d\n1,2\n", key="k")  # a key is its user's
    assert hers.status_code == 201
    assert "Idempotent-Replay" not in hers.headers
    for act in (api.test_client().get, api.test_client().post, api.test_client().delete):
        check_problem(act(made.location if act.__name__ != "post" else PATH), 401)


def test_the_same_key_again_is_the_same_data_set(
    caller: Any, kept_files: Kept, database: Database
) -> None:
    first = send(caller, key="order 1")
    for _ in range(2):
        again = send(caller, key="order 1")
        assert again.status_code == 201
        assert again.headers["Idempotent-Replay"] == "true"
        assert again.location == first.location
        assert again.json == first.json
    assert (count(database), files(kept_files)) == (1, 1)
    assert "another name or body" in check_problem(send(caller, BODY + b"3,z\n", "order 1"), 422)
    check_problem(send(caller, key="order 1", name="other.csv"), 422)
    assert (count(database), files(kept_files)) == (1, 1)


def test_a_refused_request_uses_its_key_up_for_nothing(caller: Any, database: Database) -> None:
    assert check_problem(send(caller, b"a,b\n1\n", "k"), 422).startswith("Line 2")
    assert send(caller, key="k").status_code == 201
    assert count(database) == 1


def test_a_deleted_data_set_does_not_come_back_by_a_late_repetition(
    caller: Any, database: Database
) -> None:
    made = send(caller, key="k")
    caller.client.delete(made.location, headers=caller.headers)
    assert "deleted since" in check_problem(send(caller, key="k"), 409)
    assert count(database) == 0


@pytest.fixture
def tasks(settings: Settings) -> Iterator[list[Flask]]:
    """Four tasks of the API, each with connections of its own."""
    made = [create_api(settings) for _ in range(4)]
    yield made
    for app in made:
        app.extensions[NAME].database.close()


def test_at_once_at_several_tasks_it_is_stored_once(
    tasks: list[Flask], caller: Any, kept_files: Kept, database: Database
) -> None:
    together = threading.Barrier(len(tasks))

    def act(task: Flask, key: str) -> Any:
        mine = dataclasses.replace(caller, client=task.test_client())
        together.wait(30)
        return send(mine, key=key)

    with ThreadPoolExecutor(len(tasks)) as pool:
        for number in range(10):
            answers = list(pool.map(lambda task, n=number: act(task, f"key-{n}"), tasks))
            assert [answer.status_code for answer in answers] == [201] * len(tasks)
            assert len({answer.json["id"] for answer in answers}) == 1
            replays = [answer.headers.get("Idempotent-Replay") for answer in answers]
            assert sorted(map(str, replays)) == ["None", "true", "true", "true"]
    assert (count(database), files(kept_files)) == (10, 10)


class _Late(io.BytesIO):
    """A body during whose sending the same request is served elsewhere."""

    def __init__(self, content: bytes, meanwhile: Callable[[], object]) -> None:
        super().__init__(content)
        self.meanwhile: Callable[[], object] | None = meanwhile

    def read(self, size: int | None = -1) -> bytes:
        if self.meanwhile is not None:
            self.meanwhile, act = None, self.meanwhile
            act()
        return super().read(size)


def test_the_slower_of_two_gets_the_quickers(
    caller: Any, tasks: list[Flask], settings: Settings, kept_files: Kept, database: Database
) -> None:
    quicker = dataclasses.replace(caller, client=tasks[0].test_client())
    body = _Late(BODY, lambda: send(quicker, key="k"))
    found, replayed = once.add_dataset_once(
        database,
        caller.client.application.extensions[NAME].storage,
        settings.limits,
        user_id=caller.user.id,
        name="t.csv",
        source=body,
        key="k",
    )
    assert replayed
    assert caller.get(PATH).json["datasets"][0]["id"] == found.id
    assert (count(database), files(kept_files)) == (1, 1)


@pytest.mark.parametrize("key", ["", "x" * 101, "a\tb", "\xe9"])
def test_bad_keys(caller: Any, key: str) -> None:
    assert "1 to 100 printable" in check_problem(send(caller, key=key), 400)


def test_keys_of_any_printable_kind(caller: Any) -> None:
    for key in ("x", "x" * 100, '"9f1b-7c"', "a b/c?d=%41"):
        assert send(caller, key=key).status_code == 201


def test_limits_are_the_pages(
    caller: Any, settings: Settings, kept_files: Kept, database: Database
) -> None:
    check_problem(caller.post(PATH, data=BODY, content_type="application/json"), 415)
    most = settings.limits.upload_max_bytes
    check_problem(send(caller, b"a,b\n" + b"1,2\n" * (most // 4)), 413)
    check_problem(send(caller, b"a\n1\n"), 422)
    for number in range(settings.limits.datasets_per_user):
        assert send(caller, key=f"k{number}").status_code == 201
    assert "Delete one first" in check_problem(send(caller, key="one more"), 409)
    # What was stored is still said, and a deleted one makes room.
    again = send(caller, key="k0")
    assert (again.status_code, again.headers["Idempotent-Replay"]) == (201, "true")
    caller.client.delete(again.location, headers=caller.headers)
    assert send(caller, key="one more").status_code == 201
    assert files(kept_files) == count(database) == settings.limits.datasets_per_user


def test_a_file_larger_than_predictions_may_be(
    settings: Settings, caller: Any, database: Database
) -> None:
    limits = dataclasses.replace(settings.limits, api_max_bytes=10)
    app = create_api(dataclasses.replace(settings, limits=limits))
    mine = dataclasses.replace(caller, client=app.test_client())
    assert send(mine).status_code == 201
    app.extensions[NAME].database.close()


def test_a_body_that_was_cut_off_is_not_stored(
    caller: Any, kept_files: Kept, database: Database
) -> None:
    cut = {"CONTENT_LENGTH": str(len(BODY) + 1)}
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked"}
    for environ, status, said in ((cut, 400, "shorter"), (chunked, 411, "Content-Length")):
        for key in ({}, {"Idempotency-Key": "k"}):
            answer = caller.post(
                PATH,
                input_stream=io.BytesIO(BODY),
                content_type="text/csv",
                headers=key,
                environ_overrides={"wsgi.input_terminated": True, **environ},
            )
            assert said in check_problem(answer, status)
    assert (count(database), files(kept_files)) == (0, 0)
    assert send(caller, key="k").status_code == 201


def test_keys_are_forgotten_after_a_day(caller: Any, database: Database) -> None:
    old, new = send(caller, key="old"), send(caller, key="new")
    with database.writing() as session:
        session.execute(
            sa.update(IdempotencyKey)
            .where(IdempotencyKey.key == "old")
            .values(created_at=utcnow() - once.KEEP - dt.timedelta(seconds=1))
        )
    assert (once.forget_keys(database), once.forget_keys(database)) == (1, 0)
    assert send(caller, key="new").json["id"] == new.json["id"]
    assert send(caller, key="old").json["id"] != old.json["id"]

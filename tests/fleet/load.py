"""Clients that ask a site without pause while something is done to it, and keep account of it.

Some keep their connection, some open a new one for each request; they ask for pages, ask the API for predictions,
and store data sets under idempotency keys. What the site acknowledged is in a ledger, and is read back.
"""

from __future__ import annotations

import re
import secrets
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
# Some 40 requests a second. With 80 the clients, and what answers them, take a third of two cores, and a deploy that
# takes 18 seconds takes 65.
PAUSE_SECONDS = 0.1
WRITE_PAUSE_SECONDS = 0.7
TIMEOUT_SECONDS = 10
# An account may have 100 data sets.
MOST_WRITES = 90
ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
SAMPLE = b"a,b,label\n1,2,x\n3,4,y\n5,6,x\n"


def csrf(page: str) -> str:
    """Return the token in a page's form."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found, page[:500]
    return found[1]


@dataclass
class Account:
    """Somebody with an API key."""

    url: str
    key: str

    @classmethod
    def register(cls, url: str) -> Account:
        """Register on the site and make a key."""
        with requests.Session() as session:
            data = {
                "csrf_token": csrf(session.get(f"{url}/register", timeout=TIMEOUT_SECONDS).text),
                "email": f"load-{secrets.token_hex(6)}@example.org",
                "password": secrets.token_urlsafe(16),
            }
            session.post(f"{url}/register", data=data, timeout=TIMEOUT_SECONDS)
            page = session.get(f"{url}/account", timeout=TIMEOUT_SECONDS).text
            made = session.post(
                f"{url}/account/keys",
                data={"csrf_token": csrf(page), "name": "load"},
                timeout=TIMEOUT_SECONDS,
            )
        key = re.search(r"\b(bft_[A-Za-z0-9_-]+)", made.text)
        assert key, made.text[-2000:]
        return cls(url, key[1])

    @property
    def headers(self) -> dict[str, str]:
        """Headers of a request with the key."""
        return {"Authorization": f"Bearer {self.key}"}

    def released_model(self) -> str:
        """Return the id of the released model."""
        answer = requests.get(
            f"{self.url}/api/v1/models", headers=self.headers, timeout=TIMEOUT_SECONDS
        )
        return str(answer.json()["models"][0]["id"])


@dataclass
class Load:
    """The clients. `failures` are requests that failed; `lost` are those that failed once more when sent again."""

    urls: list[str]
    account: Account | None = None
    only: str = ""
    """Ask for this path and nothing else."""
    requests: int = 0
    failures: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    longest_gap: float = 0.0
    """Seconds that a client was without an answer, its own pause between two requests not counted."""
    longest_of: str = ""
    """Whose gap that was: what it asked for, over a new or a kept connection, how long its last request took."""
    seconds: list[float] = field(default_factory=list)
    ledger: dict[str, str] = field(default_factory=dict)
    """Ids of data sets that the site said it has stored, by idempotency key."""

    def __enter__(self) -> Load:
        """Start asking."""
        self._stop = threading.Event()
        self._guard = threading.Lock()
        asks: list[tuple[Callable[[Any, str], Any], bool, float]] = [
            (self._page, True, PAUSE_SECONDS),
            (self._page, False, PAUSE_SECONDS),
        ]
        if not self.only:
            asks += [(self._version, True, PAUSE_SECONDS), (self._version, False, PAUSE_SECONDS)]
        if self.account:
            self._model = self.account.released_model()
            asks += [
                (self._predict, True, PAUSE_SECONDS),
                (self._predict, False, PAUSE_SECONDS),
                (self._store, True, WRITE_PAUSE_SECONDS),
            ]
        self._threads = [
            threading.Thread(target=self._ask, args=(number, *ask), daemon=True)
            for number, ask in enumerate(asks)
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop asking."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60)

    # ------------------------------------------------------------- requests
    def _page(self, client: Any, url: str) -> Any:
        return client.get(f"{url}{self.only or '/login'}", timeout=TIMEOUT_SECONDS)

    def _version(self, client: Any, url: str) -> Any:
        return client.get(f"{url}/api/v1/version", timeout=TIMEOUT_SECONDS)

    def _predict(self, client: Any, url: str) -> Any:
        assert self.account
        return client.post(
            f"{url}/api/v1/models/{self._model}/predictions",
            json={"rows": [ROW]},
            # Nothing is stored, so it may be sent twice: the key says so to the entry.
            headers={**self.account.headers, "Idempotency-Key": secrets.token_hex(8)},
            timeout=TIMEOUT_SECONDS,
        )

    def _store(self, client: Any, url: str, key: str = "") -> Any:
        assert self.account
        return client.post(
            f"{url}/api/v1/datasets?name=ledger",
            data=SAMPLE,
            headers={
                **self.account.headers,
                "Idempotency-Key": key or secrets.token_hex(8),
                "Content-Type": "text/csv",
            },
            timeout=TIMEOUT_SECONDS,
        )

    # -------------------------------------------------------------- clients
    def _once(
        self, ask: Callable[..., Any], client: Any, url: str, **values: str
    ) -> tuple[Any, str]:
        """Ask once; return the answer and what went wrong."""
        try:
            answer = ask(client, url, **values)
        except requests.RequestException as error:
            return None, f"{ask.__name__[1:]} at {url}: {error}"
        if answer.status_code >= 400:
            return (
                answer,
                f"{ask.__name__[1:]} at {url}: {answer.status_code} {answer.text[:120]}",
            )
        return answer, ""

    def _ask(self, number: int, ask: Callable[..., Any], kept: bool, pause: float) -> None:
        last = time.monotonic() - pause
        # Clients spread over the entries and stay with theirs, until it fails.
        place = number
        session = requests.Session()
        while not self._stop.is_set():
            begun = time.monotonic()
            values = {}
            if ask == self._store:
                if len(self.ledger) >= MOST_WRITES:
                    return
                values["key"] = secrets.token_hex(8)
            client = session if kept else requests
            answer, problem = self._once(ask, client, self.urls[place % len(self.urls)], **values)
            again = ""
            if problem:
                # As a client does: the same request again, by the next entry.
                place += 1
                session.close()
                session = requests.Session()
                answer, again = self._once(
                    ask, session, self.urls[place % len(self.urls)], **values
                )
            now = time.monotonic()
            with self._guard:
                self.requests += 1
                if problem:
                    self.failures.append(problem)
                if again:
                    self.lost.append(again)
                else:
                    if now - last - pause > self.longest_gap:
                        self.longest_gap = now - last - pause
                        over = "kept" if kept else "new"
                        self.longest_of = f"{ask.__name__[1:]}, {over}, {now - begun:.2f} s"
                    self.seconds.append(now - begun)
                    last = now
                    if values:
                        self.ledger[values["key"]] = answer.json()["id"]
            time.sleep(pause)
        # A client that ends while it gets no answer has waited, too.
        with self._guard:
            self.longest_gap = max(self.longest_gap, time.monotonic() - last - pause)
        session.close()

    # -------------------------------------------------------------- account
    def p99(self) -> float:
        """Return the response time that one request in a hundred exceeded, in ms."""
        ordered = sorted(self.seconds)
        return round(ordered[int(len(ordered) * 0.99)] * 1000, 1) if ordered else 0.0

    def writes_lost(self) -> list[str]:
        """Return acknowledged data sets that the site does not have, and those that it has twice."""
        if not self.account:
            return []
        answer = requests.get(
            f"{self.account.url}/api/v1/datasets?limit=200",
            headers=self.account.headers,
            timeout=TIMEOUT_SECONDS,
        )
        stored = [item["id"] for item in answer.json()["datasets"]]
        acknowledged = list(self.ledger.values())
        return [
            *(f"lost: {identity}" for identity in acknowledged if identity not in stored),
            *(f"one id for two keys: {identity}" for identity in set(acknowledged)
              if acknowledged.count(identity) > 1),
        ]  # fmt: skip

    def __str__(self) -> str:
        """Return the figures in a line."""
        return (
            f"{self.requests} requests, {len(self.failures)} failed, {len(self.lost)} failed again, "
            f"longest gap {self.longest_gap:.2f} s, p99 {self.p99():.0f} ms, {len(self.ledger)} writes"
        )


def report(rows: list[str], target: str) -> None:
    """Write build/reports and print the table from it."""
    subprocess.run([str(ROOT / "bin/report"), target, *rows], check=True)

"""Clients that ask an entry without pause, and note what fails."""

from __future__ import annotations

import threading
import time

import requests


class Load:
    """GET and POST, over new connections, over kept ones, and over kept ones that are idle in between."""

    def __init__(
        self, url: str, accepted: tuple[int, ...] = (200,), verify: bool | str = True
    ) -> None:
        """Name the entry, the answers that are good ones, and what its certificate is checked with."""
        self.url, self.accepted, self.verify = url, accepted, verify
        self.requests = 0
        self.failures: list[str] = []
        self.longest_gap = 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(method, kept, pause), daemon=True)
            for method in ("GET", "POST")
            for kept, pause in ((True, 0.05), (False, 0.05), (True, 0.7), (True, 3.1))
        ]

    def __enter__(self) -> Load:
        """Start asking."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop asking."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)

    def _ask(self, method: str, kept: bool, pause: float) -> None:
        last = time.monotonic()
        with requests.Session() as session:
            while not self._stop.is_set():
                problem = ""
                try:
                    ask = session.request if kept else requests.request
                    body = "x" * 200 if method == "POST" else None
                    answer = ask(method, self.url, data=body, timeout=15, verify=self.verify)
                    if answer.status_code not in self.accepted:
                        problem = f"{answer.status_code} {answer.text[:80]}"
                except requests.RequestException as error:
                    problem = str(error)
                now = time.monotonic()
                with self._lock:
                    self.requests += 1
                    if problem:
                        self.failures.append(
                            f"{method}, kept={kept}, pause={pause}, after {self.requests}: {problem}"
                        )
                    else:
                        self.longest_gap = max(self.longest_gap, now - last - pause)
                        last = now
                self._stop.wait(pause)

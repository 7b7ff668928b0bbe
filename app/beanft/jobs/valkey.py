"""Huey's storage on Valkey: a list of announcements, and nothing that has to be kept."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

from huey.storage import MemoryStorage
from valkey import Valkey
from valkey.backoff import NoBackoff
from valkey.exceptions import ConnectionError as LostConnectionError
from valkey.exceptions import ValkeyError
from valkey.retry import Retry

from beanft.config import Access
from beanft.core.logs import logger

PORT = 6379
CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 3.0
WAIT_SECONDS = 1  # for an announcement; less than the answer may take


def connect(url: str, access: Access) -> Valkey:
    """Return a client that connects when it is used; none of its answers is waited for long."""
    found = urlsplit(url)
    options: dict[str, Any] = {}
    if access.password is not None:
        options |= {"username": found.username, "password": access.password}
    if found.scheme == "valkeys":
        ca = str(access.ca) if access.ca else None
        options |= {"ssl": True, "ssl_check_hostname": True, "ssl_ca_certs": ca}
    return Valkey(
        host=found.hostname or "",
        port=found.port or PORT,
        db=int(found.path[1:]),
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        socket_keepalive=True,
        # Once, since a connection that was kept may have ended; not where nobody answers.
        retry=Retry(NoBackoff(), 1, (LostConnectionError,)),
        **options,
    )


class ValkeyStorage(MemoryStorage):
    """Announcements in a list that all workers share.

    What else Huey may store, of which nothing here makes use, is this process' own. A worker
    keeps announcements of its own making for itself while Valkey is away: its sweeper then finds
    the jobs that wait.

    Args:
        name: the queue's name.
        client: Valkey.
        works: whether this process is a worker.

    """

    blocking = True

    def __init__(self, name: str, client: Valkey, *, works: bool) -> None:
        super().__init__(name)
        self._client = client
        self._key = f"{name}.queue"
        self._works = works
        self._away = False

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Announce."""
        try:
            self._client.lpush(self._key, data)
        except ValkeyError as error:
            self._note(error)
            if not self._works:
                raise
            super().enqueue(data)

    def dequeue(self) -> bytes | None:
        """Return an announcement; None after a second without any."""
        own: bytes | None = super().dequeue()
        if own is not None:
            return own
        try:
            found: Any = self._client.brpop([self._key], timeout=WAIT_SECONDS)
        except ValkeyError as error:
            self._note(error)
            time.sleep(WAIT_SECONDS)
            return None
        self._note(None)
        return found[1] if found else None

    def queue_size(self) -> int:
        """Return how many wait; while Valkey is away a worker knows its own alone."""
        try:
            shared: Any = self._client.llen(self._key)
        except ValkeyError as error:
            self._note(error)
            if not self._works:
                raise
            shared = 0
        return int(shared) + int(super().queue_size())

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        """Return what waits, the next one first."""
        shared: Any = self._client.lrange(self._key, -(limit or 0), -1)
        return [*super().enqueued_items(limit), *reversed(shared)][:limit]

    def flush_queue(self) -> None:
        """Forget what waits."""
        super().flush_queue()
        self._client.delete(self._key)

    def close(self) -> None:
        """Close the connections."""
        self._client.connection_pool.disconnect()

    def _note(self, error: ValkeyError | None) -> None:
        """Log that it went away, and that it is back; once each."""
        if error is not None and not self._away:
            logger().warning("queue_out_of_reach", reason=f"{type(error).__name__}: {error}")
        elif error is None and self._away:
            logger().info("queue_in_reach")
        self._away = error is not None

"""The entry in small: one origin in front of pages and API, as HAProxy is in a deployment."""

from __future__ import annotations

import asyncio
import contextlib
import threading

HEAD_BYTES = 64_000
READ_BYTES = 64_000
DROPPED = (b"connection:", b"x-forwarded-proto:")


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Hand on what comes until there is no more, then close the other side."""
    with contextlib.suppress(ConnectionError):
        while data := await source.read(READ_BYTES):
            sink.write(data)
            await sink.drain()
    sink.close()


class Front:
    """Listens on a free port of loopback, in a thread; a connection carries one request."""

    def __init__(self, web: int, api: int) -> None:
        self._ports = {b"web": web, b"api": api}
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="front")
        self.port = 0

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()
        if not self._listening.wait(10):
            raise RuntimeError("The front did not begin to listen.")

    def stop(self) -> None:
        """Stop listening and drop open connections."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    async def _run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        async with server:
            await self._ended.wait()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            line, *headers = head.rstrip(b"\r\n").split(b"\r\n")
            service = b"api" if line.split(b" ")[1].startswith(b"/api/") else b"web"
            there, here = await asyncio.open_connection("127.0.0.1", self._ports[service])
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()  # a connection opened ahead of need, or a service that has stopped
            return
        kept = [header for header in headers if not header.lower().startswith(DROPPED)]
        kept += [b"Connection: close", b"X-Forwarded-Proto: http"]
        here.write(b"\r\n".join([line, *kept, b"", b""]))
        await asyncio.gather(_copy(reader, here), _copy(there, writer))

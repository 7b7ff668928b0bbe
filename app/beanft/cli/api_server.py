"""The API's server: granian, without its command line, whose parser would cost each task 4 MB.

Run by ``beanft serve api`` as a program: HOST PORT SECONDS, the last being how long what has
begun may take to finish once the server is told to end.
"""

from __future__ import annotations

import gc
import sys

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels


def main() -> None:
    """Serve until told to end."""
    _, host, port, seconds = sys.argv
    server = Granian(
        "beanft.wsgi:api",
        address=host,
        port=int(port),
        interface=Interfaces.WSGI,
        factory=True,
        workers=1,
        # More threads halve the throughput: they wait for the interpreter's lock.
        blocking_threads=1,
        websockets=False,
        http=HTTPModes.http1,
        log_level=LogLevels.warning,
        workers_kill_timeout=int(seconds),
    )
    # The server forks its worker. Objects that the collector leaves alone stay in shared memory.
    gc.collect()
    gc.freeze()
    server.serve()


if __name__ == "__main__":
    main()

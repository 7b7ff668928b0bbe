"""Runs Python scripts in forks of a process that has loaded what they import.

    fork_server.py SOCKET PROVIDER      serves until its standard input ends

A module of a cloud's collection takes more than a second of processor, nearly all to compile Ansible's payload and
to import the cloud's library. Run by bin/forked_python, it begins with both in memory. A script can't tell: it has
its own process with the arguments, environment, folder, files and exit code of its caller.
"""

from __future__ import annotations

import ast
import contextlib
import fcntl
import functools
import gc
import importlib
import importlib.abc
import importlib.machinery
import os
import selectors
import signal
import socket
import sys
import traceback
import types
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

LOADED = {
    "": ["ansible.module_utils._internal._ansiballz._loader", "ansible.module_utils.urls"],
    "aws": [
        "boto3",
        "s3transfer.manager",
        "ansible_collections.amazon.aws.plugins.module_utils.ec2",
        "ansible_collections.amazon.aws.plugins.module_utils.iam",
        "ansible_collections.amazon.aws.plugins.module_utils.elbv2",
    ],
    "gcp": ["ansible_collections.google.cloud.plugins.module_utils.gcp_utils"],
    "azure": ["ansible_collections.azure.azcollection.plugins.module_utils.azure_rm_common"],
}


def remember_models() -> None:
    """Keep the descriptions of APIs that botocore reads for each client: EC2's alone is of megabytes."""
    loader = importlib.import_module("botocore.loaders").JSONFileLoader
    remembered = functools.cache(loader().load_file)
    loader.load_file = lambda _, path: remembered(path)
    # Asks nobody, as it would without these.
    nobody = dict.fromkeys(("region_name", "aws_access_key_id", "aws_secret_access_key"), "none")
    importlib.import_module("boto3").client("ec2", **nobody)


class Request(NamedTuple):
    """What a script is run with."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    umask: int


class InThePayload(importlib.abc.MetaPathFinder):
    """Finds what Ansible's payload alone has, as this project's modules: packages loaded here name other folders."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Look for a module in the places that scripts are told of."""
        del path
        folder = fullname.rpartition(".")[0].replace(".", "/")
        return importlib.machinery.PathFinder.find_spec(
            fullname, [f"{place}/{folder}" for place in sys.path], target
        )


def receive(connection: socket.socket) -> tuple[Request, list[int]]:
    """Return a request and its standard files."""
    content, files, _, _ = socket.recv_fds(connection, 65536, 3)
    while not content.endswith(b"\n"):
        more = connection.recv(65536)
        if not more:
            raise ConnectionError
        content += more
    arguments, environment, folder, umask = ast.literal_eval(content.decode())
    return Request(arguments, environment, folder, umask), list(files)


def end_with(connection: socket.socket) -> None:
    """Let this process end when its caller has: what happens at the other end is a signal, which ends it."""
    fcntl.fcntl(connection, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(connection, fcntl.F_GETFL)
    fcntl.fcntl(connection, fcntl.F_SETFL, flags | os.O_ASYNC)


def run(arguments: list[str]) -> int:
    """Run a script, or standard input, as Python would; return the exit code."""
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = main
    if arguments:
        name, source = arguments[0], Path(arguments[0]).read_bytes()
        main.__dict__["__file__"] = name
    else:
        name, source = "<stdin>", sys.stdin.buffer.read()
    sys.argv = arguments or [""]
    sys.path[0] = str(Path(arguments[0]).parent) if arguments else ""
    try:
        exec(compile(source, name, "exec"), main.__dict__)  # noqa: S102 - that is what it is for
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def answer(connection: socket.socket) -> None:
    """Be the process of one script; does not return."""
    code, own = 1, os.getpid()
    try:
        request, files = receive(connection)
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        os.chdir(request.folder)
        os.umask(request.umask)
        os.environ.clear()
        os.environ.update(request.environment)
        # As a new process has them.
        for number in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        end_with(connection)
        code = run(request.arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        # As where its folder is gone; nobody else would say so.
        traceback.print_exc()
    finally:
        # Not for a fork that the script has made.
        if os.getpid() == own:
            with contextlib.suppress(OSError):
                connection.sendall(b"%d\n" % code)
        os._exit(code)


def serve(place: str, provider: str) -> None:
    """Serve until standard input ends."""
    listener = socket.socket(socket.AF_UNIX)
    # There when it listens, not before.
    listener.bind(f"{place}.new")
    listener.listen(64)
    Path(f"{place}.new").rename(place)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Nobody waits for those that have ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # What is not there is missed by the script that wants it.
    with contextlib.suppress(ImportError):
        for name in LOADED[""] + LOADED[provider]:
            importlib.import_module(name)
        if provider == "aws":
            remember_models()
    sys.meta_path.append(InThePayload())
    gc.collect()
    gc.freeze()
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ)
    ready.register(sys.stdin, selectors.EVENT_READ)
    while True:
        found = {key.fileobj for key, _ in ready.select()}
        if sys.stdin in found:
            return
        connection, _ = listener.accept()
        if os.fork():
            connection.close()
        else:
            ready.close()
            listener.close()
            answer(connection)


if __name__ == "__main__":
    serve(*sys.argv[1:])

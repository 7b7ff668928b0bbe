"""Action plugin: runs modules of clouds in a fork of the run, and all others as Ansible does.

Ansible starts a new Python for every module, which compiles the module with all it imports, and imports the cloud's
library: seconds of a processor in each of a run's tasks. The callback `clouds_in_memory` imports a module before its
task begins, in the process that all workers are forked of, so that what is left to do here is to fork once more and to
call it.

`ansible.legacy.normal` is the name by which Ansible looks for an action plugin for modules that have none of their own.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ansible import constants as C  # noqa: N812
from ansible.executor.module_common import _BuiltModule
from ansible.module_utils import basic
from ansible.module_utils.common.json import Direction, get_module_encoder
from ansible.plugins.action import ActionBase
from ansible.utils.vars import merge_hash

DOCUMENTATION = r"""
name: normal
short_description: Run modules of clouds in a fork of the run
description:
  - Calls a module of the collections C(amazon.aws), C(azure.azcollection) and C(google.cloud) in a fork of Ansible's
    worker, where the task runs on the control machine with the Python of the run, without C(async), C(become) and
    C(environment).
  - All other modules run as they do without this plugin.
options: {}
"""

COLLECTIONS = ("amazon.aws.", "azure.azcollection.", "google.cloud.")
PROFILE = "legacy"
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class ActionModule(ActionBase):
    """The plugin."""

    _supports_check_mode = True
    _supports_async = True
    _main: Callable[[], None] | None = None

    # Ansible's own can't be inherited from: it has the same name.
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> Any:
        """Do what Ansible's own action plugin of this name does."""
        result = super().run(tmp, task_vars)
        wrap_async = self._task.async_val and not self._connection.has_native_async
        done = self._execute_module(task_vars=task_vars, wrap_async=wrap_async)
        result = merge_hash(result, done)
        if self._task.action in C._ACTION_SETUP:
            result["_ansible_verbose_override"] = True
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _configure_module(
        self, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]
    ) -> Any:
        """Return the module's arguments in place of the module, where it needn't be sent anywhere."""
        self._main = self._importable(module_name, task_vars)
        if self._main is None:
            return super()._configure_module(module_name, module_args, task_vars)
        encoder = get_module_encoder(PROFILE, Direction.CONTROLLER_TO_MODULE)
        content = json.dumps({"ANSIBLE_MODULE_ARGS": module_args}, cls=encoder).encode()
        built = _BuiltModule(
            b_module_data=content,
            module_style="new",
            shebang=f"#!{sys.executable}",
            serialization_profile=PROFILE,
        )
        return built, module_name

    def _importable(self, name: str, task_vars: dict[str, Any]) -> Callable[[], None] | None:
        """Return the module's function if it can run here as it would in a Python of its own."""
        interpreter = task_vars.get("ansible_python_interpreter")
        if (
            not name.startswith(COLLECTIONS)
            or self._connection.transport != "local"
            or not self._connection.is_pipelining_enabled(wrap_async=False)
            or self._task.async_val
            or self._task.delegate_to
            or self._play_context.become
            or any(self._task.environment or [])
            or self._templar.template(interpreter) != sys.executable
        ):
            return None
        found: Callable[[], None] = importlib.import_module(python_name(name)).main
        return found

    def _low_level_execute_command(
        self, cmd: str, sudoable: bool = True, in_data: bytes | None = None, **more: Any
    ) -> dict[str, Any]:
        """Call the module, or run a command."""
        if self._main is None or in_data is None:
            return dict(super()._low_level_execute_command(cmd, sudoable, in_data, **more))
        code, out, err = forked(self._main, in_data, Path(self._loader.get_basedir()))
        return {
            "rc": code,
            "stdout": out,
            "stdout_lines": out.splitlines(),
            "stderr": err,
            "stderr_lines": err.splitlines(),
        }


def python_name(name: str) -> str:
    """Return where a collection's module is for Python."""
    namespace, collection, module = name.split(".")
    return f"ansible_collections.{namespace}.{collection}.plugins.modules.{module}"


def forked(main: Callable[[], None], content: bytes, directory: Path) -> tuple[int, str, str]:
    """Call a module's function in a child, and return its exit code and what it printed."""
    reads, writes = os.pipe()
    # It has no name, and is gone with the two of us.
    with tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            os.close(reads)
            os.dup2(writes, 1)
            os.dup2(errors.fileno(), 2)
            called(main, content, directory)
        os.close(writes)
        with os.fdopen(reads, "rb") as stream:
            out = stream.read()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        errors.seek(0)
        return code, out.decode(errors="replace"), errors.read().decode(errors="replace")


def called(main: Callable[[], None], content: bytes, directory: Path) -> NoReturn:
    """Be the process of a module."""
    code = 1
    try:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        sys.stdin = Path(os.devnull).open()  # noqa: SIM115
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        # What the run cleans up at its end is the run's.
        atexit._clear()
        os.chdir(directory)
        basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = content, PROFILE
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        # Whatever it is, this process may not go on as a worker of Ansible.
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

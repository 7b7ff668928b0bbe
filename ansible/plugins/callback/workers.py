"""Callback that prints nothing: what holds for Ansible's workers, the processes that do one task on one machine each.

They die with the run that started them. A run that is killed leaves workers that go on with their task, and hold
the connection to the machine, whose module can't know then that nobody wants it any more. See bin/ssh-of-run for the
other half.

They collect no garbage: all that they have goes with them when their one task is done, and to look for it takes time.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: workers
type: aggregate
short_description: workers die with the run that started them, and collect no garbage
description:
  - Asks Linux to kill a worker when the process that forked it has ended.
  - Switches Python's garbage collector off in workers, which end after one task.
"""

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
RUN = os.getpid()


def in_child() -> None:
    """Be killed when the run ends, and collect no garbage; for children of the run itself, and not theirs."""
    if os.getppid() == RUN:
        gc.disable()
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


os.register_at_fork(after_in_child=in_child)


class CallbackModule(CallbackBase):
    """The callback: what it does happens when it is loaded."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "workers"

"""Callback that prints nothing: it imports the modules of clouds in the process that all workers are forked of.

See plugins/action/normal.py, which calls them.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: clouds_in_memory
type: aggregate
short_description: modules of clouds are imported once a run
description:
  - Imports a module of the collections C(amazon.aws), C(azure.azcollection) and C(google.cloud) before its task begins.
"""

COLLECTIONS = ("amazon.aws.", "azure.azcollection.", "google.cloud.")


class CallbackModule(CallbackBase):
    """The callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "clouds_in_memory"

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Import what the task needs."""
        del is_conditional
        if task.action.startswith(COLLECTIONS):
            namespace, collection, module = task.action.split(".")
            # What can't be imported is told by the task itself.
            with contextlib.suppress(ImportError):
                importlib.import_module(
                    f"ansible_collections.{namespace}.{collection}.plugins.modules.{module}"
                )

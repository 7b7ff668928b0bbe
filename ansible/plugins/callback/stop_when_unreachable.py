"""Callback that ends a run before its next play once a machine could not be reached.

`any_errors_fatal` ends a run when a task fails. When a machine can't be reached it ends the play alone, since that
machine then counts twice, as unreachable and as failed, and the executor looks whether as many have failed as there
are: plays on other machines go on, as if the work of the one before had been done.
"""

from __future__ import annotations

from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: stop_when_unreachable
type: aggregate
short_description: no further play once a machine could not be reached
description:
  - Ends the run, with the exit code that Ansible has for machines that can't be reached, where a next play begins that
    has C(any_errors_fatal), as all have by ansible.cfg.
"""

UNREACHABLE_HOSTS = 4


class CallbackModule(CallbackBase):
    """The callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "stop_when_unreachable"

    def __init__(self) -> None:
        """Nobody is missed yet."""
        super().__init__()
        self.unreachable: list[str] = []

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Remember it."""
        self.unreachable.append(result.host.name)

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """End the run; what other callbacks raise is only warned of, and this is not."""
        if self.unreachable and play.any_errors_fatal:
            names = ", ".join(sorted(set(self.unreachable)))
            self._display.error(
                f"stopped before '{play.get_name()}', because {names} could not be reached: "
                "look at SSH and the machine, then run this again"
            )
            raise SystemExit(UNREACHABLE_HOSTS)

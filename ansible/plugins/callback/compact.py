"""Callback that prints what a person has to know: plays, changes, failures, seconds.

VERBOSE=1 (bin/play) takes Ansible's own callback instead. NO_COLOR, or a stdout that is no
terminal, gives clean text.
"""

from __future__ import annotations

import os
import re
import sys
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: compact
type: stdout
short_description: plays, changes, failures and seconds
description:
  - Prints a line for every play, every task that changed something and every failure, and what C(debug) says.
  - Ends every play with its figures, and the run with the tasks that took longest.
"""

SLOW_SECONDS = 1.0
WIDTH = 100


class CallbackModule(CallbackBase):
    """The callback."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "compact"

    def __init__(self) -> None:
        """Start the clock."""
        super().__init__()
        self.live = sys.stdout.isatty() and not os.environ.get("CI")
        self.color = self.live and not os.environ.get("NO_COLOR")
        self.started = time.monotonic()
        self.play = ""
        self.play_started = self.started
        self.play_named = False
        self.changed: list[str] = []
        self.changes = 0
        self.hosts: set[str] = set()
        self.task = ""
        self.task_started = 0.0
        self.slow: dict[str, float] = {}

    # ------------------------------------------------------------ printing
    def say(self, text: str, code: str = "") -> None:
        """Print a line, in a colour where there are colours."""
        erase = "\r\033[K" if self.live else ""
        print(
            f"{erase}\033[{code}m{text}\033[0m" if self.color and code else f"{erase}{text}",
            flush=True,
        )

    def progress(self, text: str) -> None:
        """Show what runs now, on a terminal only, until something else is printed."""
        if self.live:
            print(f"\r\033[K  {text[:WIDTH]} …", end="", flush=True)

    @staticmethod
    def short(host: str) -> str:
        """Return the part of a machine's name that tells it from the others."""
        return host.rsplit("-", 1)[-1]

    # --------------------------------------------------------------- tasks
    def end_task(self) -> None:
        """Print what the task that just ended changed."""
        if not self.task:
            return
        seconds = time.monotonic() - self.task_started
        if seconds >= SLOW_SECONDS:
            self.slow[self.task] = self.slow.get(self.task, 0.0) + seconds
        if self.changed:
            names = ", ".join(sorted(set(map(self.short, self.changed))))
            self.say(f"  changed  {self.task}  ({names}; {seconds:.1f} s)", "33")
        self.task, self.changed = "", []

    def end_play(self) -> None:
        """Print the play's figures."""
        self.end_task()
        if self.play and self.hosts:
            where = "here" if self.hosts == {"localhost"} else f"{len(self.hosts)} machine(s)"
            self.say(
                f"  {where}, changed={self.changes}, {time.monotonic() - self.play_started:.1f} s",
                "2",
            )
        self.hosts, self.changes = set(), 0

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Begin a play."""
        self.end_play()
        # Named when its first task begins: it may have no machines.
        self.play, self.play_named = play.get_name().strip(), False
        self.play_started = time.monotonic()

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Begin a task."""
        self.end_task()
        if not self.play_named:
            self.say(f"{self.play}", "1")
            self.play_named = True
        self.task, self.task_started = task.get_name().strip(), time.monotonic()
        self.progress(self.task)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """Begin a handler, which is not told whether it is conditional."""
        self.v2_playbook_on_task_start(task, False)

    def v2_playbook_on_cleanup_task_start(self, task: Any) -> None:
        """Begin a clean-up task."""
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note a change; print what `debug` says."""
        host = result._host.get_name()
        self.hosts.add(host)
        if result._task.action in ("debug", "ansible.builtin.debug"):
            message = result._result.get("msg", "")
            for line in message if isinstance(message, list) else [message]:
                if str(line).strip():
                    self.say(f"  {line}")
        if result._result.get("changed"):
            self.changed.append(host)
            self.changes += 1

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Print why a task failed, in the module's own words."""
        self.hosts.add(result._host.get_name())
        self.failed("FAILED", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Print why a machine could not be reached."""
        self.failed("UNREACHABLE", result)

    def failed(self, word: str, result: Any) -> None:
        """Print a failure."""
        values = result._result
        if values.get("_ansible_no_log"):
            reason = "(not shown: the task handles secrets)"
        else:
            reason = self.message(values)
            # Each cause once: what a loop is about may fail for different ones.
            causes = {
                self.cause(item): None
                for item in values.get("results", [])
                if item.get("failed") or item.get("unreachable")
            }
            reason = "\n".join(causes) or reason
            if values.get("stderr"):
                reason += f" / {str(values['stderr']).strip().splitlines()[-1]}"
        self.say(f"  {word}  {self.task}  ({self.short(result._host.get_name())})", "31;1")
        for line in reason.splitlines():
            self.say(f"    {line}", "31")

    @staticmethod
    def message(result: dict[str, Any]) -> str:
        """Return what a failure says, without the program that Mitogen would have started, of a kilobyte."""
        return re.sub(r" Command was: .*", "", str(result.get("msg", "no message"))).strip()

    def cause(self, item: dict[str, Any]) -> str:
        """Return why one round of a loop failed; of a machine that could not be reached, which one that is."""
        message = self.message(item)
        what = item.get("_ansible_item_label", item.get("item"))
        if item.get("unreachable") and isinstance(what, str):
            return f"{self.short(what)}: {message}"
        return message

    def v2_runner_retry(self, result: Any) -> None:
        """Show on a terminal that something is tried again."""
        self.progress(f"{self.task} (again)")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Print the figures of the last play and of the run."""
        self.end_play()
        slow = sorted(self.slow.items(), key=lambda item: -item[1])[:5]
        if slow:
            self.say(
                "  longest: " + " · ".join(f"{name} {seconds:.1f} s" for name, seconds in slow), "2"
            )
        hosts = sorted(stats.processed)
        total = {host: stats.summarize(host) for host in hosts}
        changed = sum(item["changed"] for item in total.values())
        bad = sum(item["failures"] + item["unreachable"] for item in total.values())
        word = "failed" if bad else "ok"
        self.say(
            f"{word}: changed={changed} failed={bad} on {len(hosts)} host(s) in "
            f"{time.monotonic() - self.started:.1f} s",
            "31;1" if bad else "32",
        )

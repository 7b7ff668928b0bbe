"""Strategy: Ansible's linear one, with Mitogen's way to machines."""

from __future__ import annotations

import os

from ansible import constants as C  # noqa: N812 - as Ansible names it
from ansible_mitogen.plugins.strategy.mitogen_linear import StrategyModule

DOCUMENTATION = """
name: mitogen_linear
short_description: the linear strategy, with one interpreter on each machine for a whole run
description:
  - Leaves everything to the plugin of this name in package C(mitogen), which is found here wherever that is installed.
  - As many machines are reached at once as tasks run at once.
options: {}
"""

__all__ = ["StrategyModule"]

os.environ.setdefault("MITOGEN_POOL_SIZE", str(C.DEFAULT_FORKS))

"""Lookup that opens an environment's vault."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

if TYPE_CHECKING:
    from module_utils import vault_file
else:
    # Ansible packs module_utils up for modules only; a lookup finds them beside itself, and they each other.
    _beside = str(Path(__file__).resolve().parents[1] / "module_utils")
    if _beside not in sys.path:
        sys.path.append(_beside)
    import vault_file

DOCUMENTATION = """
name: vaulted
short_description: What is in an environment's vault
description:
  - Returns what C(bin/vault) keeps in a file that is encrypted by Ansible Vault, or in the secret manager of AWS, Azure
    or GCP that this file names, C(secrets) and C(machine_secrets) by name, C(signing_key) and C(inside_ca).
  - The password is in the file that the environment variable E(VAULT_PASSWORD_FILE) names, or in C(vault-password)
    beside the vault, so that a play needs no options for it.
options:
  _terms:
    description: Path of the vault.
    required: true
"""

# A task asks for one secret after the other, and each time its cloud would be asked.
SECONDS = 5
_known: dict[tuple[str, int], tuple[float, dict[str, Any]]] = {}


def content_of(vault: Path) -> dict[str, Any]:
    """Return what is in a vault, as of some seconds ago where its file is the same."""
    key = str(vault), vault.stat().st_mtime_ns if vault.exists() else 0
    if key not in _known or time.monotonic() - _known[key][0] > SECONDS:
        _known[key] = time.monotonic(), vault_file.read(vault)
    return _known[key][1]


class LookupModule(LookupBase):
    """The lookup."""

    def run(
        self, terms: list[str], variables: dict[str, object] | None = None, **options: object
    ) -> list[dict[str, Any]]:
        """Return the contents of the vaults in `terms`."""
        self.set_options(var_options=variables, direct=options)
        try:
            return [content_of(Path(str(term))) for term in terms]
        except vault_file.VaultProblem as problem:
            raise AnsibleLookupError(str(problem)) from problem

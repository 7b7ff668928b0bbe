"""Lookup that opens an environment's vault."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

if TYPE_CHECKING:
    from module_utils import vault_file
else:
    # Ansible packs module_utils up for modules only; a lookup finds them beside itself.
    _spec = importlib.util.spec_from_file_location(
        "beanft_vault_file",
        Path(__file__).resolve().parents[1] / "module_utils" / "vault_file.py",
    )
    vault_file = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(vault_file)

DOCUMENTATION = """
name: vaulted
short_description: What is in an environment's vault
description:
  - Returns what C(bin/vault) keeps in a file that is encrypted by Ansible Vault, C(secrets) and
    C(machine_secrets) by name, C(signing_key) and C(inside_ca).
  - The password is in the file that the environment variable E(VAULT_PASSWORD_FILE) names, or in C(vault-password)
    beside the vault, so that a play needs no options for it.
options:
  _terms:
    description: Path of the vault.
    required: true
"""


class LookupModule(LookupBase):
    """The lookup."""

    def run(
        self, terms: list[str], variables: dict[str, object] | None = None, **options: object
    ) -> list[dict[str, Any]]:
        """Return the contents of the vaults in `terms`."""
        self.set_options(var_options=variables, direct=options)
        try:
            return [vault_file.read(Path(str(term))) for term in terms]
        except vault_file.VaultProblem as problem:
            raise AnsibleLookupError(str(problem)) from problem

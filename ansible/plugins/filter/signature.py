"""Filters that sign release records and verify them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.errors import AnsibleFilterError

if TYPE_CHECKING:
    from module_utils import signatures
else:
    # Ansible packs module_utils up for modules only; a filter finds them beside itself.
    _spec = importlib.util.spec_from_file_location(
        "beanft_signatures",
        Path(__file__).resolve().parents[1] / "module_utils" / "signatures.py",
    )
    signatures = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(signatures)


def signed(record: dict[str, Any], private_key: str) -> dict[str, str]:
    """Sign a record.

    Args:
        record: what JSON can say.
        private_key: the text of an OpenSSH private key.

    Returns:
        ``record``, the canonical JSON text, and ``signature``, the armored signature of it.

    Raises:
        AnsibleFilterError: the record or the key can't be used.
    """
    try:
        return signatures.signed_record(record, private_key)
    except signatures.SignatureProblem as problem:
        raise AnsibleFilterError(f"the record could not be signed: {problem}") from problem


def verified(envelope: object, allowed_signers: str) -> dict[str, Any]:
    """Return the record from what ``signed`` made.

    Args:
        envelope: ``record`` and ``signature``.
        allowed_signers: path of the file that names whose signatures count.

    Raises:
        AnsibleFilterError: a byte has changed, the signer is unknown, or there is no signature.
    """
    try:
        return signatures.verified_record(envelope, Path(allowed_signers))
    except signatures.SignatureProblem as problem:
        raise AnsibleFilterError(f"the record can't be trusted: {problem}") from problem


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, object]:
        """Return the filters by name."""
        return {"signed": signed, "verified": verified}

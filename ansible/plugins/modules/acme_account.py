#!/usr/bin/python
"""Ansible module: has the key of an ACME account where lego looks for it, and says its thumbprint."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import urllib.parse
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: acme_account
short_description: Have the key of an ACME account for lego
description:
  - Makes the account's key, on the curve P-256, where lego looks for it, unless it is there. Lego registers it when it
    first asks for a certificate.
  - An answer to a challenge over HTTP is the challenge's token and the thumbprint of this key. So whoever knows the
    thumbprint, which is no secret, can answer.
options:
  directory:
    description: URL of the ACME server's directory.
    type: str
    required: true
  email:
    description: Address of the account.
    type: str
    required: true
  path:
    description: Lego's directory, its option C(--path).
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Account
  acme_account:
    directory: https://acme.example.org/directory
    email: ops@example.org
    path: /var/lib/beanft-tls
"""

RETURN = r"""
thumbprint:
  description: Thumbprint of the key by RFC 7638, or nothing in check mode where there is no key yet.
  returned: success
  type: str
"""

SECONDS = 30
# X and Y of a point on P-256, at the end of a public key in DER.
COORDINATE_BYTES = 32


class AccountError(Exception):
    """There is no key that lego could use; the message says why."""


def openssl(*arguments: str) -> bytes:
    """Run openssl and return what it prints.

    Raises:
        AccountError: it could not be run, or did not end well.
    """
    try:
        done = subprocess.run(
            ["openssl", *arguments], capture_output=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AccountError(f"openssl could not be run: {error}") from error
    if done.returncode:
        raise AccountError(
            f"openssl {arguments[0]}: {done.stderr.decode(errors='replace').strip()}"
        )
    return done.stdout


def key_path(path: str, directory: str, email: str) -> Path:
    """Return where lego looks for the key of an account."""
    server = urllib.parse.urlsplit(directory).netloc.replace(":", "_")
    return Path(path) / "accounts" / server / email / "keys" / f"{email}.key"


def make(path: Path) -> None:
    """Make a key: whole, or not at all."""
    key = openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout")
    for folder in reversed(path.parents[:4]):
        folder.mkdir(mode=0o700, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
    new.replace(path)


def encoded(data: bytes) -> str:
    """Return bytes as JOSE writes them."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def thumbprint(path: Path) -> str:
    """Return the thumbprint of a key."""
    public = openssl("ec", "-in", str(path), "-pubout", "-outform", "DER")
    x, y = public[-2 * COORDINATE_BYTES : -COORDINATE_BYTES], public[-COORDINATE_BYTES:]
    members = {"crv": "P-256", "kty": "EC", "x": encoded(x), "y": encoded(y)}
    text = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return encoded(hashlib.sha256(text.encode()).digest())


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "str", "required": True},
            "email": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    values = module.params
    path = key_path(values["path"], values["directory"], values["email"])
    try:
        missing = not path.exists()
        if missing and module.check_mode:
            module.exit_json(changed=True, thumbprint="")
        if missing:
            make(path)
        found = thumbprint(path)
    except (AccountError, OSError) as error:
        module.fail_json(msg=f"the key of the ACME account {values['email']} can't be had: {error}")
    module.exit_json(changed=missing, thumbprint=found)


if __name__ == "__main__":
    main()

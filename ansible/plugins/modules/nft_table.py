#!/usr/bin/python
"""Ansible module: sees to it that a table of the kernel's firewall is what a file says."""

from __future__ import annotations

import subprocess

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: nft_table
short_description: A table of nftables is what a file says
description:
  - Loads the file where the table in the kernel is another one, or none, whether that is because the file has changed
    or because somebody changed the table.
  - What the file says is known by loading it into a network namespace that lives for that moment; so the comparison
    is the kernel's own, and holds in check mode, too. Counters don't matter.
options:
  path:
    description: File that replaces the table and touches no other one.
    type: path
    required: true
  family:
    description: Family of the table.
    type: str
    choices: [inet, ip, ip6]
    default: inet
  table:
    description: Name of the table.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Rules are in force
  nft_table:
    path: /etc/nftables.conf
    table: beanft
"""

RETURN = r"""
diff:
  description: The table as it was, and as the file has it.
  returned: success
  type: dict
"""

NFT = "/usr/sbin/nft"
SECONDS = 30.0
# Words of nft about a table that is not there.
ABSENT = "No such file or directory"


class NftError(Exception):
    """A command failed; the message says which, and what it said."""


def command(*arguments: str) -> str:
    """Run a command and return its stdout.

    Raises:
        NftError: it could not be run, or exited with something other than 0.
    """
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NftError(f"{arguments[0]}: {error}") from error
    if done.returncode:
        raise NftError(f"{' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def running(family: str, table: str) -> str:
    """Return the table in the kernel as nft lists it, or nothing where there is none."""
    try:
        return command(NFT, "--stateless", "list", "table", family, table)
    except NftError as error:
        if ABSENT in str(error):
            return ""
        raise


def wanted(path: str, family: str, table: str) -> str:
    """Return the table that a file makes, as nft lists it."""
    script = f'"{NFT}" --file "$1" && "{NFT}" --stateless list table "$2" "$3"'
    return command("unshare", "--net", "sh", "-c", script, "sh", path, family, table)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "family": {"type": "str", "choices": ["inet", "ip", "ip6"], "default": "inet"},
            "table": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    path, family, table = (module.params[name] for name in ("path", "family", "table"))
    try:
        before, after = running(family, table), wanted(path, family, table)
        changed = before != after
        if changed and not module.check_mode:
            command(NFT, "--file", path)
            left = running(family, table)
            if left != after:
                module.fail_json(
                    msg=f"{path} was loaded, and table {family} {table} is still another one: "
                    f"compare with 'nft list table {family} {table}'"
                )
    except NftError as error:
        module.fail_json(msg=f"the firewall's table could not be compared or loaded: {error}")
    module.exit_json(changed=changed, diff={"before": before, "after": after})


if __name__ == "__main__":
    main()

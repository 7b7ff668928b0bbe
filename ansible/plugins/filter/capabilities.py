"""Filter that reads Linux capabilities from a process status."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError

# In the order of the kernel's include/uapi/linux/capability.h.
# fmt: off
NAMES = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID",
    "SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST",
    "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO",
    "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
    "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
    "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
]
# fmt: on


def missing_capabilities(status: str) -> list[str]:
    """Name the capabilities that a process can never have.

    Args:
        status: the text of /proc/PID/status.

    Returns:
        Names without ``CAP_`` that are absent from the bounding set, in kernel order.

    Raises:
        AnsibleFilterError: the text has no CapBnd line.
    """
    for line in status.splitlines():
        if line.startswith("CapBnd:"):
            bounding = int(line.split()[1], 16)
            return [name for bit, name in enumerate(NAMES) if not bounding >> bit & 1]
    raise AnsibleFilterError("missing_capabilities: no CapBnd line in the process status")


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, object]:
        """Return the filters by name."""
        return {"missing_capabilities": missing_capabilities}

#!/usr/bin/python3
"""Keeps the certificate of this machine's entry: see role tls.

beanft-tls load     gives what is in /etc/beanft/tls to every entry that runs here
beanft-tls renew    on the first manager: gets another certificate in time, and carries it to all; ends with 3 where
                    that has to be tried again, and the certificate that is served is still valid
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SETTINGS = Path("/etc/beanft/tls.json")
DIRECTORY = Path("/etc/beanft/tls")
# The paths are the same in the entry's container.
BUNDLE, MAP = DIRECTORY / "entry.pem", DIRECTORY / "machine.map"
# Node exporter reads it, where there is one.
FIGURES = Path("/var/lib/prometheus/node-exporter/beanft_certificate.prom")
STATE = Path("/var/lib/beanft-tls")
ISSUED, ISSUED_FOR = STATE / "entry.pem", STATE / "issued.json"
CARRY = "beanft-tls-carry"
# HAProxy's command line, inside the container only.
ASK = "exec 3<>/dev/tcp/127.0.0.1/8405 || exit 1; cat >&3; cat <&3"
# As root of the container without any right of root: the directory is root's, and the group is the entry's.
WRITE = f"umask 027; cat /run/secrets/entry.pem >{DIRECTORY}/.carried && mv -f {DIRECTORY}/.carried {BUNDLE}"
GROUP = 10002

COMMAND_SECONDS = 60.0
LEGO_SECONDS = 300.0
# An entry that starts does not listen yet.
START_SECONDS = 10.0
CARRY_SECONDS = 90.0
CONNECT_SECONDS = 5.0
POLL_SECONDS = 0.5

# How renew ends where nobody is hurt yet.
LATE = 3


class TlsError(Exception):
    """Something could not be done; the message says what, and why."""


class LateError(TlsError):
    """Something has to be done again, and nobody is hurt yet: the certificate that is served is still valid."""


def command(
    *arguments: str,
    data: str = "",
    seconds: float = COMMAND_SECONDS,
    env: dict[str, str] | None = None,
) -> str:
    """Run a command and return its stdout.

    Raises:
        TlsError: it could not be run, or did not end well, or not in time.
    """
    try:
        done = subprocess.run(
            arguments, input=data, capture_output=True, text=True, timeout=seconds, check=False,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TlsError(f"{arguments[0]}: {error}") from error
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise TlsError(f"{' '.join(arguments[:3])}: {' / '.join(words[-4:]) or 'no word'}")
    return done.stdout


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Let nobody else do the same meanwhile: a timer, a unit and a play may meet."""
    with Path(f"/run/{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def replace(path: Path, text: str, mode: int) -> None:
    """Write a file: whole, or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def leaf(bundle: str) -> bytes:
    """Return the first certificate of a text in PEM, in DER."""
    found = re.search(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", bundle, re.DOTALL)
    if not found:
        raise TlsError("there is no certificate in the file")
    return ssl.PEM_cert_to_DER_cert(found[0])


def sha1(certificate: bytes) -> str:
    """Return the fingerprint by which HAProxy shows a certificate."""
    return hashlib.sha1(certificate, usedforsecurity=False).hexdigest().upper()


def end(path: Path) -> int:
    """Return the time at which the first certificate of a file ends, in seconds of Unix."""
    said = command("openssl", "x509", "-in", str(path), "-noout", "-enddate")
    return ssl.cert_time_to_seconds(said.partition("=")[2].strip())


def days_left(path: Path) -> float:
    """Return how many days the first certificate of a file is still valid."""
    return (end(path) - time.time()) / 86400


# ---------------------------------------------------------------------- load


def containers(stack: str) -> list[str]:
    """Return the entries that run here: of the stack, and of the one that stands in while it is replaced."""
    found = []
    for name in (stack, f"{stack}-spare"):
        label = f"label=com.docker.swarm.service.name={name}_haproxy"
        found += command("docker", "ps", "--quiet", "--no-trunc", "--filter", label).split()
    return found


def ask(container: str, question: str) -> str:
    """Return what HAProxy in a container says to a command, which goes by stdin and shows nowhere."""
    return command(
        "docker", "exec", "--interactive", container, "bash", "-c", ASK, data=f"{question}\n"
    )


def load_certificate(container: str, bundle: str) -> bool:
    """Give an entry its certificate, and return whether it had another."""
    shown = ask(container, f"show ssl cert {BUNDLE}")
    wanted = sha1(leaf(bundle))
    # An entry without TLS, which is about to be replaced.
    if "FingerPrint" not in shown or f"FingerPrint: {wanted}" in shown:
        return False
    # What somebody began and did not end.
    ask(container, f"abort ssl cert {BUNDLE}")
    said = ask(container, f"set ssl cert {BUNDLE} <<\n{bundle.strip()}\n")
    if "Transaction created" in said:
        said = ask(container, f"commit ssl cert {BUNDLE}")
    if "Success" not in said:
        ask(container, f"abort ssl cert {BUNDLE}")
        raise TlsError(f"HAProxy does not take the certificate: {' '.join(said.split())}")
    if f"FingerPrint: {wanted}" not in ask(container, f"show ssl cert {BUNDLE}"):
        raise TlsError("HAProxy took the certificate and does not serve it")
    return True


def load_map(container: str, text: str) -> bool:
    """Give an entry what this machine is to the outside, and return whether that was something else."""
    shown = ask(container, f"show map {MAP}")
    if "Unknown map" in shown:
        return False
    # Each line has the address of the entry in HAProxy's memory before it.
    before = dict(re.findall(r"^0x\S+ (\S+) (\S+)$", shown, re.MULTILINE))
    wanted = dict(line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    for key in before.keys() - wanted.keys():
        ask(container, f"del map {MAP} {key}")
    for key, value in wanted.items():
        if before.get(key) != value:
            ask(container, f"{'set' if key in before else 'add'} map {MAP} {key} {value}")
    return before != wanted


def tell_end() -> None:
    """Write down when the certificate ends, for whoever collects figures."""
    name = "beanft_certificate_not_after_timestamp_seconds"
    if not FIGURES.parent.is_dir():
        FIGURES.parent.mkdir(parents=True)
        FIGURES.parent.chmod(0o755)
    text = f"# HELP {name} When the entry's certificate ends.\n# TYPE {name} gauge\n{name} {end(BUNDLE)}\n"
    replace(FIGURES, text, 0o644)
    FIGURES.chmod(0o644)


def load(settings: dict[str, Any]) -> None:
    """Give the files of this machine to every entry that runs here."""
    tell_end()
    bundle, text = BUNDLE.read_text(), MAP.read_text()
    for container in containers(settings["stack"]):
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                changed = [load_certificate(container, bundle), load_map(container, text)]
            except TlsError:
                # It may be starting, or gone by now.
                if container not in containers(settings["stack"]):
                    break
                if time.monotonic() > deadline:
                    raise
                time.sleep(POLL_SECONDS)
                continue
            if any(changed):
                print(f"loaded: entry {container[:12]} has the certificate {sha1(leaf(bundle))}")
            break


# --------------------------------------------------------------------- renew


@dataclass(frozen=True)
class Node:
    """An edge machine."""

    name: str
    address: str
    ready: bool


def entry_image(settings: dict[str, Any]) -> str:
    """Return the image of the entry, or '' where none serves HTTPS yet."""
    try:
        service = json.loads(
            command("docker", "service", "inspect", f"{settings['stack']}_haproxy")
        )
    except TlsError as error:
        if "no such service" in str(error).lower():
            return ""
        raise
    container = service[0]["Spec"]["TaskTemplate"]["ContainerSpec"]
    mounted = any(mount.get("Source") == str(DIRECTORY) for mount in container.get("Mounts") or [])
    return str(container["Image"]) if mounted else ""


def edge_nodes() -> list[Node]:
    """Return the edge machines."""
    ids = command("docker", "node", "ls", "--quiet").split()
    return [
        Node(
            node["Description"]["Hostname"],
            # A manager's own address may be written as the one that means any.
            node["Status"].get("Addr", "").replace("0.0.0.0", "127.0.0.1"),  # noqa: S104
            node["Status"]["State"] == "ready",
        )
        for node in json.loads(command("docker", "node", "inspect", *ids))
        if node["Spec"].get("Labels", {}).get("beanft.edge") == "true"
    ]


def served(address: str, port: int) -> str:
    """Return the fingerprint of the certificate that a machine serves, or ''."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Not trusted but compared.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, port), timeout=CONNECT_SECONDS) as plain,
            context.wrap_socket(plain) as secure,
        ):
            found = secure.getpeercert(binary_form=True)
    except OSError:
        return ""
    return sha1(found) if found else ""


def difference(settings: dict[str, Any]) -> str:
    """Return in what the certificate that there is isn't the one that is asked for, or ''."""
    if not ISSUED.exists() or not ISSUED_FOR.exists():
        return "there is none"
    before = json.loads(ISSUED_FOR.read_text())
    for name, words in (
        ("names", "it is for other names"),
        ("directory", "it is of another server"),
    ):
        if before.get(name) != settings[name]:
            return words
    return ""


def does(settings: dict[str, Any]) -> bool:
    """Tell whether the certificate that there is does, be it about to expire."""
    return not difference(settings) and days_left(ISSUED) > 0


def reason(settings: dict[str, Any]) -> str:
    """Return why a certificate has to be got, or ''."""
    differs = difference(settings)
    if differs:
        return differs
    left = days_left(ISSUED)
    return f"it has {left:.0f} days left" if left < settings["renew_days"] else ""


def issue(settings: dict[str, Any]) -> None:
    """Have lego get a certificate. The entries answer the challenge, so what lego writes for it is read by nobody."""
    environment = {}
    if settings["directory_ca"]:
        environment["LEGO_CA_CERTIFICATES"] = settings["directory_ca"]
    webroot = STATE / "webroot"
    webroot.mkdir(exist_ok=True)
    names = [word for name in settings["names"] for word in ("--domains", name)]
    try:
        command(
            "lego", "--server", settings["directory"], "--email", settings["email"], "--accept-tos",
            "--path", str(STATE), "--key-type", "ec256", *names, "--http", "--http.webroot", str(webroot), "run",
            seconds=LEGO_SECONDS, env=environment,
        )  # fmt: skip
    except TlsError as error:
        raise TlsError(
            f"no certificate from {settings['directory']}: {error}. Does DNS lead every name of tls_names to edge "
            "machines, and does port 80 of all of them answer? The certificate before is served on"
        ) from None
    files = STATE / "certificates" / settings["names"][0]
    text = "\n".join(Path(f"{files}.{end}").read_text() for end in ("crt", "key"))
    bundle = "".join(f"{line.strip()}\n" for line in text.splitlines() if line.strip())
    replace(ISSUED, bundle, 0o600)
    asked = {name: settings[name] for name in ("names", "directory")}
    replace(ISSUED_FOR, json.dumps(asked) + "\n", 0o600)


def remove_carrier() -> None:
    """Remove what carries the certificate, with the secret."""
    names = command(
        "docker", "service", "ls", "--filter", f"name={CARRY}", "--format", "{{.Name}}"
    ).split()
    if CARRY in names:
        command("docker", "service", "rm", CARRY)
    deadline = time.monotonic() + CONNECT_SECONDS * 2
    while CARRY in command("docker", "secret", "ls", "--format", "{{.Name}}").split():
        try:
            command("docker", "secret", "rm", CARRY)
        except TlsError:
            # The engine still takes the service apart.
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def carry(settings: dict[str, Any], bundle: str, image: str) -> list[str]:
    """Bring the certificate to every edge machine, and return the names of those that don't serve it."""
    wanted = sha1(leaf(bundle))
    remove_carrier()
    try:
        command("docker", "secret", "create", "--label", "beanft=secret", CARRY, "-", data=bundle)
        command(
            "docker", "service", "create", "--detach", "--quiet", "--no-resolve-image", "--name", CARRY,
            "--mode", "global-job", "--constraint", "node.labels.beanft.edge==true",
            "--secret", f"source={CARRY},target=entry.pem,mode=0400",
            "--mount", f"type=bind,source={DIRECTORY},target={DIRECTORY}",
            "--user", f"0:{GROUP}", "--cap-drop", "ALL", "--read-only", "--no-healthcheck",
            "--limit-memory", "64M", "--limit-pids", "20",
            "--restart-condition", "on-failure", "--restart-delay", "1s", "--restart-max-attempts", "3",
            "--entrypoint", "bash", image, "-c", WRITE,
        )  # fmt: skip
        deadline = time.monotonic() + CARRY_SECONDS
        while True:
            lacking = [
                node.name
                for node in edge_nodes()
                # One that is down would be waited for in vain.
                if node.ready and served(node.address, settings["port"]) != wanted
            ]
            if not lacking or time.monotonic() > deadline:
                return lacking
            time.sleep(POLL_SECONDS)
    finally:
        remove_carrier()


def renew(settings: dict[str, Any]) -> None:
    """Get a certificate if it is time, and make sure that every edge machine serves it."""
    if settings["mode"] != "acme":
        print(f"nothing to renew: tls_mode is {settings['mode']}")
        return
    image = entry_image(settings)
    if not image:
        print(
            "nothing yet: no entry serves HTTPS, and it answers the challenge; 'make deploy' brings it"
        )
        return
    why = reason(settings)
    late: list[str] = []
    if why:
        try:
            issue(settings)
            print(f"issued: a certificate for {', '.join(settings['names'])}, because {why}")
        except TlsError as error:
            if not does(settings):
                raise
            late.append(f"{error}: it has {days_left(ISSUED):.0f} days left")
    bundle = ISSUED.read_text()
    wanted = sha1(leaf(bundle))
    behind = [node for node in edge_nodes() if served(node.address, settings["port"]) != wanted]
    ready = [node.name for node in behind if node.ready]
    if ready:
        lacking = carry(settings, bundle, image)
        if lacking:
            raise TlsError(
                f"{', '.join(lacking)} does not serve the certificate {wanted}: what says "
                "'journalctl --unit beanft-tls-load' there? The next run tries again"
            )
        print(f"carried: to {', '.join(ready)}")
    away = [node.name for node in behind if not node.ready]
    if away:
        late.append(f"{', '.join(away)} is down; a run after it came back carries the certificate")
    print(f"served: {wanted}, {days_left(ISSUED):.0f} days left")
    if late:
        raise LateError("; ".join(late))


def main() -> int:
    """Do what the command line says."""
    verbs = {"load": load, "renew": renew}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        print(f"usage: {__doc__}", file=sys.stderr)
        return 2
    # Role tls takes this file away where there is no TLS.
    if not SETTINGS.exists():
        print("nothing to do: tls_mode is none")
        return 0
    try:
        with locked(f"beanft-tls-{sys.argv[1]}"):
            verbs[sys.argv[1]](json.loads(SETTINGS.read_text()))
    except (TlsError, OSError, ValueError) as error:
        print(f"beanft-tls: {error}", file=sys.stderr)
        return LATE if isinstance(error, LateError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

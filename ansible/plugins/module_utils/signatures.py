"""Signatures by ssh-keygen: who made a release record or a bundle, and that nobody changed it since.

Used by the filters of signature.py and by programs in bin/. A private key is a text here and never an
argument: ssh-keygen reads it from a file without a name, which is gone with the process, however that
ends. Where the system has no such files it is one in a private folder.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# What a signature is for is a part of it: one that the same key made for something else does not fit.
NAMESPACE = "beanft-release"
SECONDS = 20
BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"


class SignatureProblem(Exception):  # noqa: N818 - what it says is the sentence for people
    """Something can't be signed, or a signature does not fit; the message is one sentence."""


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder that only this user can look into, in memory where there is a place; remove it."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it has a random name and mode 0700
    usable = memory.is_dir() and os.access(memory, os.W_OK | os.X_OK)
    with tempfile.TemporaryDirectory(prefix="beanft-", dir=memory if usable else None) as name:
        yield Path(name)


def private_file(path: Path, text: str) -> Path:
    """Write a new file that only this user can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path


@contextmanager
def key_file(private_key: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Give a private key a path, and say which open files a process needs that reads it."""
    text = private_key.strip() + "\n"
    if hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("beanft"), "wb", buffering=0) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text.encode())
            yield f"/proc/self/fd/{file.fileno()}", (file.fileno(),)
    else:
        with private_folder() as folder:
            yield str(private_file(folder / "key", text)), ()


def ssh_keygen(
    *arguments: str, data: bytes = b"", files: tuple[int, ...] = ()
) -> tuple[int, str, str]:
    """Run ssh-keygen without a terminal: it must not ask for a passphrase. Return code, stdout, stderr."""
    try:
        done = subprocess.run(
            ["ssh-keygen", *arguments],
            input=data,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            pass_fds=files,
            start_new_session=True,
            env={**os.environ, "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        raise SignatureProblem("there is no ssh-keygen: install openssh-client") from error
    except subprocess.TimeoutExpired as error:
        raise SignatureProblem(f"ssh-keygen did not end within {SECONDS} s") from error
    return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace").strip()


def make_key() -> str:
    """Return a new private key for signatures."""
    with private_folder() as folder:
        path = folder / "key"
        options = ("-q", "-t", "ed25519", "-N", "", "-C", NAMESPACE)
        code, _, err = ssh_keygen(*options, "-f", str(path))
        if code:
            raise SignatureProblem(f"ssh-keygen made no key: {last_line(err)}")
        return path.read_text()


def public_key(private_key: str) -> str:
    """Return the public side of a private key: type and key, without a comment."""
    with key_file(private_key) as (path, files):
        code, out, err = ssh_keygen("-y", "-f", path, files=files)
    if code:
        raise unusable_key(err, path)
    return " ".join(out.split()[:2])


def fingerprint(public: str) -> str:
    """Return the fingerprint of a public key as ssh-keygen writes it."""
    return fingerprint_of_blob(base64.b64decode(public.split()[1]))


def sign(data: bytes, private_key: str) -> str:
    """Return the armored signature of some bytes."""
    with key_file(private_key) as (path, files):
        options = ("-f", path, "-n", NAMESPACE)
        code, out, err = ssh_keygen("-Y", "sign", *options, data=data, files=files)
    if code:
        raise unusable_key(err, path)
    return out


def verify(data: bytes, signature: str, allowed_signers: Path) -> str:
    """Check a signature of some bytes, and return the signer's name.

    Args:
        data: what was signed.
        signature: armored, exactly as ssh-keygen wrote it.
        allowed_signers: whose signatures count, in the form of ssh-keygen's file of that name.

    Raises:
        SignatureProblem: the signer is unknown, or the signature is of other bytes.
    """
    blob = unarmored(signature)
    if not allowed_signers.is_file():
        raise SignatureProblem(
            f"{allowed_signers} is not there, so no signature can be trusted: it is the file of the "
            "environment that signed, made by 'bin/vault ensure'"
        )
    with private_folder() as folder:
        signed = private_file(folder / "signature", signature)
        options = ["-s", str(signed), "-f", str(allowed_signers)]
        code, out, _ = ssh_keygen("-Y", "find-principals", *options)
        name = out.strip().split("\n")[0].split(",")[0]
        if code or not name:
            raise SignatureProblem(
                f"it is signed by {signer(blob)}, who is not in {allowed_signers}: add the line from the "
                "signer's own file of that name if you trust it"
            )
        options += ["-n", NAMESPACE, "-I", name]
        code, _, err = ssh_keygen("-Y", "verify", *options, data=data)
    if code:
        raise SignatureProblem(
            f"the signature by {name} ({signer(blob)}) does not fit: what was signed has been changed since, "
            f"or is something else ({last_line(err)})"
        )
    return name


def signed_record(record: dict[str, Any], private_key: str) -> dict[str, str]:
    """Return a record as canonical JSON, together with the signature of that text."""
    try:
        text = json.dumps(
            record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        data = text.encode()
    except (TypeError, ValueError) as error:
        raise SignatureProblem(f"the record is not what JSON can say: {error}") from error
    return {"record": text, "signature": sign(data, private_key)}


def verified_record(envelope: object, allowed_signers: Path) -> dict[str, Any]:
    """Return the record from an envelope that ``signed_record`` made and nobody changed."""
    fields = envelope if isinstance(envelope, dict) else {}
    text, signature = fields.get("record"), fields.get("signature")
    if not isinstance(text, str) or not isinstance(signature, str) or len(fields) != 2:
        raise SignatureProblem("it is not signed: it has to have a record, its signature, no more")
    verify(text.encode(errors="surrogatepass"), signature, allowed_signers)
    record = json.loads(text)
    if not isinstance(record, dict):
        raise SignatureProblem("what is signed is no record")
    return record


def unarmored(signature: str) -> bytes:
    """Return the bytes of an armored signature.

    ssh-keygen overlooks some changes to the armor (folding, what stands behind it). They would do no
    harm, but then one could not say that a changed byte is refused.
    """
    lines = signature.split("\n")
    try:
        blob = base64.b64decode("".join(lines[1:-2]), validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    text = base64.b64encode(blob).decode()
    folded = "\n".join(text[at : at + 70] for at in range(0, len(text), 70))
    if not blob.startswith(b"SSHSIG") or signature != f"{BEGIN}\n{folded}\n{END}\n":
        raise SignatureProblem("its signature is damaged, or is none of ssh-keygen's")
    return blob


def signer(blob: bytes) -> str:
    """Return the fingerprint of the key that a signature says it is by."""
    # "SSHSIG", version, then the public key, its length before it.
    length = int.from_bytes(blob[10:14], "big")
    return fingerprint_of_blob(blob[14 : 14 + length])


def fingerprint_of_blob(blob: bytes) -> str:
    """Return the fingerprint of a public key in its binary form."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"


def unusable_key(message: str, path: str) -> SignatureProblem:
    """Return what to say of a private key that ssh-keygen did not take."""
    cause = last_line(message.replace(path, "the key"))
    return SignatureProblem(
        f"the signing key can't be used ({cause}): it has to be an OpenSSH private key without a passphrase"
    )


def last_line(text: str) -> str:
    """Return the last line of a message."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "ssh-keygen said nothing"

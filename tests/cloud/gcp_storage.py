"""Cloud Storage and the accounts of IAM, for the fake of GCP.

Cloud Storage answers in the shapes of its JSON API reference (v1): buckets list, insert, get, patch, delete,
getIamPolicy and setIamPolicy; objects list, get, insert (uploadType=multipart, "Uploads and downloads") and delete.
"Soft delete" says what softDeletePolicy may be, "Uniform bucket-level access" that conditions need it, "Policies" what
an etag is and how a member is called whose account was deleted. Accounts are those of the IAM API reference (v1),
projects.serviceAccounts create, get and delete.
"""

from __future__ import annotations

import base64
import email
import hashlib
import json
import re
import urllib.parse
from collections.abc import Callable

from tests.cloud.errors import of_google as refused
from tests.cloud.tunnel import Fault, Item

HOST, ACCOUNTS_HOST = "storage.googleapis.com", "iam.googleapis.com"
ELSEWHERE = "a-bucket-of-somebody-else"
DAYS = range(7, 91)
DAY_SECONDS = 24 * 60 * 60


class Accounts:
    """The service accounts of a project."""

    def __init__(self, project: str, fault_of: Callable[[str], Fault | None]) -> None:
        """Have none yet."""
        self.project, self.fault_of = project, fault_of
        self.accounts: dict[str, Item] = {}
        """By their mail addresses."""
        self.number = 0
        self.when_gone: Callable[[str, str], None] = lambda address, number: None
        """Gets to know the address and number of one that was deleted."""

    def call(self, method: str, path: str, body: bytes) -> Item:
        """Answer a call."""
        if fault := self.fault_of(f"{method} serviceAccounts"):
            raise refused(fault.status, fault.reason, fault.message)
        root, _, address = path.partition("/serviceAccounts")
        if root != f"/v1/projects/{self.project}":
            raise refused(403, "PERMISSION_DENIED", f"Permission denied on resource {root}.")
        address = address.strip("/")
        if method == "POST":
            asked = json.loads(body)
            name = asked["accountId"]
            if not re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", name):
                raise refused(400, "INVALID_ARGUMENT", f"Invalid service account ID: {name}")
            address = f"{name}@{self.project}.iam.gserviceaccount.com"
            if address in self.accounts:
                raise refused(409, "ALREADY_EXISTS", f"Service account {name} already exists")
            self.number += 1
            self.accounts[address] = {
                "name": f"projects/{self.project}/serviceAccounts/{address}",
                "projectId": self.project,
                "uniqueId": str(self.number),
                "email": address,
                "displayName": asked["serviceAccount"].get("displayName", ""),
            }
        if address not in self.accounts:
            raise refused(404, "NOT_FOUND", f"Unknown service account: {address}")
        if method == "DELETE":
            self.when_gone(address, self.accounts.pop(address)["uniqueId"])
            return {}
        return self.accounts[address]


class Storage:
    """The buckets of a project, and one of somebody else."""

    def __init__(
        self, project: str, fault_of: Callable[[str], Fault | None], accounts: Accounts
    ) -> None:
        """Have none yet."""
        self.project, self.fault_of, self.accounts = project, fault_of, accounts
        self.buckets: dict[str, Item] = {}
        self.policies: dict[str, Item] = {}
        self.objects: dict[str, dict[str, Item]] = {}
        """What is in each bucket, by name."""
        self.contents: dict[tuple[str, str], bytes] = {}
        self.number = 0
        accounts.when_gone = self.forget

    def call(self, method: str, path: str, query: dict[str, str], body: bytes) -> Item | bytes:
        """Answer a call."""
        upload, download = path.startswith("/upload/"), path.startswith("/download/")
        path = path.removeprefix("/upload").removeprefix("/download").removeprefix("/storage/v1")
        found = re.fullmatch(r"/b(?:/([^/]+))?(/iam|/o)?(?:/(.+))?", path)
        if not found:
            raise refused(404, "notFound", f"There is no {path}")
        bucket, part, name = found.groups()
        kind = {"/iam": "iam", "/o": "objects"}.get(part or "", "buckets")
        if fault := self.fault_of(f"{method} {kind}"):
            raise refused(fault.status, fault.reason, fault.message)
        if not bucket:
            return self.of_project(method, query, body)
        if bucket == ELSEWHERE:
            raise refused(403, "forbidden", f"No storage.buckets.get access to {bucket}.")
        if bucket not in self.buckets:
            raise refused(404, "notFound", "The specified bucket does not exist.")
        if kind == "iam":
            return self.policy(method, bucket, query, body)
        if kind == "objects":
            name = urllib.parse.unquote(name or "")
            if upload:
                return self.insert(bucket, query, body)
            if download or query.get("alt") == "media":
                return self.contents[bucket, self.existing(bucket, name)["name"]]
            return self.object(method, bucket, name, query)
        return self.bucket(method, bucket, body)

    # ------------------------------------------------------------ buckets
    def of_project(self, method: str, query: dict[str, str], body: bytes) -> Item:
        """List buckets, or make one."""
        if query["project"] != self.project:
            raise refused(403, "forbidden", f"No access to project {query['project']}.")
        if method == "GET":
            return {"kind": "storage#buckets", "items": list(self.buckets.values())}
        asked = json.loads(body)
        name = asked["name"]
        if name in self.buckets or name == ELSEWHERE:
            raise refused(409, "conflict", "The requested bucket name is not available.")
        # "If not specified, the default is seven days."
        kept = {"retentionDurationSeconds": str(7 * DAY_SECONDS)}
        self.buckets[name] = {
            "kind": "storage#bucket",
            "id": name,
            "softDeletePolicy": kept,
            **asked,
        }
        self.judge(self.buckets[name])
        self.policies[name] = {
            "kind": "storage#policy",
            "version": 1,
            "etag": "CAE=",
            "bindings": [
                {
                    "role": "roles/storage.legacyBucketOwner",
                    "members": [f"projectOwner:{self.project}"],
                }
            ],
        }
        self.objects[name] = {}
        return self.buckets[name]

    def judge(self, bucket: Item) -> None:
        """Refuse what a bucket may not be."""
        seconds = bucket["softDeletePolicy"]["retentionDurationSeconds"]
        if not isinstance(seconds, str) or int(seconds) not in {
            0,
            *(days * DAY_SECONDS for days in DAYS),
        }:
            raise refused(
                400, "invalid", f"Invalid soft delete retention duration: {seconds} seconds"
            )

    def bucket(self, method: str, name: str, body: bytes) -> Item:
        """Show, change or remove a bucket."""
        if method == "DELETE":
            if self.objects[name]:
                raise refused(409, "conflict", "The bucket you tried to delete is not empty.")
            for known in (self.buckets, self.policies, self.objects):
                known.pop(name)
            return {}
        if method == "PATCH":
            for key, value in json.loads(body).items():
                there = self.buckets[name].get(key)
                both = isinstance(there, dict) and isinstance(value, dict)
                self.buckets[name][key] = {**there, **value} if both else value
            self.judge(self.buckets[name])
        return self.buckets[name]

    def policy(self, method: str, bucket: str, query: dict[str, str], body: bytes) -> Item:
        """Show who may do what with a bucket, or say it."""
        there = self.policies[bucket]
        if method == "GET":
            if query.get("optionsRequestedPolicyVersion") == "3":
                return there
            return {
                **there,
                "bindings": [item for item in there["bindings"] if "condition" not in item],
            }
        asked = json.loads(body)
        if asked.get("etag") != there["etag"]:
            raise refused(412, "conditionNotMet", "The policy was changed in between.")
        for binding in asked["bindings"]:
            for member in binding["members"]:
                kind, _, address = member.partition(":")
                if kind == "serviceAccount" and address not in self.accounts.accounts:
                    raise refused(400, "invalid", f"Service account {address} does not exist.")
            if "condition" in binding and asked.get("version") != 3:
                raise refused(400, "invalid", "A condition needs version 3 of a policy.")
            uniform = self.buckets[bucket].get("iamConfiguration", {})
            if "condition" in binding and not uniform["uniformBucketLevelAccess"]["enabled"]:
                raise refused(400, "invalid", "A condition needs uniform bucket-level access.")
        self.number += 1
        self.policies[bucket] = {**asked, "etag": f"etag{self.number}"}
        return self.policies[bucket]

    def forget(self, address: str, number: str) -> None:
        """Call an account that was deleted so in all policies."""
        member = f"serviceAccount:{address}"
        for policy in self.policies.values():
            for binding in policy["bindings"]:
                binding["members"] = [
                    f"deleted:{name}?uid={number}" if name == member else name
                    for name in binding["members"]
                ]

    # ------------------------------------------------------------ objects
    def existing(self, bucket: str, name: str) -> Item:
        """Return what there is of an object."""
        if name not in self.objects[bucket]:
            raise refused(404, "notFound", f"No such object: {bucket}/{name}")
        return self.objects[bucket][name]

    def insert(self, bucket: str, query: dict[str, str], body: bytes) -> Item:
        """Take an object in: metadata, then what is in it."""
        assert query["uploadType"] == "multipart"
        boundary = body[2 : body.index(b"\r\n")]
        head = b'Content-Type: multipart/related; boundary="' + boundary + b'"\r\n\r\n'
        said, content = email.message_from_bytes(head + body).get_payload()
        about = json.loads(said.get_payload())
        # Not as the library has it, which takes line ends for its own.
        data = body.split(b"\r\n\r\n", 2)[2][: -len(b"\r\n--" + boundary + b"--\r\n")]
        assert content.get_content_type()
        return self.put(bucket, about.get("name") or query["name"], data, about)

    def put(self, bucket: str, name: str, data: bytes, about: Item | None = None) -> Item:
        """Have an object."""
        self.number += 1
        link = (
            f"https://{HOST}/download/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, safe='')}"
        )
        self.contents[bucket, name] = data
        self.objects[bucket][name] = {
            **(about or {}),
            "kind": "storage#object",
            "name": name,
            "bucket": bucket,
            "generation": str(self.number),
            "size": str(len(data)),
            "md5Hash": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode(),
            "updated": "2026-01-01T00:00:00.000Z",
            "mediaLink": f"{link}?generation={self.number}&alt=media",
        }
        return self.objects[bucket][name]

    def object(self, method: str, bucket: str, name: str, query: dict[str, str]) -> Item:
        """List objects, show or remove one."""
        if not name:
            start, end = query.get("prefix", ""), query.get("delimiter", "")
            below = [key for key in sorted(self.objects[bucket]) if key.startswith(start)]
            folders = {
                start + key[len(start) :].partition(end)[0] + end
                for key in below
                if end and end in key[len(start) :]
            }
            items = [
                self.objects[bucket][key] for key in below if not (end and end in key[len(start) :])
            ]
            return {"kind": "storage#objects", "items": items, "prefixes": sorted(folders)}
        there = self.existing(bucket, name)
        if method == "DELETE":
            if query.get("generation", there["generation"]) != there["generation"]:
                raise refused(404, "notFound", f"No such object: {bucket}/{name}")
            del self.objects[bucket][name]
            return {}
        return there

"""Module: the bucket of Cloud Storage to which an environment's backups are copied."""

from __future__ import annotations

import re
import urllib.parse
from typing import Any

from ansible.module_utils.gcp_answers import checked, same
from ansible_collections.google.cloud.plugins.module_utils.gcp_utils import (
    GcpModule as AnsibleModule,
)
from ansible_collections.google.cloud.plugins.module_utils.gcp_utils import GcpSession

DOCUMENTATION = r"""
module: gcp_store
short_description: The bucket of Cloud Storage to which an environment's backups are copied
description:
  - A bucket with access by IAM alone and never by the public, where what was removed or overwritten can be had back for
    some days, and that only by whoever may restore it.
  - An account may list it, and read, write and remove what is below one folder.
  - An environment's buckets are those with its label. Another one is refused.
  - C(google.cloud.gcp_storage_bucket) knows none of access by IAM, public access and what is kept of what was removed;
    there is no module for a bucket's policy.
options:
  environment: {description: The environment., type: str, required: true}
  bucket: {description: The bucket's name. V('') is none., type: str, default: ''}
  state:
    description: >-
      V(looked) changes nothing. V(present) makes the bucket, puts back what differs, and takes the account's rights to
      other buckets of the environment away. V(absent) removes all buckets of the environment with what is in them.
    type: str
    choices: [looked, present, absent]
    default: looked
  region: {description: Where it is., type: str, required: true}
  keep_days: {description: How long what was removed can be had back., type: int, default: 30}
  account: {description: The mail address of the account that may use it., type: str, default: ''}
  folder: {description: The folder in which it may read and write., type: str, default: backups}
"""
EXAMPLES = r"""
- name: Bucket for backups
  gcp_store:
    environment: staging
    bucket: my-company-beanft-staging
    state: present
    region: europe-west3
    account: beanft-staging-data@my-project.iam.gserviceaccount.com
"""
RETURN = r"""
buckets:
  description: The names of the environment's buckets before anything was changed.
  type: list
  elements: str
  returned: always
"""

# https://cloud.google.com/storage/docs/json_api/v1
ROOT = "https://storage.googleapis.com/storage/v1"
LABEL = "beanft-environment"
# https://cloud.google.com/storage/docs/access-control/iam-roles: one lists, the other reads, writes and removes.
LISTS, USES = "roles/storage.legacyBucketReader", "roles/storage.objectUser"
MISSING, DENIED = 404, 403
DAY_SECONDS = 24 * 60 * 60


def wanted(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a bucket has to be, as the API has it."""
    return {
        "labels": {"beanft": "store", LABEL: values["environment"]},
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": True},
            "publicAccessPrevention": "enforced",
        },
        # The API has it as text.
        "softDeletePolicy": {"retentionDurationSeconds": str(values["keep_days"] * DAY_SECONDS)},
    }


def granted(
    bindings: list[dict[str, Any]], member: str, rights: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return a policy's bindings in which a member has these rights and no others; those of others stay."""
    # An account of this address that was deleted stands there under another name.
    gone = f"deleted:{member}?uid="
    others = [
        {
            **binding,
            "members": [
                name for name in binding["members"] if name != member and not name.startswith(gone)
            ],
        }
        for binding in bindings
    ]
    return [binding for binding in others if binding["members"]] + [
        {**right, "members": [member]} for right in rights
    ]


def rights(bucket: str, folder: str) -> list[dict[str, Any]]:
    """Return the rights to a folder of a bucket, and to see what is in the bucket."""
    objects = f"projects/_/buckets/{bucket}/objects/{folder}/"
    condition = {"title": folder, "expression": f'resource.name.startsWith("{objects}")'}
    return [{"role": LISTS}, {"role": USES, "condition": condition}]


def plain(bindings: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return who may do what on which condition, in an order of its own."""
    return sorted(
        (binding["role"], member, (binding.get("condition") or {}).get("expression", ""))
        for binding in bindings
        for member in binding["members"]
    )


class Store:
    """An environment's buckets."""

    def __init__(self, module: Any, session: Any) -> None:
        """Look for them."""
        self.module, self.session, self.values = module, session, module.params
        self.changed = False
        listed = session.list(
            f"{ROOT}/b",
            checked,
            params={"project": self.values["project"]},
        )
        self.own = {item["name"]: item for item in listed if self.is_ours(item)}

    def is_ours(self, bucket: dict[str, Any]) -> bool:
        """Tell whether a bucket has the environment's label."""
        return bool((bucket.get("labels") or {}).get(LABEL) == self.values["environment"])

    def change(
        self, method: str, path: str, body: dict[str, Any] | None = None, **more: Any
    ) -> None:
        """Change something, but not in check mode."""
        self.changed = True
        if not self.module.check_mode:
            checked(self.module, getattr(self.session, method)(ROOT + path, body, **more))

    def foreign(self) -> bool:
        """Tell whether there is a bucket of the name that is somebody else's."""
        name = self.values["bucket"]
        if not name or name in self.own:
            return False
        answer = self.session.full_get(f"{ROOT}/b/{name}")
        if answer.status_code in (MISSING, DENIED):
            # It is there where it may not be looked at: nobody is told so of one that isn't.
            return bool(answer.status_code == DENIED)
        return not self.is_ours(checked(self.module, answer))

    def present(self) -> None:
        """Make the bucket, and let the account use it and no other."""
        name = self.values["bucket"]
        if name and name not in self.own:
            body = {"name": name, "location": self.values["region"], **wanted(self.values)}
            self.change("post", "/b", body, params={"project": self.values["project"]})
        elif name and not same(wanted(self.values), self.own[name]):
            self.change("patch", f"/b/{name}", wanted(self.values))
        if self.module.check_mode and name not in self.own:
            return
        for bucket in sorted({*self.own, *filter(None, [name])}):
            self.let_in(bucket, rights(bucket, self.values["folder"]) if bucket == name else [])

    def let_in(self, bucket: str, wanted_rights: list[dict[str, Any]]) -> None:
        """Give the account these rights to a bucket, and no others."""
        path = f"/b/{bucket}/iam"
        # Without a version conditions are left out of the answer, and would be out of what is written.
        policy = checked(
            self.module,
            self.session.full_get(ROOT + path, params={"optionsRequestedPolicyVersion": 3}),
        )
        before = policy.get("bindings") or []
        after = granted(before, f"serviceAccount:{self.values['account']}", wanted_rights)
        if plain(after) != plain(before):
            # With the etag of what was read: somebody else's change in between is not lost.
            self.change("put", path, {**policy, "version": 3, "bindings": after})

    def absent(self) -> None:
        """Remove all buckets of the environment, with what is in them."""
        for bucket in sorted(self.own):
            # Or what is removed here would be kept, and paid for, as long again.
            self.change(
                "patch", f"/b/{bucket}", {"softDeletePolicy": {"retentionDurationSeconds": "0"}}
            )
            listed = self.session.list(
                f"{ROOT}/b/{bucket}/o",
                checked,
                params={"versions": "true"},
            )
            for item in listed:
                name = urllib.parse.quote(item["name"], safe="")
                path = f"/b/{bucket}/o/{name}?generation={item['generation']}"
                self.change("delete", path)
            self.change("delete", f"/b/{bucket}")


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "environment": {"type": "str", "required": True},
            "bucket": {"type": "str", "default": ""},
            "state": {
                "type": "str",
                "choices": ["looked", "present", "absent"],
                "default": "looked",
            },
            "region": {"type": "str", "required": True},
            "keep_days": {"type": "int", "default": 30},
            "account": {"type": "str", "default": ""},
            "folder": {"type": "str", "default": "backups"},
        },
        supports_check_mode=True,
    )
    if not module.params["scopes"]:
        module.params["scopes"] = ["https://www.googleapis.com/auth/devstorage.full_control"]
    bucket = module.params["bucket"]
    if bucket and not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", bucket):
        module.fail_json(
            msg=f"bucket is '{bucket}': its name is 3 to 63 small letters, digits and hyphens, and no other in the"
            " world may have it"
        )
    store = Store(module, GcpSession(module, "storage"))
    if module.params["state"] != "absent" and store.foreign():
        module.fail_json(
            msg=f"bucket {bucket} is there and has no label {LABEL}={module.params['environment']} in this project, so"
            " it is not this environment's; nothing was changed: name another one"
        )
    before = sorted(store.own)
    if module.params["state"] != "looked":
        getattr(store, module.params["state"])()
    module.exit_json(changed=store.changed, buckets=before)


if __name__ == "__main__":
    main()

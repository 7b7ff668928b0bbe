"""Module: an environment's managed PostgreSQL at GCP, an instance of Cloud SQL."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.gcp_answers import checked, said, same
from ansible_collections.google.cloud.plugins.module_utils.gcp_utils import (
    GcpModule as AnsibleModule,
)
from ansible_collections.google.cloud.plugins.module_utils.gcp_utils import GcpSession

DOCUMENTATION = r"""
module: gcp_database
short_description: An environment's managed PostgreSQL at GCP, an instance of Cloud SQL
description:
  - An instance that no network has and the internet does not reach. Networks of the project get to it by Private
    Service Connect, where somebody makes a forwarding rule to its service attachment.
  - It speaks TLS alone, with a certificate of the authorities that Google keeps for a region, which names the instance.
  - C(google.cloud.gcp_sql_instance) knows neither Private Service Connect nor these authorities, labels, or protection
    against being deleted, and takes over what it finds under the name.
options:
  environment: {description: The environment., type: str, required: true}
  name: {description: The instance's name., type: str, required: true}
  state:
    description: >-
      V(looked) changes nothing. V(present) makes it, or changes what differs, and waits for it. V(absent) removes it
      with its data and its backups, protected or not.
    type: str
    choices: [looked, present, absent]
    default: looked
  region: {description: Where it is., type: str, default: ''}
  version: {description: Its major version., type: int, default: 17}
  tier: {description: Its machine type., type: str, default: ''}
  disk_gb: {description: Its disk., type: int, default: 20}
  zones:
    description: With 2 a second one in another zone takes over when the first fails.
    type: int
    choices: [1, 2]
    default: 1
  password: {description: That of its user postgres where it is made., type: str, default: ''}
  keep_days: {description: How many days Cloud SQL keeps its own backups., type: int, default: 7}
"""
EXAMPLES = r"""
- name: Database
  gcp_database:
    environment: staging
    name: beanft-staging
    state: present
    region: europe-west3
    tier: db-custom-1-3840
    password: "{{ password }}"
"""
RETURN = r"""
database:
  description: The instance after the run, as the API has it; V({}) where there is none.
  type: dict
  returned: always
authorities:
  description: The certificates by which that of its server is checked, where O(state=present).
  type: str
  returned: always
"""

# https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1
ROOT = "https://sqladmin.googleapis.com/v1/projects/"
LABEL = "beanft-environment"
POLL_SECONDS = 5.0
# Where nothing more happens by itself.
SETTLED = ("RUNNABLE", "SUSPENDED", "FAILED")


def wanted(values: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an instance, as the API has them."""
    return {
        "tier": values["tier"],
        # The other one has no such small ones.
        "edition": "ENTERPRISE",
        "availabilityType": "REGIONAL" if values["zones"] > 1 else "ZONAL",
        "dataDiskType": "PD_SSD",
        "dataDiskSizeGb": str(values["disk_gb"]),
        # It would grow without being agreed to, and never shrink.
        "storageAutoResize": False,
        "deletionProtectionEnabled": True,
        "userLabels": {"beanft": "database", LABEL: values["environment"]},
        "ipConfiguration": {
            "ipv4Enabled": False,
            "sslMode": "ENCRYPTED_ONLY",
            # An instance's own authority signs certificates that name no host.
            "serverCaMode": "GOOGLE_MANAGED_CAS_CA",
            "pscConfig": {"pscEnabled": True, "allowedConsumerProjects": [values["project"]]},
        },
        "backupConfiguration": {
            "enabled": True,
            "pointInTimeRecoveryEnabled": True,
            "transactionLogRetentionDays": values["keep_days"],
            "backupRetentionSettings": {
                "retainedBackups": values["keep_days"],
                "retentionUnit": "COUNT",
            },
        },
    }


class Database:
    """An environment's instance."""

    def __init__(self, module: Any, session: Any) -> None:
        """Look for it."""
        self.module, self.session, self.values = module, session, module.params
        self.project = ROOT + self.values["project"]
        self.link = f"{self.project}/instances/{self.values['name']}"
        self.changed = False
        self.there: dict[str, Any] = {}
        self.look()

    def look(self) -> None:
        """Look for it in the list, since one that is not there may not be looked at."""
        listed = self.session.list(f"{self.project}/instances", checked)
        named = [item for item in listed if item["name"] == self.values["name"]]
        self.there = named[0] if named else {}

    def foreign(self) -> bool:
        """Tell whether the one of the name is somebody else's."""
        labels = (self.there.get("settings") or {}).get("userLabels") or {}
        return bool(self.there) and labels.get(LABEL) != self.values["environment"]

    def change(self, method: str, link: str, body: dict[str, Any] | None = None) -> None:
        """Change something and wait for it, but not in check mode."""
        self.changed = True
        if self.module.check_mode:
            return
        operation = checked(self.module, getattr(self.session, method)(link, body))
        while operation.get("status") != "DONE":
            time.sleep(POLL_SECONDS)
            url = f"{self.project}/operations/{operation['name']}"
            operation = checked(self.module, self.session.full_get(url))
        if why := said(operation):
            self.module.fail_json(msg=f"database {self.values['name']}: {why}")

    def settle(self) -> None:
        """Wait for what somebody has begun before, a run that was killed or Cloud SQL itself."""
        while self.there and self.there["state"] not in SETTLED:
            time.sleep(POLL_SECONDS)
            self.look()

    def present(self) -> None:
        """Make it, or change what differs."""
        self.settle()
        settings = wanted(self.values)
        there = self.there.get("settings") or {}
        differs = {key: value for key, value in settings.items() if not same(value, there.get(key))}
        if not self.there:
            body = {
                "name": self.values["name"],
                "region": self.values["region"],
                "databaseVersion": f"POSTGRES_{self.values['version']}",
                "rootPassword": self.values["password"],
                "settings": settings,
            }
            self.change("post", f"{self.project}/instances", body)
        elif differs:
            self.change("patch", self.link, {"settings": differs})
        if self.module.check_mode:
            return
        self.look()
        self.settle()
        state = self.there.get("state", "gone")
        if state != "RUNNABLE":
            self.module.fail_json(
                msg=f"the database {self.values['name']} is {state}: its operations in Cloud SQL's console say why;"
                " mend that and run the same again"
            )

    def authorities(self) -> str:
        """Return the certificates by which its own is checked, also those that it will have next."""
        listed = checked(self.module, self.session.full_get(f"{self.link}/listServerCertificates"))
        certificates = (item["cert"].strip() for item in listed.get("caCerts") or [])
        return "".join(f"{text}\n" for text in dict.fromkeys(certificates))

    def absent(self) -> None:
        """Remove it."""
        self.settle()
        if not self.there:
            return
        if self.there["settings"].get("deletionProtectionEnabled"):
            self.change("patch", self.link, {"settings": {"deletionProtectionEnabled": False}})
        self.change("delete", self.link)
        if not self.module.check_mode:
            self.there = {}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "environment": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "state": {
                "type": "str",
                "choices": ["looked", "present", "absent"],
                "default": "looked",
            },
            "region": {"type": "str", "default": ""},
            "version": {"type": "int", "default": 17},
            "tier": {"type": "str", "default": ""},
            "disk_gb": {"type": "int", "default": 20},
            "zones": {"type": "int", "choices": [1, 2], "default": 1},
            "password": {"type": "str", "default": "", "no_log": True},
            "keep_days": {"type": "int", "default": 7},
        },
        supports_check_mode=True,
    )
    if not module.params["scopes"]:
        module.params["scopes"] = ["https://www.googleapis.com/auth/sqlservice.admin"]
    database = Database(module, GcpSession(module, "sql"))
    if database.foreign():
        module.fail_json(
            msg=f"there is a database {module.params['name']} without the label"
            f" {LABEL}={module.params['environment']}: it is somebody else's, and nothing was changed; rename or remove"
            " it"
        )
    state = module.params["state"]
    if state != "looked":
        getattr(database, state)()
    asked = state == "present" and not module.check_mode
    module.exit_json(
        changed=database.changed,
        database=database.there,
        authorities=database.authorities() if asked else "",
    )


if __name__ == "__main__":
    main()

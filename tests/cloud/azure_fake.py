"""Azure Resource Manager and the login behind a tunnel.

It answers in the shapes of the REST references: "Resource Groups" and "Deployments" (2022-09-01), "Virtual Machines"
(2024-07-01) with instance views, "Disks", "Network Interfaces", "Public IP Addresses", "Storage Accounts", "User
Assigned Identities", "Role Assignments", and the batches that Azure's inventory plugin asks for. Deployments are
asynchronous, as "Track asynchronous Azure operations" describes it; all else is done at once. What a template names is
made in the order that it declares, and has to be there before.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.cloud.azure_secrets import HOST, SCOPE, Secrets
from tests.cloud.errors import of_azure as refused
from tests.cloud.tunnel import Answer, Fault, Item, Refused, Tunnel

LOGIN, MANAGEMENT = "login.microsoftonline.com", "management.azure.com"
SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
TENANT = "22222222-2222-2222-2222-222222222222"
CLIENT = "33333333-3333-3333-3333-333333333333"
SECRET = "secret-of-a-test"
TOKEN = "token-of-a-test"
VAULT_TOKEN = "token-of-a-test-for-key-vaults"
HOME = f"/subscriptions/{SUBSCRIPTION}"
REFERENCE = re.compile(r"\[resourceId\((.*)\)\]")
# What is a part of something else, as its id names it.
PARTS = re.compile("/(subnets|frontendIPConfigurations|backendAddressPools|probes)/")
# A name that is the resource group's own: uniqueString.
UNIQUE = re.compile(
    r"\[concat\('([^']+)', uniqueString\(resourceGroup\(\)\.id\)(?:, '([^']+)')?\)\]"
)
WITHIN_SUBSCRIPTION = re.compile(r"\[subscriptionResourceId\((.*)\)\]")
PRINCIPAL = re.compile(r"\[reference\((resourceId\(.*\)), '[0-9-]+'\)\.principalId\]")
PARAMETER = re.compile(r"\[parameters\('(\w+)'\)\]")
SIZES = ("Standard_B1ms", "Standard_B2s", "Standard_B2ms")


class Fake(Tunnel):
    """One subscription."""

    hosts = (LOGIN, MANAGEMENT, HOST)

    def __init__(self, directory: Path) -> None:
        """Have nothing yet."""
        super().__init__(directory)
        self.items: dict[str, Item] = {}
        """By their ids."""
        self.passwords: dict[str, str] = {}
        """Of databases' administrators, which the API does not give back, by the server's name."""
        self.taken = {"ofsomebodyelse"}
        """Names of storage accounts in other subscriptions."""
        self.told: dict[str, str] = {}
        """Custom data, which the API does not give back, by the machine's name."""
        self.secrets = Secrets(self.fault_of)
        self.number = 0

    def respond(
        self,
        method: str,
        host: str,
        path: str,
        query: dict[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        """Answer a call."""
        if host == LOGIN:
            return self.login(path, body)
        if host == HOST:
            if headers["Authorization"] != f"Bearer {VAULT_TOKEN}":
                raise refused(401, "Unauthorized", "AKV10022: Invalid audience.")
            return Answer(self.secrets.call(method, path, query, body))
        if headers["Authorization"] != f"Bearer {TOKEN}":
            raise refused(401, "InvalidAuthenticationToken", "The access token is invalid.")
        return self.manage(method, path, query, body)

    def named(self, kind: str) -> dict[str, Item]:
        """Return all of a kind, as virtualMachines, by name."""
        return {
            item["name"]: item for item in self.items.values() if item["type"].endswith(f"/{kind}")
        }

    # ---------------------------------------------------------------- login
    def login(self, path: str, body: bytes) -> Answer:
        """Answer as the login does: "OAuth 2.0 client credentials flow"."""
        root = f"https://{LOGIN}/{TENANT}"
        if path.endswith("/discovery/instance"):
            return Answer(
                {
                    "tenant_discovery_endpoint": f"{root}/v2.0/.well-known/openid-configuration",
                    "api-version": "1.1",
                    "metadata": [
                        {
                            "preferred_network": LOGIN,
                            "preferred_cache": "login.windows.net",
                            "aliases": [LOGIN, "login.windows.net"],
                        }
                    ],
                }
            )
        if path.endswith("/openid-configuration"):
            return Answer(
                {
                    "token_endpoint": f"{root}/oauth2/v2.0/token",
                    "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                    "issuer": f"{root}/v2.0",
                }
            )
        asked = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        if (asked.get("client_id"), asked.get("client_secret")) != (CLIENT, SECRET):
            said = "AADSTS7000215: Invalid client secret provided."
            raise Refused(401, {"error": "invalid_client", "error_description": said})
        token = VAULT_TOKEN if SCOPE in asked.get("scope", "").split() else TOKEN
        return Answer({"token_type": "Bearer", "expires_in": 3599, "access_token": token})

    # ----------------------------------------------------- resource manager
    def manage(self, method: str, path: str, query: dict[str, str], body: bytes) -> Answer:
        """Answer as the resource manager does."""
        if path == "/batch":
            return self.batch(json.loads(body))
        # Azure's ids don't tell capitals from small letters, and its clients write both.
        path = re.sub("/resourcegroups/", "/resourceGroups/", path, flags=re.IGNORECASE)
        parts = path.removeprefix(HOME).strip("/").split("/")
        kind, last = "", parts[-1]
        if "providers" in parts:
            kind = parts[parts.index("providers") + 2]
        elif parts[0] == "resourceGroups":
            kind = "resourceGroups"
        fault = self.fault_of(f"{method} {kind}")
        if fault and not fault.late:
            raise refused(fault.status, fault.reason, fault.message)
        if path.rstrip("/") == HOME:
            return Answer(
                {"id": HOME, "subscriptionId": SUBSCRIPTION, "displayName": "of a test"}
                | {"state": "Enabled"}
            )
        if kind == "deployments":
            return self.deployment(method, path, body)
        if kind == "resourceGroups":
            return self.group(method, path, body)
        if parts[0] == "resourceGroups":
            self.existing("/".join(path.split("/")[:5]))
        if last == kind:
            inside = path.split("/providers/")[0]
            found = [
                item
                for key, item in self.items.items()
                if key.startswith(f"{inside}/") and item["type"].endswith(f"/{kind}")
            ]
            return Answer({"value": found})
        if last == "instanceView":
            return Answer(view(self.existing(path.rsplit("/", 1)[0])))
        if last == "start":
            self.existing(path.rsplit("/", 1)[0])["power"] = "running"
            return Answer(None, 202)
        item = self.existing(path)
        if method == "PUT":
            kept = {"type": item["type"], "name": item["name"]}
            self.put(path, {**json.loads(body), **kept}, failed=False)
            return Answer(self.items[path])
        if method == "PATCH":
            item |= json.loads(body)
            for needed in item.get("identity", {}).get("userAssignedIdentities", {}):
                self.existing(needed)
        if method == "DELETE":
            self.delete(item)
            return Answer(None)
        if "instanceview" in query.get("$expand", "").lower():
            item = {**item, "properties": {**item["properties"], "instanceView": view(item)}}
        return Answer(item)

    def batch(self, content: Item) -> Answer:
        """Answer several calls at once."""
        answers = []
        for asked in content["requests"]:
            url = urlsplit(asked["url"])
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            try:
                answer = self.manage(asked["httpMethod"], url.path, query, b"")
            except Refused as error:
                answer = Answer(error.content, error.status)
            answers.append(
                {
                    "name": asked["name"],
                    "httpStatusCode": answer.status,
                    "content": answer.content,
                }
            )
        return Answer({"responses": answers})

    def existing(self, path: str) -> Item:
        """Return something that there is."""
        if path not in self.items:
            name = path.rsplit("/", 1)[-1]
            code = "ResourceNotFound" if "providers" in path else "ResourceGroupNotFound"
            raise refused(404, code, f"{name} could not be found.")
        return self.items[path]

    def group(self, method: str, path: str, body: bytes) -> Answer:
        """Answer about a resource group, and about all that is in it."""
        if path.endswith("/resources"):
            inside = f"{path.removesuffix('resources')}providers/"
            return Answer({"value": [i for key, i in self.items.items() if key.startswith(inside)]})
        if method == "PUT":
            self.items[path] = {
                "id": path,
                "name": path.rsplit("/", 1)[-1],
                "type": "Microsoft.Resources/resourceGroups",
                "properties": {"provisioningState": "Succeeded"},
                **json.loads(body),
            }
        item = self.existing(path)
        if method == "DELETE":
            self.items = {
                key: value
                for key, value in self.items.items()
                if key != path and not key.startswith(f"{path}/")
            }
            return Answer(None)
        return Answer(item)

    # ---------------------------------------------------------- deployments
    def deployment(self, method: str, path: str, body: bytes) -> Answer:
        """Take a template, or tell what became of one."""
        place, _, below = path.partition("/deployments/")
        name, _, wanted = below.partition("/")
        path = f"{place}/deployments/{name}"
        if method == "PUT":
            self.existing(path.split("/providers/")[0])
            asked = json.loads(body)["properties"]
            errors = self.apply(path.split("/providers/")[0], asked)
            self.items[path] = {
                "id": path,
                "name": name,
                "type": "Microsoft.Resources/deployments",
                "properties": {
                    "provisioningState": "Failed" if errors else "Succeeded",
                    "mode": asked["mode"],
                    "dependencies": [],
                    # As the API records it: without the values of secure parameters.
                    "parameters": {
                        key: {"type": value["type"]}
                        for key, value in asked["template"]["parameters"].items()
                    },
                },
                "failures": errors,
            }
            follow = {
                "Azure-AsyncOperation": f"https://{MANAGEMENT}{path}/operationStatuses/1?api-version=2022-09-01",
                "Retry-After": "1",
            }
            shown = json.loads(json.dumps(self.items[path]))
            shown["properties"]["provisioningState"] = "Accepted"
            return Answer(shown, 201, follow)
        item = self.existing(path)
        errors = item["failures"]
        if wanted.startswith("operationStatuses"):
            if not errors:
                return Answer({"status": "Succeeded"})
            said = "At least one resource deployment operation failed."
            error = {"code": "DeploymentFailed", "message": said}
            return Answer({"status": "Failed", "error": error})
        if wanted == "operations":
            return Answer({"value": errors})
        return Answer(item)

    def apply(self, group: str, asked: Item) -> list[Item]:
        """Make what a template has, each after what it needs; return operations that failed."""
        secrets = {key: value["value"] for key, value in asked["parameters"].items()}
        assert set(secrets) == set(asked["template"]["parameters"])
        failed: list[Item] = []
        waiting = [resolved(item, group, secrets) for item in asked["template"]["resources"]]
        ids = {identity(group, item) for item in waiting}
        broken: set[str] = set()
        while waiting:
            ready = [
                item for item in waiting if not set(item.get("dependsOn", [])) & (ids - broken)
            ]
            assert ready, "each waits for another"
            for item in ready:
                waiting.remove(item)
                path = identity(group, item)
                ids.discard(path)
                if set(item.get("dependsOn", [])) & broken:
                    broken.add(path)
                    continue
                fault = self.fault_of(f"PUT {item['type'].rsplit('/', 1)[-1]}")
                if fault:
                    broken.add(path)
                    failed.append(operation(path, item, fault))
                    if not fault.late:
                        continue
                try:
                    self.put(path, item, failed=bool(fault))
                except Refused as error:
                    said = error.content["error"]
                    broken.add(path)
                    failed.append(
                        operation(path, item, Fault("", 409, said["code"], said["message"]))
                    )
        return failed

    def put(self, path: str, wanted: Item, *, failed: bool) -> None:
        """Make something, and fill in what the API does."""
        self.number += 1
        old = self.items.get(path)
        item = {
            key: value for key, value in wanted.items() if key not in ("dependsOn", "apiVersion")
        }
        item |= {"id": path}
        item.setdefault("properties", {})
        if "scope" in item:
            item["properties"]["scope"] = path.partition("/providers/Microsoft.Authorization")[0]
        for needed in item.get("identity", {}).get("userAssignedIdentities", {}):
            self.existing(needed)
        for needed in re.findall(r'"id": "(/subscriptions/[^"]+)"', json.dumps(wanted)):
            whole, *part = PARTS.split(needed)
            if whole != path:
                self.existing(whole)
            elif part[1] not in {one["name"] for one in item["properties"][part[0]]}:
                raise refused(400, "InvalidResourceReference", f"{needed} was not found.")
        properties = item["properties"]
        properties["provisioningState"] = "Failed" if failed else "Succeeded"
        kind = item["type"].rsplit("/", 1)[-1]
        if kind == "userAssignedIdentities":
            there = (old or {}).get("properties", {}).get("principalId")
            properties["principalId"] = there or f"principal-{self.number}"
        elif kind == "storageAccounts" and item["name"] in self.taken:
            message = f"The storage account named {item['name']} is already taken."
            raise refused(409, "StorageAccountAlreadyTaken", message)
        elif kind == "flexibleServers":
            self.serve(item, old)
        elif kind == "roleAssignments":
            self.assign(item, old)
        elif kind == "publicIPAddresses":
            kept = (old or {}).get("properties", {}).get("ipAddress")
            properties["ipAddress"] = kept or f"203.0.113.{self.number}"
        elif kind == "networkInterfaces":
            (configuration,) = properties["ipConfigurations"]
            kept = (old or {}).get("private")
            item["private"] = kept or f"10.80.0.{self.number}"
            configuration["properties"] |= {"privateIPAddress": item["private"], "primary": True}
            public = self.items[configuration["properties"]["publicIPAddress"]["id"]]
            used_by = {"id": f"{path}/ipConfigurations/{configuration['name']}"}
            public["properties"]["ipConfiguration"] = used_by
        elif kind == "virtualMachines":
            self.start(path, item, old)
        self.items[path] = item

    def serve(self, item: Item, old: Item | None) -> None:
        """Have a PostgreSQL: "Flexible servers"; what it may not be is of "Limits"."""
        properties = item["properties"]
        if properties["storage"]["storageSizeGB"] not in (32, 64, 128, 256):
            raise refused(400, "InvalidParameterValue", "Invalid value for storageSizeGB.")
        if (
            properties["highAvailability"]["mode"] != "Disabled"
            and item["sku"]["tier"] == "Burstable"
        ):
            raise refused(400, "HANotSupportedForBurstableSkuTier", "HA needs another tier.")
        for needed in properties["network"].values():
            self.existing(needed.partition("/subnets/")[0])
        (subnet,) = (
            found
            for item in self.named("virtualNetworks").values()
            for found in item["properties"]["subnets"]
            if found["name"] == "database"
        )
        assert subnet["properties"]["delegations"]
        if old:
            sizes = [one["properties"]["storage"]["storageSizeGB"] for one in (old, item)]
            if sizes[1] < sizes[0]:
                raise refused(400, "StorageSizeReductionNotAllowed", "Storage can't shrink.")
        self.passwords[item["name"]] = properties.pop("administratorLoginPassword")
        properties["fullyQualifiedDomainName"] = f"{item['name']}.postgres.database.azure.com"
        properties["state"] = "Ready"

    def assign(self, item: Item, old: Item | None) -> None:
        """Give an identity a role."""
        properties = item["properties"]
        found = PRINCIPAL.fullmatch(properties["principalId"])
        assert found
        group = item["id"].split("/providers/")[0]
        named = self.existing(resolved({"id": f"[{found[1]}]"}, group, {})["id"])
        properties["principalId"] = named["properties"]["principalId"]
        self.existing(properties["scope"])
        if old and old["properties"]["principalId"] != properties["principalId"]:
            message = (
                "Tenant ID, application ID, principal ID, and scope are not allowed to be updated."
            )
            raise refused(400, "RoleAssignmentUpdateNotPermitted", message)

    def start(self, path: str, item: Item, old: Item | None) -> None:
        """Start a machine with its disk."""
        properties = item["properties"]
        disk = properties["storageProfile"]["osDisk"]
        if properties["hardwareProfile"]["vmSize"] not in SIZES:
            raise refused(400, "InvalidParameter", "The requested VM size is not available.")
        if old and old["properties"]["storageProfile"]["osDisk"]["name"] != disk["name"]:
            raise refused(409, "PropertyChangeNotAllowed", "Changing 'osDisk.name' is not allowed.")
        group, name = path.split("/providers/")[0], item["name"]
        where = f"{group}/providers/Microsoft.Compute/disks/{disk['name']}"
        if where in self.items and not old:
            raise refused(409, "ConflictingUserInput", f"Disk {disk['name']} already exists.")
        disk["managedDisk"]["id"] = where
        disk |= {"osType": "Linux", "caching": "ReadWrite"}
        properties["storageProfile"] |= {"dataDisks": []}
        properties["vmId"] = f"{self.number:032d}"
        told = properties["osProfile"].pop("customData")
        self.told[name] = base64.b64decode(told).decode()
        item["power"] = "running"
        self.items[where] = {
            "id": where,
            "name": disk["name"],
            "type": "Microsoft.Compute/disks",
            "location": item["location"],
            "zones": item["zones"],
            "sku": {"name": disk["managedDisk"]["storageAccountType"]},
            "managedBy": path,
            "properties": {
                "osType": "Linux",
                "diskSizeGB": disk["diskSizeGB"],
                "creationData": {"createOption": "FromImage"},
                "encryption": {"type": "EncryptionAtRestWithPlatformKey"},
                "provisioningState": "Succeeded",
            },
        }

    def delete(self, item: Item) -> None:
        """Remove something as long as nothing needs it, and what goes with it."""
        kind = item["type"].rsplit("/", 1)[-1]
        for other in self.items.values():
            said = json.dumps(other.get("properties"))
            refers = f'"{item["id"]}"' in said or f'"{item["id"]}/backendAddressPools/' in said
            if other is not item and refers:
                raise refused(400, "InUse", f"{item['name']} is in use by {other['name']}.")
        del self.items[item["id"]]
        properties = item["properties"]
        going: list[str] = []
        if kind == "virtualMachines":
            for card in properties["networkProfile"]["networkInterfaces"]:
                if card["properties"]["deleteOption"] == "Delete":
                    going.append(card["id"])
            disk = properties["storageProfile"]["osDisk"]
            if disk["deleteOption"] == "Delete":
                going.append(disk["managedDisk"]["id"])
            else:
                self.items[disk["managedDisk"]["id"]].pop("managedBy")
        elif kind == "networkInterfaces":
            for configuration in properties["ipConfigurations"]:
                public = configuration["properties"]["publicIPAddress"]
                self.items[public["id"]]["properties"].pop("ipConfiguration")
                if public["properties"]["deleteOption"] == "Delete":
                    going.append(public["id"])
        for path in going:
            self.delete(self.items[path])


def identity(group: str, item: Item) -> str:
    """Return the id of something that a template has."""
    if "scope" in item:
        within = f"{group}/providers/{item['scope']}"
        return f"{within}/providers/{item['type']}/{item['name']}"
    space, *kinds = item["type"].split("/")
    pairs = zip(kinds, item["name"].split("/"), strict=True)
    return f"{group}/providers/{space}/" + "/".join(f"{a}/{b}" for a, b in pairs)


def unique(group: str) -> str:
    """Return 13 letters and digits that are a resource group's own, as uniqueString does."""
    return hashlib.sha256(group.encode()).hexdigest()[:13]


def resolved(value: object, group: str, secrets: dict[str, str]) -> Item:
    """Return a template's resource with its expressions' values."""

    def within(part: object) -> object:
        if isinstance(part, dict):
            # Names may be expressions, too.
            return {str(within(key)): within(item) for key, item in part.items()}
        if isinstance(part, list):
            return [within(item) for item in part]
        if isinstance(part, str) and (found := UNIQUE.fullmatch(part)):
            return f"{found[1]}{unique(group)}{found[2] or ''}"
        if isinstance(part, str) and (found := REFERENCE.fullmatch(part)):
            named = re.sub(
                r"concat\('([^']+)', uniqueString\(resourceGroup\(\)\.id\)\)",
                rf"'\g<1>{unique(group)}'",
                found[1],
            )
            kind, *names = re.findall("'([^']+)'", named)
            space, *kinds = kind.split("/")
            pairs = zip(kinds, names, strict=True)
            return f"{group}/providers/{space}/" + "/".join(f"{a}/{b}" for a, b in pairs)
        if isinstance(part, str) and (found := WITHIN_SUBSCRIPTION.fullmatch(part)):
            kind, name = re.findall("'([^']+)'", found[1])
            return f"{HOME}/providers/{kind}/{name}"
        if isinstance(part, str) and (found := PARAMETER.fullmatch(part)):
            return secrets[found[1]]
        return part

    item = within(value)
    assert isinstance(item, dict)
    return item


def operation(path: str, item: Item, fault: Fault) -> Item:
    """Return an operation of a deployment that failed: "Deployment Operations"."""
    return {
        "id": f"{path}/operations/1",
        "operationId": "1",
        "properties": {
            "provisioningOperation": "Create",
            "provisioningState": "Failed",
            "statusCode": "Conflict",
            "statusMessage": {
                "status": "Failed",
                "error": {"code": fault.reason, "message": fault.message},
            },
            "targetResource": {
                "id": path,
                "resourceType": item["type"],
                "resourceName": item["name"],
            },
        },
    }


def view(machine: Item) -> Item:
    """Return a machine's instance view."""
    state = machine["properties"]["provisioningState"].lower()
    codes = [f"ProvisioningState/{state}", f"PowerState/{machine['power']}"]
    return {
        "computerName": machine["name"],
        "osName": "debian",
        "osVersion": "13",
        "hyperVGeneration": "V2",
        "statuses": [{"code": code, "displayStatus": code, "level": "Info"} for code in codes],
    }

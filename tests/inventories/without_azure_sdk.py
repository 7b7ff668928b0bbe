"""Ansible with Azure's inventory plugin and without Azure's SDK: `without_azure_sdk.py TOOL …`.

The SDK weighs 1.3 GB. This stands in for it where the plugin hands over to it: credentials, the HTTP
pipeline, and the one object that it asks for an instance view. All else is the plugin's own code, from the
list of machines to the inventory. The answers come from the JSON file that FLEET names, in the shape of
Azure Resource Manager's.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible.plugins.loader import inventory_loader

PLUGIN = "azure.azcollection.azure_rm"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/beanft-contract"
ENDPOINT = "https://management.azure.com"


def resources() -> dict[str, Any]:
    """Return what Azure Resource Manager answers, by path."""
    found: dict[str, Any] = {}
    machines = []
    for machine in json.loads(Path(os.environ["FLEET"]).read_text(encoding="utf-8")):
        name = machine["name"]
        vm = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/{name}"
        nic = f"{GROUP}/providers/Microsoft.Network/networkInterfaces/{name}"
        address = f"{GROUP}/providers/Microsoft.Network/publicIPAddresses/{name}"
        machines.append(
            {
                "id": vm,
                "name": name,
                "type": "Microsoft.Compute/virtualMachines",
                "location": "germanywestcentral",
                # Azure leaves out what is empty.
                **({"tags": machine["tags"]} if machine["tags"] else {}),
                "properties": {
                    "vmId": f"{abs(hash(name)):032x}",
                    "provisioningState": "Succeeded",
                    "hardwareProfile": {"vmSize": "Standard_B2s"},
                    "osProfile": {"computerName": name, "linuxConfiguration": {}},
                    "networkProfile": {"networkInterfaces": [{"id": nic}]},
                },
            }
        )
        state = "running" if machine["running"] else "deallocated"
        found[f"{vm}/instanceView"] = {
            "statuses": [
                {"code": "ProvisioningState/succeeded"},
                {"code": f"PowerState/{state}"},
            ]
        }
        configuration: dict[str, Any] = {"primary": True, "privateIPAddress": machine["private"]}
        if machine["public"]:
            configuration["publicIPAddress"] = {"id": address}
            found[address] = {
                "id": address,
                "name": name,
                "properties": {"ipAddress": machine["public"]},
            }
        found[nic] = {
            "id": nic,
            "name": name,
            "properties": {"ipConfigurations": [{"properties": configuration}]},
        }
    listing = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Compute/virtualMachines"
    found[listing] = {"value": machines}
    return found


class Pipeline:
    """What the plugin uses of the SDK's PipelineClient."""

    def get(self, url: str, *_: Any) -> SimpleNamespace:
        """Return a request."""
        return SimpleNamespace(url=url)

    def post(self, url: str, _query: Any, _headers: Any, content: Any) -> SimpleNamespace:
        """Return a request."""
        return SimpleNamespace(url=url, content=content)

    def send_request(self, request: SimpleNamespace) -> SimpleNamespace:
        """Answer a batch of requests."""
        if request.url != "/batch":
            raise AssertionError(f"asked for {request.url} outside a batch")
        answers = resources()
        responses = [
            {"name": item["name"], "httpStatusCode": 200, "content": answers[item["url"]]}
            for item in request.content["requests"]
        ]
        body = json.dumps({"responses": responses})
        return SimpleNamespace(status_code=200, body=lambda: body)


def without_sdk(plugin: Any) -> Any:
    """Hand the plugin what it would get from the SDK."""
    cloud = SimpleNamespace(endpoints=SimpleNamespace(resource_manager=ENDPOINT))
    view = SimpleNamespace(
        computer_name=None, os_name=None, os_version=None, hyper_v_generation="V2"
    )

    def credentials() -> None:
        plugin.azure_auth = SimpleNamespace(
            _cloud_environment=cloud, subscription_id=SUBSCRIPTION, azure_credential_track2=None
        )
        plugin._clientconfig = SimpleNamespace(subscription_id=SUBSCRIPTION)
        plugin.new_client = Pipeline()

    def parse_resource_id(resource: str) -> dict[str, str]:
        return {"resource_group": resource.split("/")[4], "resource_name": resource.split("/")[-1]}

    def compute(**_: Any) -> SimpleNamespace:
        machines = SimpleNamespace(instance_view=lambda _group, _name: view)
        return SimpleNamespace(virtual_machines=machines)

    plugin._credential_setup = credentials
    module: Any = sys.modules[type(plugin).__module__]
    module.parse_resource_id = parse_resource_id
    module.ComputeManagementClient = compute
    return plugin


def main() -> None:
    """Run one of Ansible's tools."""
    as_loaded = inventory_loader.get

    def get(name: str, *arguments: Any, **options: Any) -> Any:
        plugin = as_loaded(name, *arguments, **options)
        return without_sdk(plugin) if name == PLUGIN and plugin else plugin

    inventory_loader.get = get
    tool = sys.argv[1]
    sys.argv = [f"ansible-{tool}", *sys.argv[2:]]
    if tool == "inventory":
        from ansible.cli.inventory import main as run
    else:
        from ansible.cli.playbook import main as run
    sys.exit(run())


if __name__ == "__main__":
    main()

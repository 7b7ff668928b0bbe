"""Filter that makes a template for Azure Resource Manager of an environment's machines.

What is in it follows the references of templates: "Microsoft.Network networkSecurityGroups", "virtualNetworks",
"publicIPAddresses", "networkInterfaces" and "Microsoft.Compute virtualMachines".
"""

from __future__ import annotations

from typing import Any

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
NETWORK, COMPUTE = "2024-05-01", "2024-07-01"
ANYONE = "*"
Item = dict[str, Any]


def identity(kind: str, *names: str) -> str:
    """Return the expression for the id of something in the same resource group."""
    return "[resourceId({})]".format(", ".join(f"'{part}'" for part in (kind, *names)))


def rule(name: str, priority: int, sources: list[str], protocol: str, ports: list[int]) -> Item:
    """Return a rule of a firewall, that lets in or, without a port, keeps out."""
    return {
        "name": name,
        "properties": {
            "priority": priority,
            "direction": "Inbound",
            "access": "Allow" if ports else "Deny",
            "protocol": protocol,
            "sourcePortRange": ANYONE,
            "destinationAddressPrefix": ANYONE,
            **(
                {"sourceAddressPrefixes": sources}
                if len(sources) > 1
                else {"sourceAddressPrefix": sources[0]}
            ),
            **(
                {"destinationPortRanges": [str(port) for port in ports]}
                if ports
                else {"destinationPortRange": ANYONE}
            ),
        },
    }


def firewalls(settings: Item) -> dict[str, list[Item]]:
    """Return the rules for machines of the entry and for all others."""
    rules = [
        rule("ssh", 100, settings["ssh_from"], "Tcp", [22]),
        rule("inside-tcp", 110, [settings["network"]], "Tcp", settings["inside_tcp"]),
        rule("inside-udp", 120, [settings["network"]], "Udp", settings["inside_udp"]),
        # Azure's own rule, which comes after this, lets all machines of a network reach each other.
        rule("others", 4000, ["VirtualNetwork"], ANYONE, []),
    ]
    entry = rule("entry", 130, [ANYONE], "Tcp", settings["outside"])
    return {"machines": rules, "edge": [*rules[:3], entry, rules[3]]}


def network(settings: Item) -> list[Item]:
    """Return the network and its firewalls."""
    prefix = settings["prefix"]
    return [
        *(
            {
                "type": "Microsoft.Network/networkSecurityGroups",
                "name": f"{prefix}-{name}",
                "properties": {"securityRules": rules},
            }
            for name, rules in firewalls(settings).items()
        ),
        {
            "type": "Microsoft.Network/virtualNetworks",
            "name": prefix,
            "properties": {
                "addressSpace": {"addressPrefixes": [settings["network"]]},
                "subnets": [
                    {"name": "machines", "properties": {"addressPrefix": settings["network"]}}
                ],
            },
        },
    ]


def address(name: str) -> Item:
    """Return a public address."""
    return {
        "type": "Microsoft.Network/publicIPAddresses",
        "name": name,
        "sku": {"name": "Standard"},
        "properties": {"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4"},
    }


def interface(machine: Item, settings: Item) -> Item:
    """Return a machine's network interface, which goes with its machine."""
    prefix, name = settings["prefix"], machine["name"]
    edge = "edge" in machine["groups"]
    wall = identity(
        "Microsoft.Network/networkSecurityGroups", f"{prefix}-{'edge' if edge else 'machines'}"
    )
    public = identity("Microsoft.Network/publicIPAddresses", name)
    return {
        "type": "Microsoft.Network/networkInterfaces",
        "name": name,
        "dependsOn": [public, wall, identity("Microsoft.Network/virtualNetworks", prefix)],
        "properties": {
            "networkSecurityGroup": {"id": wall},
            "ipConfigurations": [
                {
                    "name": "machine",
                    "properties": {
                        "privateIPAllocationMethod": "Dynamic",
                        "subnet": {
                            "id": identity(
                                "Microsoft.Network/virtualNetworks/subnets", prefix, "machines"
                            )
                        },
                        "publicIPAddress": {
                            "id": public,
                            # The entry's stays, for the machine that replaces this one.
                            "properties": {"deleteOption": "Detach" if edge else "Delete"},
                        },
                    },
                }
            ],
        },
    }


def virtual_machine(machine: Item, settings: Item) -> Item:
    """Return a machine and its disk."""
    name, zones = machine["name"], settings["zones"]
    card = identity("Microsoft.Network/networkInterfaces", name)
    return {
        "type": "Microsoft.Compute/virtualMachines",
        "name": name,
        "zones": [zones[machine["zone"] % len(zones)]],
        "dependsOn": [card],
        "tags": {
            "beanft": "machine",
            "beanft-environment": settings["environment"],
            "beanft-machine": machine["short"],
            "beanft-groups": "_".join(machine["groups"]),
        },
        "properties": {
            "hardwareProfile": {"vmSize": settings["types"][machine["size"]]},
            "storageProfile": {
                "imageReference": settings["image"],
                "osDisk": {
                    # Of a machine that could not start it may not change; and one that was left keeps its name.
                    "name": settings["disks"].get(name) or f"{name}-{settings['now']}",
                    "createOption": "FromImage",
                    "diskSizeGB": machine["disk_gb"],
                    "managedDisk": {"storageAccountType": "StandardSSD_LRS"},
                    "deleteOption": "Detach" if machine["has_data"] else "Delete",
                },
            },
            "osProfile": {
                "computerName": name,
                "adminUsername": "deploy",
                # A host's private key is in it. The deployment's record, which readers of the account see, has no
                # value of a secure parameter.
                "customData": f"[parameters('{machine['short']}')]",
                "linuxConfiguration": {
                    "disablePasswordAuthentication": True,
                    "ssh": {
                        "publicKeys": [
                            {
                                "path": "/home/deploy/.ssh/authorized_keys",
                                "keyData": settings["public_key"],
                            }
                        ]
                    },
                },
            },
            "networkProfile": {
                "networkInterfaces": [
                    {"id": card, "properties": {"primary": True, "deleteOption": "Delete"}}
                ]
            },
        },
    }


def azure_template(machines: list[Item], settings: Item) -> Item:
    """Return a template that has the network and some machines, as the filter C(fleet_machines) makes them.

    Args:
        machines: those to make; what is named so and is there is completed.
        settings: C(prefix), C(environment), C(location), C(zones), C(network), C(ssh_from), C(inside_tcp),
            C(inside_udp), C(outside), C(types), C(image), C(public_key), C(now), and C(disks), by machines' names.
    """
    resources = network(settings)
    for machine in machines:
        resources += [
            address(machine["name"]),
            interface(machine, settings),
            virtual_machine(machine, settings),
        ]
    for item in resources:
        item["apiVersion"] = COMPUTE if "Compute" in item["type"] else NETWORK
        item["location"] = settings["location"]
        item.setdefault("tags", {"beanft": "part", "beanft-environment": settings["environment"]})
    return {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": {machine["short"]: {"type": "securestring"} for machine in machines},
        "resources": resources,
    }


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        """Return the filter by its name."""
        return {"azure_template": azure_template}

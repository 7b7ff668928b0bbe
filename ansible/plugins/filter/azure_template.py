"""Filter that makes a template for Azure Resource Manager of an environment's machines.

What is in it follows the references of templates: "Microsoft.Network networkSecurityGroups", "virtualNetworks",
"publicIPAddresses", "networkInterfaces", "loadBalancers", "Microsoft.Compute virtualMachines",
"Microsoft.ManagedIdentity userAssignedIdentities", "Microsoft.Storage storageAccounts" with its services and
containers, and "Microsoft.Authorization roleAssignments".
"""

from __future__ import annotations

import uuid
from typing import Any

SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
VERSIONS = {
    "Microsoft.Network": "2024-05-01",
    "Microsoft.Compute": "2024-07-01",
    "Microsoft.ManagedIdentity": "2023-01-31",
    "Microsoft.Storage": "2023-05-01",
    "Microsoft.Authorization": "2022-04-01",
    "Microsoft.DBforPostgreSQL": "2024-08-01",
}
# Zones and their links are of an older one than the rest of the network.
ZONE_VERSION = "2024-06-01"
# "Azure built-in roles for Storage": Storage Blob Data Contributor, which may not remove for good what was removed.
BLOB_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
CONTAINER = "backups"
# Azure refuses postgres, admin and the like.
MASTER = "beanft_master"
# A parameter that no machine is called as, since machines have a number.
MASTER_PASSWORD = "database"  # noqa: S105 - its name
SERVER_SETTINGS = {"password_encryption": "scram-sha-256", "ssl_min_protocol_version": "TLSv1.2"}
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
    subnets = [{"name": "machines", "properties": {"addressPrefix": settings["network"]}}]
    ranges = [settings["network"]]
    if settings["database_network"]:
        ranges.append(settings["database_network"])
        kind = "Microsoft.DBforPostgreSQL/flexibleServers"
        subnets.append(
            {
                "name": "database",
                "properties": {
                    "addressPrefix": settings["database_network"],
                    "delegations": [{"name": "database", "properties": {"serviceName": kind}}],
                },
            }
        )
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
                "addressSpace": {"addressPrefixes": ranges},
                "subnets": subnets,
            },
        },
    ]


def balancer(settings: Item) -> list[Item]:
    """Return the load balancer before the machines of the entry, with its address."""
    kind, name = "Microsoft.Network/loadBalancers", f"{settings['prefix']}-balancer"
    public = address(name) | {"zones": settings["zones"]}
    whose = identity("Microsoft.Network/publicIPAddresses", name)
    rule = {
        "frontendIPConfiguration": {
            "id": identity(f"{kind}/frontendIPConfigurations", name, "visitors")
        },
        "backendAddressPool": {"id": entry_pool(settings)},
        "probe": {"id": identity(f"{kind}/probes", name, "ready")},
        "protocol": "Tcp",
        "enableTcpReset": True,
        # Machines have addresses of their own to go out by.
        "disableOutboundSnat": True,
    }
    return [
        public,
        {
            "type": kind,
            "name": name,
            "sku": {"name": "Standard"},
            "dependsOn": [whose],
            "properties": {
                "frontendIPConfigurations": [
                    {"name": "visitors", "properties": {"publicIPAddress": {"id": whose}}}
                ],
                "backendAddressPools": [{"name": "entry"}],
                "probes": [
                    {
                        "name": "ready",
                        "properties": {
                            "protocol": "Http",
                            "port": 80,
                            "requestPath": "/readyz",
                            "intervalInSeconds": 10,
                            "numberOfProbes": 2,
                            "probeThreshold": 2,
                        },
                    }
                ],
                "loadBalancingRules": [
                    {
                        "name": f"port-{port}",
                        "properties": {**rule, "frontendPort": port, "backendPort": port},
                    }
                    for port in settings["outside"]
                ],
            },
        },
    ]


def entry_pool(settings: Item) -> str:
    """Return the expression for the id of the machines to which the load balancer leads."""
    kind = "Microsoft.Network/loadBalancers/backendAddressPools"
    return identity(kind, f"{settings['prefix']}-balancer", "entry")


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
    balanced = edge and settings["balancer"]
    needed = [public, wall, identity("Microsoft.Network/virtualNetworks", prefix)]
    if balanced:
        needed.append(identity("Microsoft.Network/loadBalancers", f"{prefix}-balancer"))
    return {
        "type": "Microsoft.Network/networkInterfaces",
        "name": name,
        "dependsOn": needed,
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
                        "loadBalancerBackendAddressPools": (
                            [{"id": entry_pool(settings)}] if balanced else []
                        ),
                    },
                }
            ],
        },
    }


def virtual_machine(machine: Item, settings: Item) -> Item:
    """Return a machine and its disk."""
    name, zones = machine["name"], settings["zones"]
    card = identity("Microsoft.Network/networkInterfaces", name)
    identified = settings["store"] and machine["has_data"]
    return {
        "type": "Microsoft.Compute/virtualMachines",
        "name": name,
        "zones": [zones[machine["zone"] % len(zones)]],
        "dependsOn": [card, *([data_identity(settings)] if identified else [])],
        **(
            {
                "identity": {
                    "type": "UserAssigned",
                    "userAssignedIdentities": {data_identity(settings): {}},
                }
            }
            if identified
            else {}
        ),
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


def data_identity(settings: Item) -> str:
    """Return the expression for the id of the identity of machines with data."""
    return identity(
        "Microsoft.ManagedIdentity/userAssignedIdentities", f"{settings['prefix']}-data"
    )


def store(settings: Item) -> list[Item]:
    """Return the storage account for backups, and the identity that may use it."""
    name, kind = settings["store"], "Microsoft.Storage/storageAccounts"
    kept = {"enabled": True, "days": settings["store_days"]}
    place = f"{kind}/{name}/blobServices/default/containers/{CONTAINER}"
    return [
        {
            "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
            "name": f"{settings['prefix']}-data",
        },
        {
            "type": kind,
            "name": name,
            "kind": "StorageV2",
            "sku": {"name": "Standard_ZRS"},
            "properties": {
                "minimumTlsVersion": "TLS1_2",
                "supportsHttpsTrafficOnly": True,
                "allowBlobPublicAccess": False,
                # By identities alone: there is no key that somebody could lose.
                "allowSharedKeyAccess": False,
                "defaultToOAuthAuthentication": True,
            },
        },
        {
            "type": f"{kind}/blobServices",
            "name": f"{name}/default",
            "dependsOn": [identity(kind, name)],
            "properties": {"deleteRetentionPolicy": kept, "containerDeleteRetentionPolicy": kept},
        },
        {
            "type": f"{kind}/blobServices/containers",
            "name": f"{name}/default/{CONTAINER}",
            "dependsOn": [identity(f"{kind}/blobServices", name, "default")],
            "properties": {"publicAccess": "None"},
        },
        {
            "type": "Microsoft.Authorization/roleAssignments",
            # The same for the same, or Azure would refuse a second one.
            "name": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{settings['prefix']}/{place}")),
            "scope": place,
            "dependsOn": [
                identity(f"{kind}/blobServices/containers", name, "default", CONTAINER),
                data_identity(settings),
            ],
            "properties": {
                "roleDefinitionId": "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', "
                f"'{BLOB_CONTRIBUTOR}')]",
                "principalId": f"[reference({data_identity(settings)[1:-1]}, "
                f"'{VERSIONS['Microsoft.ManagedIdentity']}').principalId]",
                "principalType": "ServicePrincipal",
            },
        },
    ]


def database(settings: Item) -> list[Item]:
    """Return the managed PostgreSQL, which has an address in the network alone, and its name there."""
    prefix, wanted = settings["prefix"], settings["database"]
    kind, zones = "Microsoft.DBforPostgreSQL/flexibleServers", "Microsoft.Network/privateDnsZones"
    zone = f"{prefix}.private.postgres.database.azure.com"
    inside = identity("Microsoft.Network/virtualNetworks", prefix)
    link = identity(f"{zones}/virtualNetworkLinks", zone, prefix)
    # Names of servers are the world's: this one is the resource group's own.
    name = f"[concat('{prefix}-', uniqueString(resourceGroup().id))]"
    server = f"[resourceId('{kind}', {name[1:-1]})]"
    resources: list[Item] = [
        {"type": zones, "name": zone, "location": "global", "apiVersion": ZONE_VERSION},
        {
            "type": f"{zones}/virtualNetworkLinks",
            "name": f"{zone}/{prefix}",
            "location": "global",
            "apiVersion": ZONE_VERSION,
            "dependsOn": [identity(zones, zone), inside],
            "properties": {"registrationEnabled": False, "virtualNetwork": {"id": inside}},
        },
        {
            "type": kind,
            "name": name,
            "sku": {"name": wanted["type"], "tier": wanted["tier"]},
            "dependsOn": [link, inside],
            "properties": {
                "version": settings["database_version"],
                "administratorLogin": MASTER,
                "administratorLoginPassword": f"[parameters('{MASTER_PASSWORD}')]",
                "authConfig": {"activeDirectoryAuth": "Disabled", "passwordAuth": "Enabled"},
                "storage": {"storageSizeGB": wanted["disk_gb"], "autoGrow": "Disabled"},
                "backup": {
                    "backupRetentionDays": settings["database_keep_days"],
                    "geoRedundantBackup": "Disabled",
                },
                "highAvailability": {
                    "mode": "ZoneRedundant" if wanted["zones"] > 1 else "Disabled"
                },
                "network": {
                    "delegatedSubnetResourceId": identity(
                        "Microsoft.Network/virtualNetworks/subnets", prefix, "database"
                    ),
                    "privateDnsZoneArmResourceId": identity(zones, zone),
                },
            },
        },
    ]
    before = server
    for setting, value in SERVER_SETTINGS.items():
        resources.append(
            {
                "type": f"{kind}/configurations",
                "name": f"[concat('{prefix}-', uniqueString(resourceGroup().id), '/{setting}')]",
                # A server takes one at a time.
                "dependsOn": [before],
                "properties": {"value": value, "source": "user-override"},
            }
        )
        before = f"[resourceId('{kind}/configurations', {name[1:-1]}, '{setting}')]"
    return resources


def azure_template(machines: list[Item], settings: Item) -> Item:
    """Return a template that has the network and some machines, as the filter C(fleet_machines) makes them.

    Args:
        machines: those to make; what is named so and is there is completed.
        settings: C(prefix), C(environment), C(location), C(zones), C(network), C(ssh_from), C(inside_tcp),
            C(inside_udp), C(outside), C(types), C(image), C(public_key), C(now), C(disks), by machines' names,
            C(store), a storage account's name or '', and C(store_days); C(database_network), '' where there is no
            managed database, C(database), {} where none is wanted or C(type), C(tier), C(disk_gb) and C(zones),
            C(database_version) and C(database_keep_days); C(balancer), whether there is to be a load balancer, and
            C(edge), the machines of the entry that are there, where there is one to be or to go.
    """
    resources = network(settings)
    resources += balancer(settings) if settings["balancer"] else []
    resources += store(settings) if settings["store"] else []
    resources += database(settings) if settings["database"] else []
    for machine in settings["edge"]:
        resources += [address(machine["name"]), interface(machine, settings)]
    for machine in machines:
        resources += [
            address(machine["name"]),
            interface(machine, settings),
            virtual_machine(machine, settings),
        ]
    for item in resources:
        item.setdefault("apiVersion", VERSIONS[item["type"].partition("/")[0]])
        # What is a part of something else has neither a place nor tags.
        if item["type"].count("/") == 1 and "scope" not in item:
            item.setdefault("location", settings["location"])
            item.setdefault(
                "tags", {"beanft": "part", "beanft-environment": settings["environment"]}
            )
    return {
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": {
            name: {"type": "securestring"}
            for name in [
                *(machine["short"] for machine in machines),
                *([MASTER_PASSWORD] if settings["database"] else []),
            ]
        },
        "resources": resources,
    }


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, object]:
        """Return the filter by its name."""
        return {"azure_template": azure_template}

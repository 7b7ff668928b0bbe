"""What the fake of Compute Engine knows of load balancers and ways to services: what parts have to be, and groups.

Each shape is that of a page below https://cloud.google.com/compute/docs/reference/rest/v1/, which stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.cloud.tunnel import Item

KINDS = {
    "healthChecks": "healthCheck",  # regionHealthChecks
    "instanceGroups": "instanceGroup",  # instanceGroups
    "backendServices": "backendService",  # regionBackendServices
    "forwardingRules": "forwardingRule",  # forwardingRules
}
# Methods patch of regionHealthChecks, regionBackendServices, firewalls. Of forwardingRules it changes labels and the
# like alone, which nobody does here; addresses and instanceGroups have none.
CHANGED = ("healthChecks", "backendServices", "firewalls")
# "An up-to-date fingerprint must be provided in order to update the BackendService, otherwise the request will fail
# with error 412 conditionNotMet": backendServices, field fingerprint.
FINGERPRINTED = ("backendServices",)
# Methods of instanceGroups.
ACTIONS = ("listInstances", "addInstances", "removeInstances")
MOST_PORTS = 5


def wrong(kind: str, item: Item, links: Iterable[str]) -> str:
    """Return why a part can't be, or ''."""
    if kind == "backendServices":
        # regionBackendServices: CONNECTION is the one mode of a passthrough load balancer.
        if any(entry["balancingMode"] != "CONNECTION" for entry in item["backends"]):
            return "Invalid value for field 'resource.backends[0].balancingMode'"
        named = [entry["group"] for entry in item["backends"]] + item["healthChecks"]
    elif kind == "forwardingRules" and "target" in item:
        # forwardingRules, field target: that of Private Service Connect has no scheme and no ports.
        if "loadBalancingScheme" in item or "ports" in item or "network" not in item:
            return "Invalid value for field 'resource.target'"
        named = [item["target"], item["network"]]
    elif kind == "forwardingRules":
        # forwardingRules, field ports: up to five where a backend service of scheme EXTERNAL is named.
        if item["loadBalancingScheme"] != "EXTERNAL" or len(item["ports"]) > MOST_PORTS:
            return "Invalid value for field 'resource.ports'"
        named = [item["backendService"]]
    elif kind == "instanceGroups":
        named = [item["network"]]
    else:
        named = []
    missing = [link for link in named if link not in links]
    return f"The referenced resource '{missing[0]}' was not found" if missing else ""


def listed(members: list[str]) -> Item:
    """Return the machines of a group: instanceGroups.listInstances."""
    found = [{"instance": link, "status": "RUNNING"} for link in members]
    answer: Item = {"kind": "compute#instanceGroupsListInstances"}
    return answer | ({"items": found} if found else {})


def refusal(action: str, links: list[str], members: list[str]) -> tuple[str, str] | None:
    """Return the reason and the words with which a change of a group is refused, if it is.

    instanceGroups.addInstances and removeInstances: a machine is added once, and removed where it is.
    """
    for link in links:
        if action == "addInstances" and link in members:
            return "memberAlreadyExists", f"{link} is already a member of the group"
        if action == "removeInstances" and link not in members:
            return "memberNotFound", f"{link} is no member of the group"
    return None

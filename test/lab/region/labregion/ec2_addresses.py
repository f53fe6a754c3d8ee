# SPDX-License-Identifier: Apache-2.0
"""EC2's actions on Elastic IPs."""

from __future__ import annotations

from . import filters
from .ec2_world import Params, Result, World, action
from .errors import ApiError
from .model import Address, Interface, Region


def _instance_of(region: Region, address: Address) -> str:
    interface = region.interfaces.get(address.interface_id)
    return interface.instance_id if interface is not None else ""


def _address(region: Region, address: Address) -> Result:
    shown: Result = {
        "AllocationId": address.allocation_id, "PublicIp": address.public_ip, "Domain": "vpc",
        "PublicIpv4Pool": "amazon", "NetworkBorderGroup": region.name,
        "Tags": address.facts.get("Tags", [])}
    if address.association_id:
        shown |= {"AssociationId": address.association_id,
                  "NetworkInterfaceId": address.interface_id,
                  "NetworkInterfaceOwnerId": region.account,
                  "PrivateIpAddress": address.private_ip,
                  "InstanceId": _instance_of(region, address) or None}
    return shown


def _known_filters(region: Region) -> dict[str, filters.Values[Address]]:
    return {
        "allocation-id": lambda a: [a.allocation_id],
        "association-id": lambda a: [a.association_id] if a.association_id else [],
        "domain": lambda a: ["vpc"],
        "instance-id": lambda a: [i for i in [_instance_of(region, a)] if i],
        "network-interface-id": lambda a: [a.interface_id] if a.interface_id else [],
        "private-ip-address": lambda a: [a.private_ip] if a.private_ip else [],
        "public-ip": lambda a: [a.public_ip],
    }


def _by_public_ip(region: Region, public_ip: str) -> Address:
    for address in region.addresses.values():
        if address.public_ip == public_ip:
            return address
    raise ApiError("InvalidAddress.NotFound", f"Address '{public_ip}' not found.")


@action("DescribeAddresses")
def describe_addresses(world: World, params: Params) -> Result:
    region = world.region
    found = list(region.addresses.values())
    if params.get("AllocationIds"):
        found = [region.address(a) for a in params["AllocationIds"]]
    if params.get("PublicIps"):
        by_ip = [_by_public_ip(region, ip) for ip in params["PublicIps"]]
        found = [a for a in found if a in by_ip]
    found = filters.apply(found, params.get("Filters"), _known_filters(region),
                          lambda a: filters.tags_of(a.facts))
    return {"Addresses": [_address(region, a) for a in found]}


@action("AllocateAddress")
def allocate_address(world: World, params: Params) -> Result:
    made = world.pass_on("AllocateAddress")
    world.mirror.sync()
    address = world.region.addresses[made["AllocationId"]]
    return {"PublicIp": address.public_ip, "AllocationId": address.allocation_id,
            "Domain": "vpc", "PublicIpv4Pool": "amazon", "NetworkBorderGroup": world.region.name}


@action("ReleaseAddress")
def release_address(world: World, params: Params) -> Result:
    if "AllocationId" not in params:
        raise ApiError("MissingParameter", "You must specify an allocation id when releasing a "
                                           "VPC elastic IP address")
    address = world.region.address(params["AllocationId"])
    if address.association_id:
        raise ApiError("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")
    world.pass_on("ReleaseAddress")
    world.mirror.sync()
    return {}


def _target(world: World, params: Params) -> Interface:
    region = world.region
    if "NetworkInterfaceId" in params:
        if "InstanceId" in params:
            raise ApiError("InvalidParameterCombination",
                           "You may specify either InstanceId or NetworkInterfaceId, not both")
        interface = region.interface(params["NetworkInterfaceId"])
        instance_id = interface.instance_id
    elif "InstanceId" in params:
        instance_id = region.instance(params["InstanceId"]).id
        interfaces = region.interfaces_of(instance_id)
        if len(interfaces) > 1:
            raise ApiError("InvalidInstanceID",
                           f"There are multiple interfaces attached to instance '{instance_id}'. "
                           "Please specify an interface ID for the operation instead.")
        interface = interfaces[0] if interfaces else Interface("", {}, "", "", "", "")
    else:
        raise ApiError("MissingParameter", "Either instance ID or network interface id must be "
                                           "specified")
    if instance_id:
        state = region.instance(instance_id).state
        if state not in ("running", "stopped", "stopping"):
            raise ApiError("InvalidInstanceID",
                           f"The {state} instance '{instance_id}' is not in a valid state for "
                           "this operation.")
    return interface


@action("AssociateAddress")
def associate_address(world: World, params: Params) -> Result:
    region = world.region
    if "AllocationId" in params:
        address = region.address(params["AllocationId"])
    elif "PublicIp" in params:
        address = _by_public_ip(region, params["PublicIp"])
    else:
        raise ApiError("MissingParameter", "Either public IP or allocation id must be specified")
    interface = _target(world, params)
    private_ip = params.get("PrivateIpAddress", interface.primary)
    if private_ip not in interface.addresses:
        raise ApiError("InvalidParameterValue",
                       f"The address '{private_ip}' is not assigned to '{interface.id}'")
    if (address.interface_id, address.private_ip) != (interface.id, private_ip):
        # Newer accounts reassociate unasked; the lab keeps to the stricter, older rule.
        allowed = params.get("AllowReassociation", False)
        if address.association_id and not allowed:
            raise ApiError("Resource.AlreadyAssociated",
                           f"resource {address.allocation_id} is already associated with "
                           f"associate-id {address.association_id}")
        other = region.address_on(interface.id, private_ip)
        if other is not None:
            if not allowed:
                raise ApiError("Resource.AlreadyAssociated",
                               f"resource {interface.id} is already associated with "
                               f"associate-id {other.association_id}")
            world.lifecycle.disassociate(other)
        world.lifecycle.associate(address, interface, private_ip)
    return {"AssociationId": address.association_id}


@action("DisassociateAddress")
def disassociate_address(world: World, params: Params) -> Result:
    region = world.region
    if "AssociationId" in params:
        for address in region.addresses.values():
            if address.association_id == params["AssociationId"]:
                world.lifecycle.disassociate(address)
                return {}
        raise ApiError("InvalidAssociationID.NotFound",
                       f"The association ID '{params['AssociationId']}' does not exist")
    if "PublicIp" in params:
        address = _by_public_ip(region, params["PublicIp"])
        if not address.association_id:
            raise ApiError("InvalidAssociationID.NotFound",
                           f"Address '{address.public_ip}' is not associated")
        world.lifecycle.disassociate(address)
        return {}
    raise ApiError("MissingParameter", "Either public IP or association id must be specified")

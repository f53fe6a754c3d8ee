# SPDX-License-Identifier: Apache-2.0
"""EC2's actions on network interfaces and their private addresses."""

from __future__ import annotations

from . import filters
from .ec2_world import Params, Result, World, action
from .errors import ApiError
from .model import Interface, Region
from .names import private_name, public_name

SECONDARIES_MAX = 14


def _interface(region: Region, interface: Interface) -> Result:
    addresses = []
    for private_ip in interface.addresses:
        item: Result = {"PrivateIpAddress": private_ip, "Primary": private_ip == interface.primary,
                        "PrivateDnsName": private_name(region, interface, private_ip)}
        elastic = region.address_on(interface.id, private_ip)
        if elastic is not None:
            item["Association"] = {
                "AllocationId": elastic.allocation_id, "AssociationId": elastic.association_id,
                "IpOwnerId": region.account, "PublicIp": elastic.public_ip,
                "PublicDnsName": public_name(elastic.public_ip)}
        addresses.append(item)
    shown: Result = {
        "NetworkInterfaceId": interface.id, "SubnetId": interface.subnet_id,
        "VpcId": interface.vpc_id, "AvailabilityZone": interface.zone, "OwnerId": region.account,
        "MacAddress": interface.mac, "InterfaceType": interface.kind, "RequesterManaged": False,
        "Description": interface.facts.get("Description", ""),
        "Groups": interface.facts.get("Groups", []), "TagSet": interface.facts.get("TagSet", []),
        "PrivateIpAddress": interface.primary or None,
        "PrivateDnsName": private_name(region, interface), "PrivateIpAddresses": addresses,
        "Association": addresses[0].get("Association") if addresses else None,
        "SourceDestCheck": interface.source_dest_check if addresses else None,
        "Status": "in-use" if interface.instance_id else "available"}
    if interface.instance_id:
        shown["Attachment"] = {
            "AttachmentId": interface.attachment_id, "InstanceId": interface.instance_id,
            "InstanceOwnerId": region.account, "DeviceIndex": interface.device_index,
            "NetworkCardIndex": interface.card, "Status": "attached",
            "AttachTime": interface.attached_at,
            "DeleteOnTermination": interface.delete_on_termination}
    return shown


def _public_ips(region: Region, interface: Interface) -> list[str]:
    return [a.public_ip for a in region.addresses.values() if a.interface_id == interface.id]


def _known_filters(region: Region) -> dict[str, filters.Values[Interface]]:
    return {
        "network-interface-id": lambda i: [i.id],
        "addresses.private-ip-address": lambda i: i.addresses,
        "addresses.primary": lambda i: [True, False] if i.secondaries else [True],
        "addresses.association.public-ip": lambda i: _public_ips(region, i),
        "association.public-ip": lambda i: _public_ips(region, i),
        "private-ip-address": lambda i: [i.primary],
        "private-dns-name": lambda i: [private_name(region, i) or ""],
        "attachment.instance-id": lambda i: [i.instance_id] if i.instance_id else [],
        "attachment.attachment-id": lambda i: [i.attachment_id] if i.attachment_id else [],
        "attachment.device-index": lambda i: [i.device_index] if i.instance_id else [],
        "attachment.status": lambda i: ["attached" if i.instance_id else "detached"],
        "availability-zone": lambda i: [i.zone],
        "group-id": lambda i: [g["GroupId"] for g in i.facts.get("Groups", [])],
        "mac-address": lambda i: [i.mac],
        "source-dest-check": lambda i: [i.source_dest_check],
        "status": lambda i: ["in-use" if i.instance_id else "available"],
        "subnet-id": lambda i: [i.subnet_id],
        "vpc-id": lambda i: [i.vpc_id],
    }


@action("DescribeNetworkInterfaces")
def describe_network_interfaces(world: World, params: Params) -> Result:
    region = world.region
    wanted = params.get("NetworkInterfaceIds")
    found = [region.interface(i) for i in wanted] if wanted else list(region.interfaces.values())
    found = filters.apply(found, params.get("Filters"), _known_filters(region),
                          lambda i: filters.tags_of(i.facts))
    found, token = filters.page(found, params, "NetworkInterfaceIds")
    return {"NetworkInterfaces": [_interface(region, i) for i in found], "NextToken": token}


@action("ModifyNetworkInterfaceAttribute")
def modify_network_interface_attribute(world: World, params: Params) -> Result:
    interface = world.region.interface(params["NetworkInterfaceId"])
    if "SourceDestCheck" in params:
        if not interface.addresses:
            raise ApiError("InvalidParameterCombination",
                           f"{interface.id} has no source/destination check: it is {interface.kind}")
        if "Value" not in params["SourceDestCheck"]:
            raise ApiError("MissingParameter",
                           "The request must contain the parameter SourceDestCheck.Value")
        interface.source_dest_check = params["SourceDestCheck"]["Value"]
    else:
        world.pass_on("ModifyNetworkInterfaceAttribute")
        world.mirror.sync()
    return {}


@action("DescribeNetworkInterfaceAttribute")
def describe_network_interface_attribute(world: World, params: Params) -> Result:
    interface = world.region.interface(params["NetworkInterfaceId"])
    if params.get("Attribute") != "sourceDestCheck":
        return world.pass_on("DescribeNetworkInterfaceAttribute")
    return {"NetworkInterfaceId": interface.id,
            "SourceDestCheck": {"Value": interface.source_dest_check}}


@action("AssignPrivateIpAddresses")
def assign_private_ip_addresses(world: World, params: Params) -> Result:
    region = world.region
    interface = region.interface(params["NetworkInterfaceId"])
    asked = params.get("PrivateIpAddresses") or []
    count = params.get("SecondaryPrivateIpAddressCount")
    if bool(asked) == (count is not None):
        raise ApiError("InvalidParameterCombination",
                       "Exactly one of PrivateIpAddress and SecondaryPrivateIpAddressCount")
    if len(set(interface.secondaries) | set(asked)) + (count or 0) > SECONDARIES_MAX:
        raise ApiError("PrivateIpAddressLimitExceeded",
                       f"Number of private addresses will exceed limit for {interface.id}.")
    moved = []
    for private_ip in asked:
        region.check_address(interface.subnet_id, private_ip)
        holder = region.holder_of(interface.subnet_id, private_ip)
        if holder is None:
            continue
        if private_ip == holder.primary:
            raise ApiError("InvalidParameterValue",
                           f"[{private_ip}] is the primary address of {holder.id} and cannot be "
                           "reassigned")
        if holder is not interface:
            if not params.get("AllowReassignment", False):
                raise ApiError("InvalidParameterValue",
                               f"[{private_ip}] is already assigned to {holder.id}, but "
                               "reassignment is not allowed")
            moved.append((holder, private_ip))
    for holder, private_ip in moved:
        _move(world, holder, interface, private_ip)
    for private_ip in asked:
        if private_ip not in interface.secondaries:
            interface.secondaries.append(private_ip)
    for _ in range(count or 0):
        asked.append(region.free_address(interface.subnet_id))
        interface.secondaries.append(asked[-1])
    return {"NetworkInterfaceId": interface.id, "AssignedPrivateIpAddresses": [
        {"PrivateIpAddress": a} for a in asked]}


def _move(world: World, holder: Interface, interface: Interface, private_ip: str) -> None:
    holder.secondaries.remove(private_ip)
    elastic = world.region.address_on(holder.id, private_ip)
    if elastic is not None:
        elastic.interface_id = interface.id  # it follows the address that it is mapped to


@action("UnassignPrivateIpAddresses")
def unassign_private_ip_addresses(world: World, params: Params) -> Result:
    interface = world.region.interface(params["NetworkInterfaceId"])
    asked = params.get("PrivateIpAddresses") or []
    if not asked:
        raise ApiError("MissingParameter",
                       "The request must contain the parameter PrivateIpAddress")
    for private_ip in asked:
        if private_ip == interface.primary:
            raise ApiError("InvalidParameterValue",
                           f"[{private_ip}] is the primary address of {interface.id} and cannot "
                           "be unassigned")
        if private_ip not in interface.secondaries:
            raise ApiError("InvalidParameterValue",
                           f"Some of [{private_ip}] are not assigned to interface {interface.id}")
    for private_ip in asked:
        elastic = world.region.address_on(interface.id, private_ip)
        if elastic is not None:
            world.lifecycle.disassociate(elastic)
        interface.secondaries.remove(private_ip)
    return {}


@action("CreateNetworkInterface")
def create_network_interface(world: World, params: Params) -> Result:
    region = world.region
    address = params.get("PrivateIpAddress", "")
    if address and params["SubnetId"] in region.subnets:
        region.check_address(params["SubnetId"], address)
        if region.taken(address):
            raise ApiError("InvalidIPAddress.InUse", f"Address {address} is in use.")
        world.mirror.wanted_addresses[params["SubnetId"]] = address
    made = world.pass_on("CreateNetworkInterface")
    world.mirror.sync()
    interface = region.interfaces[made["NetworkInterface"]["NetworkInterfaceId"]]
    interface.kind = params.get("InterfaceType", interface.kind)
    if interface.kind == "efa-only":
        interface.primary = ""
    return {"NetworkInterface": _interface(region, interface)}


@action("AttachNetworkInterface")
def attach_network_interface(world: World, params: Params) -> Result:
    region = world.region
    interface = region.interface(params["NetworkInterfaceId"])
    instance = region.instance(params["InstanceId"])
    if interface.instance_id:
        raise ApiError("InvalidNetworkInterface.InUse",
                       f"Interface: [{interface.id}] in use.")
    if interface.zone != instance.zone:
        raise ApiError("InvalidParameterCombination",
                       "You may not attach a network interface to an instance if they are not in "
                       "the same availability zone")
    if instance.state not in ("running", "stopped"):
        raise ApiError("IncorrectState", f"Instance '{instance.id}' is not 'running' or 'stopped'.")
    index, card = params["DeviceIndex"], params.get("NetworkCardIndex", 0)
    if any((i.device_index, i.card) == (index, card) for i in region.interfaces_of(instance.id)):
        raise ApiError("InvalidParameterValue",
                       f"Instance '{instance.id}' already has an interface attached at device "
                       f"index '{index}'.")
    world.lifecycle.attach_interface(interface, instance, index, card)
    return {"AttachmentId": interface.attachment_id, "NetworkCardIndex": card}


@action("DetachNetworkInterface")
def detach_network_interface(world: World, params: Params) -> Result:
    for interface in world.region.interfaces.values():
        if interface.attachment_id == params["AttachmentId"]:
            if (interface.device_index, interface.card) == (0, 0):
                raise ApiError("OperationNotPermitted",
                               "The network interface at device index 0 cannot be detached.")
            world.lifecycle.detach_interface(interface)
            return {}
    raise ApiError("InvalidAttachmentID.NotFound",
                   f"The attachment ID '{params['AttachmentId']}' does not exist")


@action("DeleteNetworkInterface")
def delete_network_interface(world: World, params: Params) -> Result:
    interface = world.region.interface(params["NetworkInterfaceId"])
    if interface.instance_id:
        raise ApiError("InvalidNetworkInterface.InUse", f"Network interface '{interface.id}' is "
                                                        "currently in use.")
    world.pass_on("DeleteNetworkInterface")
    world.mirror.sync()
    return {}

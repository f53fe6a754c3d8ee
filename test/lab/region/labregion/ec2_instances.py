# SPDX-License-Identifier: Apache-2.0
"""EC2's actions on instances."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from . import filters, tags
from .ec2_world import Params, Result, World, action
from .errors import ApiError
from .model import STATE_CODES, Instance, Interface, Region
from .names import dhcp_name, private_name, public_name


def _state(name: str) -> Result:
    return {"Code": STATE_CODES[name], "Name": name}


def _interface(region: Region, instance: Instance) -> list[Result]:
    shown = []
    for interface in region.interfaces_of(instance.id):
        addresses = []
        for private_ip in interface.addresses:
            item: Result = {"Primary": private_ip == interface.primary,
                            "PrivateIpAddress": private_ip,
                            "PrivateDnsName": private_name(region, interface, private_ip)}
            elastic = region.address_on(interface.id, private_ip)
            if elastic is not None:
                item["Association"] = {"IpOwnerId": region.account,
                                       "PublicDnsName": public_name(elastic.public_ip),
                                       "PublicIp": elastic.public_ip}
            addresses.append(item)
        shown.append({
            "NetworkInterfaceId": interface.id, "SubnetId": interface.subnet_id,
            "VpcId": interface.vpc_id, "OwnerId": region.account, "Status": "in-use",
            "MacAddress": interface.mac, "InterfaceType": interface.kind,
            "PrivateIpAddress": interface.primary or None,
            "PrivateDnsName": private_name(region, interface),
            "SourceDestCheck": interface.source_dest_check if addresses else None,
            "Groups": interface.facts.get("Groups", []),
            "Association": addresses[0].get("Association") if addresses else None,
            "PrivateIpAddresses": addresses,
            "Attachment": {"AttachmentId": interface.attachment_id, "Status": "attached",
                           "DeviceIndex": interface.device_index,
                           "NetworkCardIndex": interface.card,
                           "AttachTime": interface.attached_at,
                           "DeleteOnTermination": interface.delete_on_termination},
        })
    return shown


def describe(region: Region, instance: Instance) -> Result:
    """instance as DescribeInstances shows it: moto's facts under what the front knows better."""
    interfaces = _interface(region, instance)
    shown = dict(instance.facts)
    for name in ("PrivateIpAddress", "PrivateDnsName", "PublicIpAddress", "PublicDnsName",
                 "StateReason", "StateTransitionReason", "SubnetId", "VpcId", "Ipv6Address",
                 "ClientToken", "KernelId"):
        shown.pop(name, None)
    shown |= {
        "InstanceId": instance.id, "State": _state(instance.state), "NetworkInterfaces": interfaces,
        "LaunchTime": instance.launched, "StateTransitionReason": "",
        "BlockDeviceMappings": [
            {"DeviceName": a.device, "Ebs": {
                "VolumeId": v.id, "Status": a.state, "AttachTime": a.since,
                "DeleteOnTermination": a.delete_on_termination}}
            for v in region.volumes.values() for a in v.attachments
            if a.instance_id == instance.id],
    }
    if instance.reason:
        shown["StateTransitionReason"] = "User initiated"
        shown["StateReason"] = {"Code": instance.reason, "Message": instance.reason}
    if interfaces:
        first = interfaces[0]
        association = first["Association"] or {}
        shown |= {
            "PrivateIpAddress": first["PrivateIpAddress"], "SubnetId": first["SubnetId"],
            "PrivateDnsName": _name(region, instance), "VpcId": first["VpcId"],
            "PublicIpAddress": association.get("PublicIp"),
            "PublicDnsName": association.get("PublicDnsName", ""),
            "SourceDestCheck": first["SourceDestCheck"]}
    return shown


def _name(region: Region, instance: Instance) -> str:
    interfaces = region.interfaces_of(instance.id)
    return (dhcp_name(region, interfaces[0]) if interfaces else None) or ""


def _private_ips(region: Region, instance: Instance) -> list[str]:
    return [a for i in region.interfaces_of(instance.id) for a in i.addresses]


def _filters(region: Region) -> dict[str, filters.Values[Instance]]:
    return {
        "instance-id": lambda i: [i.id],
        "instance-state-name": lambda i: [i.state],
        "instance-state-code": lambda i: [STATE_CODES[i.state]],
        "availability-zone": lambda i: [i.zone],
        "subnet-id": lambda i: [i.subnet_id] if region.interfaces_of(i.id) else [],
        "vpc-id": lambda i: [n.vpc_id for n in region.interfaces_of(i.id)],
        "private-ip-address": lambda i: [region.private_ip(i.id)],
        "private-dns-name": lambda i: [_name(region, i)],
        "ip-address": lambda i: [a.public_ip for a in region.addresses.values()
                                 if a.private_ip == region.private_ip(i.id)],
        "network-interface.addresses.private-ip-address": lambda i: _private_ips(region, i),
        "network-interface.private-dns-name":
            lambda i: [private_name(region, n) or "" for n in region.interfaces_of(i.id)],
        "network-interface.network-interface-id":
            lambda i: [n.id for n in region.interfaces_of(i.id)],
        "block-device-mapping.volume-id":
            lambda i: [v.id for v in region.volumes.values() if v.attachment_to(i.id)],
        "iam-instance-profile.arn": lambda i: [i.profile_arn],
        "image-id": lambda i: [i.facts.get("ImageId", "")],
        "instance-type": lambda i: [i.facts.get("InstanceType", "")],
        "instance.group-id":
            lambda i: [g["GroupId"] for g in i.facts.get("SecurityGroups", [])],
        "reservation-id": lambda i: [i.reservation.get("ReservationId", "")],
    }


def _select(world: World, params: Params) -> list[Instance]:
    region = world.region
    world.lifecycle.forget()
    wanted = params.get("InstanceIds")
    found = [region.instance(i) for i in wanted] if wanted else list(region.instances.values())
    return filters.apply(found, params.get("Filters"), _filters(region), lambda i: i.tags)


@action("DescribeInstances")
def describe_instances(world: World, params: Params) -> Result:
    found, token = filters.page(_select(world, params), params, "InstanceIds")
    reservations = []
    for _, group in itertools.groupby(found, lambda i: str(i.reservation.get("ReservationId"))):
        members = list(group)
        reservations.append(members[0].reservation | {
            "OwnerId": world.region.account,
            "Instances": [describe(world.region, i) for i in members]})
    return {"Reservations": reservations, "NextToken": token}


@action("DescribeInstanceStatus")
def describe_instance_status(world: World, params: Params) -> Result:
    everything = params.get("IncludeAllInstances", False)
    found = [i for i in _select(world, params) if everything or i.state == "running"]
    found, token = filters.page(found, params, "InstanceIds")
    return {"NextToken": token, "InstanceStatuses": [
        {"InstanceId": i.id, "AvailabilityZone": i.zone, "InstanceState": _state(i.state),
         "SystemStatus": {"Status": "ok" if i.state == "running" else "not-applicable"},
         "InstanceStatus": {"Status": "ok" if i.state == "running" else "not-applicable"}}
        for i in found]}


@action("RunInstances")
def run_instances(world: World, params: Params) -> Result:
    region = world.region
    token = params.get("ClientToken")
    instances: list[Instance] | None = region.remembered("RunInstances", token, params)
    if instances is None:
        tags.check_metadata(params)
        address = params.get("PrivateIpAddress")
        for interface in params.get("NetworkInterfaces", []):
            address = interface.get("PrivateIpAddress", address)
        subnet = params.get("SubnetId") or next(
            (i["SubnetId"] for i in params.get("NetworkInterfaces", []) if "SubnetId" in i), "")
        if address and subnet in region.subnets:
            region.check_address(subnet, address)
            if region.taken(address):
                raise ApiError("InvalidIPAddress.InUse", f"Address {address} is in use.")
            world.mirror.wanted_addresses[subnet] = address
        try:
            made = world.pass_on("RunInstances")
        except ApiError as error:
            if error.code != "NoSuchEntity":
                raise
            raise ApiError("InvalidParameterValue",
                           "Value for parameter iamInstanceProfile is invalid. Invalid IAM "
                           "Instance Profile") from None
        world.mirror.sync()
        instances = [region.instances[i["InstanceId"]] for i in made["Instances"]]
        for given in params.get("TagSpecifications", []):
            if given.get("ResourceType") == "network-interface":
                world.mirror.tag([interface.id for instance in instances
                                  for interface in region.interfaces_of(instance.id)],
                                 given["Tags"])
        options = params.get("MetadataOptions") or {}
        for instance in instances:
            if "InstanceMetadataTags" in options:
                instance.tags_in_metadata = options["InstanceMetadataTags"] == "enabled"
            instance.hop_limit = options.get("HttpPutResponseHopLimit", instance.hop_limit)
        region.remember("RunInstances", token, params, instances)
    return instances[0].reservation | {
        "OwnerId": region.account, "Instances": [describe(region, i) for i in instances]}


def _change(world: World, params: Params, allowed: tuple[str, ...],
            change: Callable[[Instance], None]) -> list[Result]:
    """Applies change to each instance named, all or none; returns states before and after."""
    instances = [world.region.instance(i) for i in params["InstanceIds"]]
    for instance in instances:
        if instance.state not in allowed:
            raise ApiError("IncorrectInstanceState",
                           f"The instance '{instance.id}' is not in a state from which it can be "
                           f"changed so: it is '{instance.state}'.")
    changes = []
    for instance in instances:
        before = instance.state
        change(instance)
        changes.append({"InstanceId": instance.id, "PreviousState": _state(before),
                        "CurrentState": _state(instance.state)})
    return changes


@action("TerminateInstances")
def terminate_instances(world: World, params: Params) -> Result:
    for instance_id in params["InstanceIds"]:
        world.region.instance(instance_id)
    # moto first: it may refuse, and its Auto Scaling group makes the replacement.
    world.pass_on("TerminateInstances")
    changes = _change(world, params, tuple(STATE_CODES), world.lifecycle.terminate)
    world.mirror.sync()
    return {"TerminatingInstances": changes}


@action("StopInstances")
def stop_instances(world: World, params: Params) -> Result:
    def stop(instance: Instance) -> None:
        if instance.state in ("pending", "running"):
            world.lifecycle.stop(instance)
    return {"StoppingInstances": _change(
        world, params, ("pending", "running", "stopping", "stopped"), stop)}


@action("StartInstances")
def start_instances(world: World, params: Params) -> Result:
    def start(instance: Instance) -> None:
        if instance.state == "stopped":
            world.lifecycle.start(instance)
    return {"StartingInstances": _change(
        world, params, ("pending", "running", "stopped"), start)}


@action("RebootInstances")
def reboot_instances(world: World, params: Params) -> Result:
    _change(world, params, ("running",), world.lifecycle.reboot)
    return {}


def _only_interface(world: World, instance: Instance) -> Interface:
    interfaces = world.region.interfaces_of(instance.id)
    if not interfaces:
        raise ApiError("IncorrectInstanceState", f"The instance '{instance.id}' is terminated.")
    if len(interfaces) > 1:
        raise ApiError("InvalidInstanceID",
                       f"There are multiple interfaces attached to instance '{instance.id}'. "
                       "Please specify an interface ID for the operation instead.")
    return interfaces[0]


@action("ModifyInstanceAttribute")
def modify_instance_attribute(world: World, params: Params) -> Result:
    instance = world.region.instance(params["InstanceId"])
    if "SourceDestCheck" in params:
        _only_interface(world, instance).source_dest_check = params["SourceDestCheck"]["Value"]
    else:
        world.pass_on("ModifyInstanceAttribute")
        world.mirror.sync()
    return {}


@action("DescribeInstanceAttribute")
def describe_instance_attribute(world: World, params: Params) -> Result:
    instance = world.region.instance(params["InstanceId"])
    if params["Attribute"] == "sourceDestCheck":
        check = _only_interface(world, instance).source_dest_check
        return {"InstanceId": instance.id, "SourceDestCheck": {"Value": check}}
    if params["Attribute"] == "userData":
        return {"InstanceId": instance.id, "UserData": {"Value": instance.user_data}}
    return world.pass_on("DescribeInstanceAttribute")

# SPDX-License-Identifier: Apache-2.0
"""Keeps the front's region in step with moto: adopts what moto made, drops what moto deleted.

Called after each call that may have changed moto, so that what CloudFormation and Auto Scaling make
there becomes machines and disks here.
"""

from __future__ import annotations

from typing import Any

from .lifecycle import Lifecycle
from .model import Address, Attachment, Facts, Instance, Interface, Region, Volume, new_id, now
from .moto import Moto

ENDED = ("shutting-down", "terminated")


class Mirror:
    def __init__(self, region: Region, moto: Moto, lifecycle: Lifecycle) -> None:
        self._region = region
        self._moto = moto
        self._lifecycle = lifecycle
        self.wanted_addresses: dict[str, str] = {}  # subnet -> address of the next interface

    def _all(self, operation: str, key: str) -> list[Facts]:
        client = self._moto.ec2
        if client.can_paginate(operation):
            found: list[Facts] = client.get_paginator(operation).paginate() \
                .build_full_result().get(key, [])
            return found
        return list(getattr(client, operation)()[key])

    def tag(self, resources: list[str], tags: list[dict[str, str]]) -> None:
        self._moto.ec2.create_tags(Resources=resources, Tags=tags)
        self.sync()

    def _has_host_names(self, vpc_id: str) -> bool:
        shown = self._moto.ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute="enableDnsHostnames")
        return bool(shown["EnableDnsHostnames"]["Value"])

    def sync(self) -> None:
        with self._region.lock:
            region = self._region
            region.keep()
            region.vpcs = {v["VpcId"]: v | {"EnableDnsHostnames": self._has_host_names(v["VpcId"])}
                           for v in self._all("describe_vpcs", "Vpcs")}
            region.subnets = {s["SubnetId"]: s for s in self._all("describe_subnets", "Subnets")}
            self._volumes(self._all("describe_volumes", "Volumes"))
            self._addresses(self._all("describe_addresses", "Addresses"))
            reservations = self._all("describe_instances", "Reservations")
            ended = {i["InstanceId"] for r in reservations for i in r["Instances"]
                     if i["State"]["Name"] in ENDED}
            ended |= {i.id for i in region.instances.values() if i.state == "terminated"}
            self._interfaces(self._all("describe_network_interfaces", "NetworkInterfaces"), ended)
            self._instances(reservations)

    def _volumes(self, listed: list[Facts]) -> None:
        volumes = self._region.volumes
        for facts in listed:
            known = volumes.get(facts["VolumeId"])
            if known is not None:
                known.facts, known.size_gib = facts, facts["Size"]
                continue
            volume = Volume(facts["VolumeId"], facts, facts["AvailabilityZone"], facts["Size"],
                            bool(facts.get("MultiAttachEnabled")))
            volumes[volume.id] = volume
            if facts.get("Attachments"):
                # A root volume: moto made it with its instance.
                first = facts["Attachments"][0]
                volume.state = "in-use"
                volume.attachments.append(Attachment(
                    first["InstanceId"], first["Device"], "attached", now(),
                    delete_on_termination=True, root=True))
            else:
                self._lifecycle.volume_created(volume)
        gone = volumes.keys() - {facts["VolumeId"] for facts in listed}
        for volume_id in gone:
            del volumes[volume_id]

    def _addresses(self, listed: list[Facts]) -> None:
        addresses = self._region.addresses
        for facts in listed:
            allocation = facts.get("AllocationId", "")
            if not allocation:
                continue  # EC2-Classic's; there is no such thing any more
            if allocation in addresses:
                addresses[allocation].facts = facts
            else:
                addresses[allocation] = Address(allocation, facts["PublicIp"], facts)
        for allocation in addresses.keys() - {f.get("AllocationId") for f in listed}:
            self._lifecycle.disassociate(addresses[allocation])
            del addresses[allocation]

    def _interfaces(self, listed: list[Facts], ended: set[str]) -> None:
        interfaces = self._region.interfaces
        for facts in listed:
            known = interfaces.get(facts["NetworkInterfaceId"])
            attachment = facts.get("Attachment") or {}
            if known is not None:
                known.facts = facts
                continue
            if attachment.get("InstanceId") in ended:
                continue  # moto may keep an interface longer than its instance
            subnet = self._region.subnets[facts["SubnetId"]]
            interface = Interface(
                facts["NetworkInterfaceId"], facts, subnet["SubnetId"], subnet["VpcId"],
                subnet["AvailabilityZone"],
                self._primary(subnet["SubnetId"], facts.get("PrivateIpAddress", "")))
            interfaces[interface.id] = interface
            if attachment.get("InstanceId"):
                interface.instance_id = attachment["InstanceId"]
                interface.device_index = int(attachment.get("DeviceIndex", 0))
                interface.attachment_id = new_id("eni-attach")
                interface.attached_at = now()
        listed_ids = {facts["NetworkInterfaceId"] for facts in listed}
        for interface_id in interfaces.keys() - listed_ids:
            # One that belongs to a machine goes with it, when the machine is down.
            if not interfaces[interface_id].instance_id:
                self._lifecycle.drop_interface(interfaces[interface_id])

    def _primary(self, subnet_id: str, offered: str) -> str:
        region = self._region
        wanted = self.wanted_addresses.pop(subnet_id, "")
        if wanted:
            return wanted
        if offered and offered not in region.reserved and not region.taken(offered):
            return offered
        return region.free_address(subnet_id)

    def _instances(self, reservations: list[Facts]) -> None:
        region = self._region
        for reservation in reservations:
            for facts in reservation["Instances"]:
                known = region.instances.get(facts["InstanceId"])
                state = facts["State"]["Name"]
                if known is None and state in ("pending", "running"):
                    self._adopt(reservation, facts)
                elif known is not None:
                    known.facts = facts
                    if state in ENDED:
                        # Somebody else's doing: Auto Scaling, or a stack's end.
                        self._lifecycle.terminate(known)
                    elif known.state == "terminated":
                        # It never came up; unless moto knows, it would be adopted once forgotten.
                        self._moto.ec2.terminate_instances(InstanceIds=[known.id])

    def _adopt(self, reservation: Facts, facts: Facts) -> None:
        instance_id = facts["InstanceId"]
        attribute = self._moto.ec2.describe_instance_attribute(
            InstanceId=instance_id, Attribute="userData")
        profile = facts.get("IamInstanceProfile", {}).get("Arn", "")
        options: dict[str, Any] = facts.get("MetadataOptions") or {}
        instance = Instance(
            instance_id, facts, {k: v for k, v in reservation.items() if k != "Instances"},
            facts["Placement"]["AvailabilityZone"], facts["SubnetId"],
            (attribute.get("UserData") or {}).get("Value", ""), profile, self._role(profile),
            tags_in_metadata=options.get("InstanceMetadataTags") == "enabled",
            hop_limit=options.get("HttpPutResponseHopLimit", 1))
        self._region.instances[instance_id] = instance
        self._lifecycle.launch(instance)

    def _role(self, profile_arn: str) -> str:
        if not profile_arn:
            return ""
        name = profile_arn.rsplit("/", 1)[-1]
        try:
            roles = self._moto.iam.get_instance_profile(InstanceProfileName=name)
        except self._moto.iam.exceptions.NoSuchEntityException:
            return ""  # deleted since a launch template or a group was made with it
        listed = roles["InstanceProfile"]["Roles"]
        return str(listed[0]["RoleName"]) if listed else ""

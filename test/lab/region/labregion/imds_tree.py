# SPDX-License-Identifier: Apache-2.0
"""The tree of metadata that IMDS shows an instance."""

from __future__ import annotations

import base64
import json
from typing import Any

from .model import Instance, Interface, Region
from .names import dhcp_name, public_name

Tree = dict[str, Any]  # name -> text, or a tree below it


def _interface(region: Region, interface: Interface) -> Tree:
    vpc = region.vpcs[interface.vpc_id]
    blocks = [a["CidrBlock"] for a in vpc["CidrBlockAssociationSet"]
              if a["CidrBlockState"]["State"] == "associated"]
    associations = {a.public_ip: a.private_ip for a in region.addresses.values()
                    if a.interface_id == interface.id}
    groups = interface.facts.get("Groups", [])
    shown: Tree = {
        "device-number": str(interface.device_index),
        "interface-id": interface.id,
        "mac": interface.mac,
        "network-card": str(interface.card),
        "owner-id": region.account,
        "security-group-ids": "\n".join(g["GroupId"] for g in groups),
        "security-groups": "\n".join(g.get("GroupName", "") for g in groups),
        "subnet-id": interface.subnet_id,
        "vpc-id": interface.vpc_id,
    }
    if interface.addresses:
        shown |= {
            "local-hostname": dhcp_name(region, interface) or "",
            "local-ipv4s": "\n".join(interface.addresses),
            "subnet-ipv4-cidr-block": str(region.network(interface.subnet_id)),
            "vpc-ipv4-cidr-block": vpc["CidrBlock"],
            "vpc-ipv4-cidr-blocks": "\n".join(blocks)}
    if associations:
        shown["public-ipv4s"] = "\n".join(associations)
        shown["ipv4-associations"] = dict(associations)
    return shown


def _identity_document(region: Region, instance: Instance, private_ip: str) -> str:
    return json.dumps({
        "accountId": region.account, "architecture": "x86_64",
        "availabilityZone": instance.zone, "billingProducts": None,
        "devpayProductCodes": None, "marketplaceProductCodes": None,
        "imageId": instance.facts.get("ImageId", ""), "instanceId": instance.id,
        "instanceType": instance.facts.get("InstanceType", ""), "kernelId": None,
        "pendingTime": instance.launched.strftime("%Y-%m-%dT%H:%M:%SZ"), "privateIp": private_ip,
        "ramdiskId": None, "region": region.name, "version": "2017-09-30"}, indent=2)


def build(region: Region, instance: Instance, all_tags: bool) -> Tree:
    """All but the role's credentials; called with the region locked."""
    interfaces = region.interfaces_of(instance.id)
    first = interfaces[0]
    name = dhcp_name(region, first)
    metadata: Tree = {
        "ami-id": instance.facts.get("ImageId", ""),
        "ami-launch-index": "0",
        "hostname": name or "",
        "instance-action": "none",
        "instance-id": instance.id,
        "instance-life-cycle": "on-demand",
        "instance-type": instance.facts.get("InstanceType", ""),
        "local-hostname": name or "",
        "local-ipv4": first.primary,
        "mac": first.mac,
        "network": {"interfaces": {"macs": {
            i.mac: _interface(region, i) for i in sorted(interfaces, key=lambda i: i.mac)}}},
        "placement": {
            "availability-zone": instance.zone,
            "availability-zone-id": f"use1-az{'abcdef'.find(instance.zone[-1]) + 1}",
            "region": region.name},
        "reservation-id": instance.reservation.get("ReservationId", ""),
        "security-groups": "\n".join(
            g.get("GroupName", "") for g in first.facts.get("Groups", [])),
        "services": {"domain": "amazonaws.com", "partition": "aws"},
    }
    public = region.address_on(first.id, first.primary)
    if public is not None:
        metadata["public-ipv4"] = public.public_ip
        metadata["public-hostname"] = public_name(public.public_ip)
    if instance.profile_arn:
        metadata["iam"] = {
            "info": json.dumps({
                "Code": "Success",
                "LastUpdated": instance.launched.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "InstanceProfileArn": instance.profile_arn,
                "InstanceProfileId": instance.facts.get("IamInstanceProfile", {}).get("Id", "")},
                indent=2)}
    if all_tags or instance.tags_in_metadata:
        metadata["tags"] = {"instance": instance.tags}
    tree: Tree = {
        "dynamic": {"instance-identity": {
            "document": _identity_document(region, instance, first.primary)}},
        "meta-data": metadata,
    }
    if instance.user_data:
        tree["user-data"] = base64.b64decode(instance.user_data).decode("utf-8", "surrogateescape")
    return tree

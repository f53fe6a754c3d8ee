# SPDX-License-Identifier: Apache-2.0
"""EC2's actions on volumes. The attachment is the daemon's lock, so nothing here is lenient."""

from __future__ import annotations

import re

from . import filters
from .ec2_world import Params, Result, World, action
from .errors import ApiError
from .model import Attachment, Volume

MULTI_ATTACH_MAX = 16
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html
_DEVICE = re.compile(r"(/dev/)?(sd[a-z]([1-9]|1[0-5])?|xvd[a-z]|xvd[b-d][a-z])")


def _attachment(volume: Volume, attachment: Attachment) -> Result:
    return {"VolumeId": volume.id, "InstanceId": attachment.instance_id,
            "Device": attachment.device, "State": attachment.state, "AttachTime": attachment.since,
            "DeleteOnTermination": attachment.delete_on_termination}


def _volume(volume: Volume) -> Result:
    shown = {k: v for k, v in volume.facts.items() if k not in ("Attachments", "State")}
    # EC2 names these for every volume; "" is what it says of one that was made from no snapshot.
    return {"Encrypted": False, "SnapshotId": "", "Tags": []} | shown | {"State": volume.state, "MultiAttachEnabled": volume.multi_attach,
                    "Attachments": [_attachment(volume, a) for a in volume.attachments]}


_FILTERS: dict[str, filters.Values[Volume]] = {
    "volume-id": lambda v: [v.id],
    "status": lambda v: [v.state],
    "availability-zone": lambda v: [v.zone],
    "size": lambda v: [v.size_gib],
    "volume-type": lambda v: [v.facts.get("VolumeType", "")],
    "encrypted": lambda v: [bool(v.facts.get("Encrypted"))],
    "multi-attach-enabled": lambda v: [v.multi_attach],
    "snapshot-id": lambda v: [v.facts.get("SnapshotId", "")],
    "attachment.instance-id": lambda v: [a.instance_id for a in v.attachments],
    "attachment.device": lambda v: [a.device for a in v.attachments],
    "attachment.status": lambda v: [a.state for a in v.attachments],
    "attachment.delete-on-termination": lambda v: [a.delete_on_termination for a in v.attachments],
}


@action("DescribeVolumes")
def describe_volumes(world: World, params: Params) -> Result:
    region = world.region
    wanted = params.get("VolumeIds")
    found = [region.volume(v) for v in wanted] if wanted else list(region.volumes.values())
    found = filters.apply(found, params.get("Filters"), _FILTERS,
                          lambda v: filters.tags_of(v.facts))
    found, token = filters.page(found, params, "VolumeIds")
    return {"Volumes": [_volume(v) for v in found], "NextToken": token}


@action("CreateVolume")
def create_volume(world: World, params: Params) -> Result:
    region = world.region
    token = params.get("ClientToken")
    volume = region.remembered("CreateVolume", token, params)
    if volume is None:
        if params.get("MultiAttachEnabled") and params.get("VolumeType") not in ("io1", "io2"):
            raise ApiError("InvalidParameterCombination",
                           "Multi-Attach is supported by io1 and io2 volumes only.")
        made = world.pass_on("CreateVolume")
        world.mirror.sync()
        volume = region.volumes[made["VolumeId"]]
        volume.multi_attach = bool(params.get("MultiAttachEnabled"))
        region.remember("CreateVolume", token, params, volume)
    return _volume(volume)


@action("DeleteVolume")
def delete_volume(world: World, params: Params) -> Result:
    volume = world.region.volume(params["VolumeId"])
    if volume.attachments:
        raise ApiError("VolumeInUse", f"Volume {volume.id} is currently attached to "
                                      f"{volume.attachments[0].instance_id}")
    world.pass_on("DeleteVolume")
    world.mirror.sync()
    return {}


@action("AttachVolume")
def attach_volume(world: World, params: Params) -> Result:
    region = world.region
    volume = region.volume(params["VolumeId"])
    instance = region.instance(params["InstanceId"])
    device = params["Device"]
    if volume.zone != instance.zone:
        raise ApiError("InvalidVolume.ZoneMismatch",
                       f"The volume '{volume.id}' is not in the same availability zone as "
                       f"instance '{instance.id}'")
    # EC2 also attaches to a stopped instance; here there would be nobody to hand the disk to.
    if instance.state != "running":
        raise ApiError("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
    if volume.state not in ("available", "in-use"):
        raise ApiError("IncorrectState", f"Volume '{volume.id}' is not 'available'.")
    if volume.attachments and (not volume.multi_attach or volume.attachment_to(instance.id)
                               or len(volume.attachments) >= MULTI_ATTACH_MAX):
        raise ApiError("VolumeInUse", f"{volume.id} is already attached to an instance")
    if not _DEVICE.fullmatch(device):
        raise ApiError("InvalidParameterValue",
                       f"Value ({device}) for parameter device is invalid. {device} is not a "
                       "valid EBS device name.")
    for other in region.volumes.values():
        taken = other.attachment_to(instance.id)
        if taken is not None and taken.device == device:
            raise ApiError("InvalidParameterValue",
                           f"Invalid value '{device}' for unixDevice. Attachment point {device} "
                           "is already in use")
    return _attachment(volume, world.lifecycle.attach(volume, instance, device))


@action("DetachVolume")
def detach_volume(world: World, params: Params) -> Result:
    volume = world.region.volume(params["VolumeId"])
    if not volume.attachments:
        raise ApiError("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.")
    if "InstanceId" in params:
        instance = world.region.instance(params["InstanceId"])
        attachment = volume.attachment_to(instance.id)
    elif len(volume.attachments) == 1:
        attachment = volume.attachments[0]
    else:
        raise ApiError("InvalidParameterCombination",
                       "InstanceId is required for a volume with several attachments")
    if attachment is None or params.get("Device", attachment.device) != attachment.device:
        raise ApiError("InvalidAttachment.NotFound",
                       f"The volume '{volume.id}' is not attached to instance "
                       f"'{params.get('InstanceId', '')}' as device '{params.get('Device', '')}'")
    if attachment.root:
        raise ApiError("OperationNotPermitted",
                       f"Unable to detach root volume '{volume.id}' from instance "
                       f"'{attachment.instance_id}'")
    if attachment.state == "detaching" and not params.get("Force"):
        raise ApiError("IncorrectState", f"Volume '{volume.id}' is in the 'detaching' state.")
    world.lifecycle.detach(volume, attachment)
    return _attachment(volume, attachment)

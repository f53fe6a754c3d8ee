# SPDX-License-Identifier: Apache-2.0
"""EC2 as one service: parses, lets the front's own actions answer, passes the rest to moto."""

from __future__ import annotations

import fnmatch
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import botocore.parsers
import botocore.session

from . import ec2_addresses, ec2_instances, ec2_interfaces, ec2_volumes, tags
from .calls import Calls, is_mutating
from .ec2_world import ACTIONS, World
from .errors import ApiError
from .lifecycle import Lifecycle
from .mirror import Mirror
from .model import Region
from .moto import Moto
from .shapes import Ec2Shapes
from .wire import Reply, Request

CONTENT_TYPE = "text/xml;charset=UTF-8"
OWN = (ec2_addresses, ec2_instances, ec2_interfaces, ec2_volumes)  # they have filled ACTIONS
_REQUEST_ID = re.compile(rb"<requestId>[^<]*</requestId>")

# Action -> the resources that its permission is asked for; all others are asked for "*".
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
_RESOURCES = {
    "AttachVolume": (("volume", "VolumeId"), ("instance", "InstanceId")),
    "DetachVolume": (("volume", "VolumeId"), ("instance", "InstanceId")),
    "AssociateAddress": (("elastic-ip", "AllocationId"),
                         ("network-interface", "NetworkInterfaceId"), ("instance", "InstanceId")),
    "AssignPrivateIpAddresses": (("network-interface", "NetworkInterfaceId"),),
    "UnassignPrivateIpAddresses": (("network-interface", "NetworkInterfaceId"),),
    "ModifyNetworkInterfaceAttribute": (("network-interface", "NetworkInterfaceId"),
                                        ("security-group", "SecurityGroupId.*")),
    "TerminateInstances": (("instance", "InstanceId.1"),),
    "DeleteVolume": (("volume", "VolumeId"),),
}

# What one ModifyNetworkInterfaceAttribute changes.
_ATTRIBUTES = ("SourceDestCheck", "SecurityGroupId", "Description", "Attachment")


def upstream_error(reply: Reply, calls: Calls, action: str) -> ApiError:
    """moto's refusal as an error; its crashes and gaps are put into AWS's words, and logged."""
    try:
        root = ElementTree.fromstring(reply.body)
        code = next((e.text for e in root.iter() if e.tag.rpartition("}")[2] == "Code"), None)
        message = next((e.text for e in root.iter() if e.tag.rpartition("}")[2] == "Message"), "")
    except ElementTree.ParseError:
        code, message = None, ""
    if code:
        return ApiError(code, (message or "").strip(), reply.status)
    calls.write(event="moto-error", action=action, status=reply.status,
                body=reply.body.decode("utf-8", "replace")[:4000])
    if b"NotImplemented" in reply.body or b"not been implemented" in reply.body \
            or reply.status == 501:
        return ApiError("InvalidAction", f"The action {action} is not valid for this web service.")
    return ApiError("InternalError", "An internal error has occurred", 500)


class Ec2:
    def __init__(self, region: Region, lifecycle: Lifecycle, mirror: Mirror, moto: Moto,
                 shapes: Ec2Shapes, calls: Calls, session: botocore.session.Session) -> None:
        self._region = region
        self._lifecycle = lifecycle
        self._mirror = mirror
        self._moto = moto
        self._shapes = shapes
        self._calls = calls
        self._model = session.get_service_model("ec2")
        self._parser = botocore.parsers.create_parser("ec2")

    def resources(self, form: dict[str, str]) -> list[tuple[str, dict[str, str]]]:
        """What a policy must allow form's action on: ARNs, each with what is known of it."""
        attribute = {"ec2:Attribute": name for name in _ATTRIBUTES
                     if any(key.startswith(name) for key in form)}
        named = [(f"arn:aws:ec2:{self._region.name}:{self._region.account}:{kind}/{form[key]}",
                  self._context(kind, form[key])
                  | (attribute if form["Action"] == "ModifyNetworkInterfaceAttribute" else {}))
                 for kind, pattern in _RESOURCES.get(form.get("Action", ""), ())
                 for key in form if fnmatch.fnmatchcase(key, pattern)]
        return named or [("*", {})]

    def _context(self, kind: str, resource_id: str) -> dict[str, str]:
        region = self._region
        known = {"instance": region.instances, "volume": region.volumes,
                 "network-interface": region.interfaces, "elastic-ip": region.addresses}
        with region.lock:
            found = known[kind].get(resource_id) if kind in known else None
            facts = found.facts if found is not None else {}
            return {f"aws:ResourceTag/{tag['Key']}": tag["Value"]
                    for tag in facts.get("Tags") or facts.get("TagSet") or ()}

    def customer_key(self, volume_id: str) -> str:
        """The ARN of the key that a volume is encrypted with; "" for EBS's own, which everybody may use."""
        with self._region.lock:
            volume = self._region.volumes.get(volume_id)
        key = str(volume.facts.get("KmsKeyId") or "") if volume is not None else ""
        own = {alias["TargetKeyId"] for alias in self._moto.kms.list_aliases()["Aliases"]
               if alias["AliasName"] == "alias/aws/ebs" and "TargetKeyId" in alias} if key else set()
        return "" if key.rpartition("/")[2] in own else key

    def check(self, form: dict[str, str]) -> dict[str, Any]:
        return self._shapes.parse(form)

    def handle(self, request: Request, form: dict[str, str], params: dict[str, Any],
               request_id: str, stale_s: float = 0.0) -> Reply:
        """Does what form asks for; what it reads may be so old."""
        action = form["Action"]
        tags.check(params)
        if params.get("DryRun"):
            raise ApiError("DryRunOperation",
                           "Request would have succeeded, but DryRun flag is set.", 412)
        own = ACTIONS.get(action)
        if own is not None:
            with self._region.lock:
                if is_mutating("ec2", action):
                    self._region.keep()
                    region = self._region
                else:
                    region = self._region.as_of(stale_s)
                result = own(World(region, self._lifecycle, self._mirror,
                                   lambda name: self._ask(request, name)), params)
            return Reply(200, self._shapes.render(action, request_id, result), CONTENT_TYPE)
        reply = self._forward(request, action)
        if is_mutating("ec2", action):
            self._mirror.sync()
        body = _REQUEST_ID.sub(f"<requestId>{request_id}</requestId>".encode(), reply.body, 1)
        return Reply(200, body, CONTENT_TYPE)

    def _forward(self, request: Request, action: str) -> Reply:
        reply = self._moto.forward(request, headers={"Host": f"ec2.{self._region.name}"
                                                             ".amazonaws.com"}, drop=("host",))
        if reply.status != 200:
            self._mirror.wanted_addresses.clear()
            raise upstream_error(reply, self._calls, action)
        return reply

    def _ask(self, request: Request, action: str) -> dict[str, Any]:
        reply = self._forward(request, action)
        parsed: dict[str, Any] = self._parser.parse(
            {"status_code": reply.status, "headers": {}, "body": reply.body},
            self._model.operation_model(action).output_shape)
        parsed.pop("ResponseMetadata", None)
        return parsed

# SPDX-License-Identifier: Apache-2.0
"""CloudFormation's signals, which moto lacks. Everything else of a stack is moto's."""

from __future__ import annotations

import threading
from typing import Any

from botocore.exceptions import ClientError

from .errors import ApiError
from .moto import Moto
from .wire import Reply

_STATUSES = ("SUCCESS", "FAILURE")
_DONE = (b'<SignalResourceResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">'
         b"<ResponseMetadata><RequestId>%b</RequestId></ResponseMetadata></SignalResourceResponse>")


class Stacks:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_SignalResource.html"""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        self._lock = threading.Lock()
        self._signals: dict[tuple[str, str, str], str] = {}

    def signals(self) -> list[dict[str, str]]:
        """What was signalled, in order."""
        with self._lock:
            return [{"stack": stack, "resource": resource, "unique_id": unique_id, "status": status}
                    for (stack, resource, unique_id), status in self._signals.items()]

    def stack_arn(self, form: dict[str, str]) -> str:
        """What a policy must allow form's action on."""
        name = form.get("StackName", "")
        try:
            return str(self._stack(name)["StackId"]) if name else "*"
        except ApiError:
            return name or "*"

    def signal(self, form: dict[str, str], request_id: str) -> Reply:
        for name in ("StackName", "LogicalResourceId", "UniqueId", "Status"):
            if not form.get(name):
                raise _invalid(f"1 validation error detected: Value null at '{name}' failed to "
                               "satisfy constraint: Member must not be null")
        if form["Status"] not in _STATUSES:
            raise _invalid(f"Value '{form['Status']}' at 'status' failed to satisfy constraint: "
                           "Member must satisfy enum value set: [SUCCESS, FAILURE]")
        stack = self._stack(form["StackName"])
        resource, unique_id = form["LogicalResourceId"], form["UniqueId"]
        try:
            self._moto.cloudformation.describe_stack_resource(
                StackName=stack["StackName"], LogicalResourceId=resource)
        except ClientError:
            raise _invalid(f"Resource {resource} does not exist for stack {stack['StackName']}") \
                from None
        with self._lock:
            if (stack["StackId"], resource, unique_id) in self._signals:
                raise _invalid(f"Signal with ID {unique_id} for resource {resource} already exists. "
                               "Signals may only be updated with a FAILURE status.")
            self._signals[stack["StackId"], resource, unique_id] = form["Status"]
        return Reply(200, _DONE % request_id.encode(), "text/xml")

    def _stack(self, name: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._moto.cloudformation.describe_stacks(
                StackName=name)["Stacks"][0]
        except ClientError:
            raise _invalid(f"Stack '{name}' does not exist") from None
        if found["StackStatus"].startswith("DELETE"):
            raise _invalid(f"Stack:{found['StackId']} is in {found['StackStatus']} state and can "
                           "not be signaled")
        return found


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationError", message, 400)

# SPDX-License-Identifier: Apache-2.0
"""CloudFormation's waiting for signals, which moto has not: its stacks are complete at once.

A group is taken to have the policies that the project's template gives it: it keeps its stack
CREATE_IN_PROGRESS until all its machines have signalled, and UPDATE_IN_PROGRESS where an update changed
its launch template. A FAILURE fails the stack at once; what it made stays, as with --disable-rollback. No time runs out.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from .errors import ApiError
from .moto import Moto
from .wire import Reply

_STATUS = re.compile(rb"<StackId>([^<]+)</StackId>(.*?)<StackStatus>([^<]*)</StackStatus>", re.DOTALL)


@dataclass
class Wait:
    """A group of a stack, and the signals it got since it began to wait."""

    stack: str
    resource: str
    verb: str  # CREATE or UPDATE
    count: int
    version: str  # of the launch template
    signals: dict[str, str] = field(default_factory=dict)  # unique id -> SUCCESS or FAILURE

    @property
    def status(self) -> str:
        if "FAILURE" in self.signals.values():
            return "FAILED"
        return "COMPLETE" if len(self.signals) >= self.count else "IN_PROGRESS"


class Stacks:
    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        self._lock = threading.Lock()
        self._waits: dict[tuple[str, str], Wait] = {}

    def changed(self, action: str, name: str) -> None:
        """Begins to wait, after a stack has been created or updated."""
        stack = self._stack(name)
        for resource in self._moto.cloudformation.describe_stack_resources(
                StackName=name)["StackResources"]:
            if resource["ResourceType"] == "AWS::AutoScaling::AutoScalingGroup":
                self._begin(action, stack["StackId"], resource)

    def _begin(self, action: str, stack: str, resource: dict[str, Any]) -> None:
        [group] = self._moto.autoscaling.describe_auto_scaling_groups(
            AutoScalingGroupNames=[resource["PhysicalResourceId"]])["AutoScalingGroups"]
        version = str(group["LaunchTemplate"]["Version"])
        key = stack, resource["LogicalResourceId"]
        with self._lock:
            before = self._waits.get(key)
            if before is None or action == "UpdateStack" and before.version != version:
                self._waits[key] = Wait(*key, "CREATE" if before is None else "UPDATE",
                                        group["DesiredCapacity"], version)

    def signal(self, form: dict[str, str], request_id: str) -> Reply:
        for name in ("StackName", "LogicalResourceId", "UniqueId", "Status"):
            if not form.get(name):
                raise _invalid(f"1 validation error detected: Value null at '{name}' failed to satisfy "
                               "constraint: Member must not be null")
        if form["Status"] not in ("SUCCESS", "FAILURE"):
            raise _invalid("1 validation error detected: Value at 'status' failed to satisfy "
                           "constraint: Member must satisfy enum value set: [FAILURE, SUCCESS]")
        stack = self._stack(form["StackName"])["StackId"]
        resource, sender = form["LogicalResourceId"], form["UniqueId"]
        with self._lock:
            wait = self._waits.get((stack, resource))
            if wait is None:
                raise _invalid(f"Resource {resource} does not exist for stack {form['StackName']}")
            if wait.status != "IN_PROGRESS":
                raise _invalid(f"Resource {resource} is in {wait.verb}_{wait.status} state and cannot "
                               "be signaled")
            if sender in wait.signals and form["Status"] != "FAILURE":
                raise _invalid(f"Signal with ID {sender} for resource {resource} already exists. "
                               "Signals may only be updated with a FAILURE status.")
            wait.signals[sender] = form["Status"]
        body = ('<SignalResourceResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">'
                f"<ResponseMetadata><RequestId>{escape(request_id)}</RequestId></ResponseMetadata>"
                "</SignalResourceResponse>")
        return Reply(200, body.encode(), "text/xml")

    def stack_arn(self, form: dict[str, str]) -> str:
        """What a policy must allow form's action on; what does not exist is named as asked."""
        name = form.get("StackName", "")
        try:
            return str(self._stack(name)["StackId"]) if name else "*"
        except ApiError:
            return name

    def show(self, body: bytes) -> bytes:
        """DescribeStacks' answer, with the states of stacks that wait."""
        def state(match: re.Match[bytes]) -> bytes:
            stack = match[1].decode()
            with self._lock:
                unready = [w for w in self._waits.values()
                           if w.stack == stack and w.status != "COMPLETE"]
            if not unready or match[3].startswith(b"DELETE"):
                return match[0]
            failed = [w for w in unready if w.status == "FAILED"]
            status = f"{(failed or unready)[0].verb}_{'FAILED' if failed else 'IN_PROGRESS'}"
            return match[0].replace(b"<StackStatus>" + match[3], b"<StackStatus>" + status.encode())
        return _STATUS.sub(state, body)

    def signals(self) -> list[dict[str, str]]:
        """What was signalled while a stack waited for it, in order."""
        with self._lock:
            return [{"stack": wait.stack, "resource": wait.resource, "unique_id": sender,
                     "status": status}
                    for wait in self._waits.values() for sender, status in wait.signals.items()]

    def _stack(self, name: str) -> dict[str, Any]:
        client = self._moto.cloudformation
        try:
            found: list[dict[str, Any]] = client.describe_stacks(StackName=name)["Stacks"]
        except client.exceptions.ClientError:
            raise _invalid(f"Stack '{name}' does not exist") from None
        return found[0]


def check_tags(form: dict[str, str]) -> None:
    """Refuses a stack's tags whose keys are CloudFormation's own."""
    if any(name.startswith("Tags.member.") and name.endswith(".Key") and key.lower().startswith("aws:")
           for name, key in form.items()):
        raise _invalid("aws: prefixed tag key names are not allowed for external use.")


def _invalid(message: str) -> ApiError:
    return ApiError("ValidationError", message)

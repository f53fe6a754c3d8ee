# SPDX-License-Identifier: Apache-2.0
"""Applies a fault to a reply: before the call acts, or after it did."""

from __future__ import annotations

import os
import time

from .errors import ApiError, render
from .faults import Fault
from .wire import Reply

SILENCE_MS = 3_600_000
HTML = b"<html><head><title>Sign in</title></head><body><h1>Welcome</h1></body></html>\n"


def instead(fault: Fault, service: str, request_id: str) -> Reply | None:
    """The reply that fault gives in place of the call's own; None when the call goes ahead."""
    if fault.effect == "error":
        status = fault.status or 500
        if service == "imds":
            return Reply(status, HTML, "text/html")
        code = fault.code or ("InternalError" if status >= 500 else "InvalidRequest")
        return render(service, ApiError(code, fault.message, status), request_id)
    if fault.effect == "html":
        return Reply(fault.status or 200, HTML, "text/html")
    if fault.effect == "garbage":
        return Reply(200, os.urandom(fault.bytes or 64), "text/plain")
    if fault.effect == "silence":
        return Reply(0, mute_s=(fault.ms or SILENCE_MS) / 1000)
    if fault.effect == "close":
        return Reply(0, mute_s=0)
    if fault.effect == "delay":
        time.sleep(fault.ms / 1000)
    return None


def afterwards(fault: Fault, reply: Reply) -> Reply:
    part = len(reply.body) // 2 if fault.bytes is None else fault.bytes
    if fault.effect == "cut":
        reply.cut_bytes = part
    elif fault.effect == "truncate":
        reply.body = reply.body[:part]
    elif fault.effect == "lost":
        return Reply(0, mute_s=0)
    elif fault.effect == "skew":
        reply.date_skew_s = fault.seconds
    return reply

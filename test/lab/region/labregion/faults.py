# SPDX-License-Identifier: Apache-2.0
"""Failures on request: which call they meet, and what they do to it.

A fault is a JSON object. What it meets:
  action    glob over "SERVICE:Action", or "Action" alone; services are ec2, s3, imds, iam, …
  instance  only calls made by this instance (absent: anyone's)
  path      glob over the S3 key or the IMDS path
  nth       the first matching call that it meets, counted from 1 (default 1)
  count     how many calls it meets from there (default 1; 0: for ever)
What it does, by effect:
  error     answers status (500) with code and message in the service's envelope, without acting
  html      answers status (200) with an HTML page, without acting
  garbage   answers 200 with bytes (64) that are nothing, without acting
  silence   never answers: keeps the connection ms (3600000) and closes it, without acting
  close     closes the connection without an answer
  delay     waits ms, then acts
  cut       acts, then sends bytes of the reply (half) and drops the connection
  truncate  acts, then answers whole HTTP with bytes of the body (half)
  lost      acts, then closes the connection without an answer
  expired   the session token counts as expired
  skew      the region's clock is off by seconds, in the Date header and for signatures
"""

from __future__ import annotations

import fnmatch
import itertools
import threading
from dataclasses import asdict, dataclass, fields
from typing import Any

EFFECTS = ("error", "html", "garbage", "silence", "close", "delay", "cut", "truncate", "lost",
           "expired", "skew")


@dataclass
class Fault:
    action: str = "*"
    effect: str = "error"
    instance: str = ""
    path: str = ""
    nth: int = 1
    count: int = 1
    status: int = 0
    code: str = ""
    message: str = "injected by the lab"
    ms: int = 0
    bytes: int | None = None
    seconds: float = 0.0
    id: int = 0
    matched: int = 0
    applied: int = 0

    def meets(self, service: str, action: str, instance: str, path: str) -> bool:
        return (any(fnmatch.fnmatchcase(name, self.action)
                    for name in (action, f"{service}:{action}"))
                and self.instance in ("", instance)
                and (not self.path or fnmatch.fnmatchcase(path, self.path)))


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._numbers = itertools.count(1)

    def add(self, given: dict[str, Any]) -> Fault:
        """Adds a fault; ValueError names what is wrong with it."""
        allowed = {f.name for f in fields(Fault)} - {"id", "matched", "applied"}
        unknown = given.keys() - allowed
        if unknown:
            raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
        fault = Fault(**given)
        if fault.effect not in EFFECTS:
            raise ValueError(f"effect is one of {', '.join(EFFECTS)}")
        with self._lock:
            fault.id = next(self._numbers)
            self._faults.append(fault)
        return fault

    def clear(self, fault_id: int | None = None) -> None:
        with self._lock:
            self._faults = [f for f in self._faults if fault_id not in (None, f.id)]

    def listed(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(f) for f in self._faults]

    def match(self, service: str, action: str, instance: str, path: str) -> Fault | None:
        """The fault that this call meets, if any; each matching fault counts the call."""
        with self._lock:
            hit = None
            for fault in self._faults:
                if not fault.meets(service, action, instance, path):
                    continue
                fault.matched += 1
                due = fault.matched >= fault.nth and (
                    fault.count == 0 or fault.matched < fault.nth + fault.count)
                if due and hit is None:
                    fault.applied += 1
                    hit = fault
            return hit

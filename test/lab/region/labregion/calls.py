# SPDX-License-Identifier: Apache-2.0
"""Counts every call by caller and action, and writes one JSON line for each."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

_READS = ("Describe", "Get", "Head", "List", "Lookup", "Simulate")


def is_mutating(service: str, action: str) -> bool:
    return service != "imds" and not action.startswith(_READS)


class Calls:
    def __init__(self, log: Path) -> None:
        self._file = log.open("a", encoding="utf-8", buffering=1)
        self._lock = threading.Lock()
        self._seen: list[dict[str, Any]] = []

    def write(self, **fields: Any) -> None:
        line = {"time": datetime.now(timezone.utc).isoformat(timespec="milliseconds")} | fields
        with self._lock:
            self._file.write(json.dumps(line) + "\n")

    def count(self, **fields: Any) -> None:
        """Notes one call; fields carry service, action, instance, principal, status, code, …"""
        fields["mutating"] = is_mutating(fields["service"], fields["action"])
        with self._lock:
            self._seen.append({k: fields[k] for k in (
                "service", "action", "mutating", "instance", "status", "code")})
        self.write(event="request", **fields)

    def reset(self) -> None:
        with self._lock:
            self._seen.clear()

    def summary(self, instance: str = "") -> dict[str, Any]:
        """Calls since the last reset, of one instance or of all."""
        with self._lock:
            seen = [c for c in self._seen if instance in ("", c["instance"])]
        api = [c for c in seen if c["service"] != "imds"]
        return {"total": len(api), "mutating": sum(c["mutating"] for c in api),
                "imds": len(seen) - len(api), "by_action": _by_action(seen)}


def _by_action(seen: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = {}
    for call in seen:
        name = f"{call['service']}:{call['action']}"
        entry = result.setdefault(
            name, {"count": 0, "errors": {}, "mutating": call["mutating"], "instances": {}})
        entry["count"] += 1
        who = call["instance"] or "admin"
        entry["instances"][who] = entry["instances"].get(who, 0) + 1
        if call["status"] >= 400 or call["status"] == 0:
            code = call["code"] or str(call["status"])
            entry["errors"][code] = entry["errors"].get(code, 0) + 1
    return dict(sorted(result.items()))

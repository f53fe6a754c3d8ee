# SPDX-License-Identifier: Apache-2.0
"""The control API: plain HTTP and JSON, for tests and the lab's command only. See ../front."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs

from .api import Api
from .calls import Calls
from .cloudformation import Stacks
from .credentials import Keyring
from .errors import ApiError
from .faults import Faults
from .hypervisor import Hypervisor
from .imds import Imds
from .knobs import check, turn
from .lifecycle import Lifecycle
from .model import Instance, Region
from .policy import Policies
from .wire import Reply, Request, Server

Route = Callable[[dict[str, Any], dict[str, str]], Any]


class Control:
    def __init__(self, region: Region, keyring: Keyring, calls: Calls, faults: Faults, imds: Imds,
                 api: Api, hypervisor: Hypervisor, lifecycle: Lifecycle,
                 stacks: Stacks, policies: Policies) -> None:
        self._region = region
        self._keyring = keyring
        self._calls = calls
        self._faults = faults
        self._imds = imds
        self._api = api
        self._hypervisor = hypervisor
        self._lifecycle = lifecycle
        self._listeners: list[Server] = []
        self._routes: dict[tuple[str, str], Route] = {
            ("GET", "/calls"): lambda body, query: calls.summary(query.get("instance", "")),
            ("POST", "/calls/reset"): lambda body, query: calls.reset(),
            ("GET", "/faults"): lambda body, query: faults.listed(),
            ("POST", "/faults"): lambda body, query: asdict(faults.add(body)),
            ("DELETE", "/faults"): self._clear_faults,
            ("POST", "/imds-faults"): self._imds_fault,
            ("GET", "/instances"): self._instances,
            ("GET", "/volumes"): self._volumes,
            ("GET", "/addresses"): self._addresses,
            ("GET", "/permissions"): lambda body, query: policies.asked(),
            ("POST", "/permissions/judge"): lambda body, query: [
                policies.would_allow(body["policies"], asked) for asked in body["asked"]],
            ("GET", "/policies"): lambda body, query: policies.documents(query["role"]),
            ("GET", "/signals"): lambda body, query: stacks.signals(),
            ("GET", "/settings"): lambda body, query: self._settings_now(),
            ("POST", "/settings"): self._set,
            ("POST", "/credentials/expire"): self._expire,
            ("POST", "/imds/expire-tokens"): lambda body, query: imds.expire_tokens(),
            ("POST", "/imds/listen"): self._listen,
            ("POST", "/instances/forget"): self._forget,
        }

    def serve(self, request: Request) -> Reply:
        route = self._routes.get((request.method, request.path))
        if route is None:
            known = sorted(f"{m} {p}" for m, p in self._routes)
            return _json(404, {"error": "no such control", "known": known})
        query = {k: v[0] for k, v in parse_qs(request.query).items()}
        try:
            body = json.loads(request.body or b"{}")
            return _json(200, route(body, query))
        except (ValueError, TypeError, KeyError, ApiError) as problem:
            return _json(400, {"error": f"{type(problem).__name__}: {problem}"})

    def _clear_faults(self, body: dict[str, Any], query: dict[str, str]) -> None:
        self._faults.clear(int(query["id"]) if "id" in query else None)

    def _imds_fault(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        return asdict(self._faults.add({"action": "imds:*"} | body))

    def _instance(self, instance: Instance) -> dict[str, Any]:
        region = self._region
        interfaces = region.interfaces_of(instance.id)
        return {
            "id": instance.id, "name": instance.tags.get("Name", ""), "state": instance.state,
            "reason": instance.reason, "zone": instance.zone, "role": instance.role,
            "launched": instance.launched.isoformat(),
            "private_ip": interfaces[0].primary if interfaces else "",
            "secondary_ips": [a for i in interfaces for a in i.secondaries],
            "public_ip": next((a.public_ip for a in region.addresses.values()
                               if a.interface_id in {i.id for i in interfaces}), ""),
            "interfaces": [{"id": i.id, "mac": i.mac, "addresses": i.addresses,
                            "subnet": i.subnet_id, "device_index": i.device_index,
                            "source_dest_check": i.source_dest_check} for i in interfaces],
            "volumes": [{"id": v.id, "device": a.device, "state": a.state}
                        for v in region.volumes.values() for a in v.attachments
                        if a.instance_id == instance.id and not a.root]}

    def _instances(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        with self._region.lock:
            return [self._instance(i) for i in self._region.instances.values()]

    def _volumes(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        with self._region.lock:
            return [{"id": v.id, "state": v.state, "zone": v.zone, "size_gib": v.size_gib,
                     "noise": v.noise,
                     "attachments": [{"instance": a.instance_id, "device": a.device,
                                      "state": a.state} for a in v.attachments]}
                    for v in self._region.volumes.values()
                    if not any(a.root for a in v.attachments)]

    def _addresses(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        with self._region.lock:
            return [{"allocation_id": a.allocation_id, "public_ip": a.public_ip,
                     "private_ip": a.private_ip, "interface": a.interface_id,
                     "association_id": a.association_id}
                    for a in self._region.addresses.values()]

    def _settings_now(self) -> dict[str, Any]:
        return {"latency_ms": self._api.latency_ms,
                "credentials_lifetime_s": self._keyring.lifetime_s,
                "forget_s": self._region.forget_s, "delays_ms": self._hypervisor.delays_ms,
                **asdict(self._region.knobs)}

    def _set(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        """Changes what GET /settings shows; an unknown name or a wrong type changes nothing."""
        check(body, self._settings_now())
        self._api.latency_ms = body.get("latency_ms", self._api.latency_ms)
        self._keyring.lifetime_s = body.get("credentials_lifetime_s", self._keyring.lifetime_s)
        self._region.forget_s = body.get("forget_s", self._region.forget_s)
        self._hypervisor.delays_ms |= body.get("delays_ms", {})
        turn(self._region.knobs, body)
        return self._settings_now()

    def _expire(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        return {"expired": self._keyring.expire(body.get("instance", ""))}

    def _forget(self, body: dict[str, Any], query: dict[str, str]) -> None:
        with self._region.lock:
            instance = self._region.instance(body["instance"])
            if instance.state != "terminated":
                raise ValueError(f"{instance.id} is {instance.state}, not terminated")
            del self._region.instances[instance.id]

    def _listen(self, body: dict[str, Any], query: dict[str, str]) -> Any:
        """Opens one more IMDS listener on the loopback, which speaks for one instance."""
        with self._region.lock:
            instance = self._region.instance(body["instance"])
        server = Server(("127.0.0.1", int(body.get("port", 0))), self._imds.handler(instance.id))
        server.start()
        self._listeners.append(server)
        return {"endpoint": f"http://127.0.0.1:{server.bound[1]}"}


def _json(status: int, value: Any) -> Reply:
    return Reply(status, (json.dumps(value, indent=1) + "\n").encode(), "application/json")

# SPDX-License-Identifier: Apache-2.0
"""What the front itself knows of a region: instances, interfaces, volumes and Elastic IPs.

moto decides what exists (and so serves CloudFormation and Auto Scaling); whatever a machine would
notice (states, attachments, addresses) is kept here, as strictly as EC2 documents it. Everything
is guarded by Region.lock.
"""

from __future__ import annotations

import copy
import hashlib
import ipaddress
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from .errors import ApiError
from .knobs import Knobs

Facts = dict[str, Any]  # a resource as moto describes it, parsed by botocore

STATE_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48,
               "stopping": 64, "stopped": 80}


def now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


def new_id(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(9)[:17]}"


@dataclass
class Attachment:
    instance_id: str
    device: str
    state: str  # attaching, attached, detaching
    since: datetime
    delete_on_termination: bool = False
    root: bool = False  # came with the instance; the hypervisor knows nothing of it


@dataclass
class Volume:
    id: str
    facts: Facts
    zone: str
    size_gib: int
    multi_attach: bool
    state: str = "creating"  # creating, available, in-use, deleting
    attachments: list[Attachment] = field(default_factory=list)
    noise: dict[str, str] = field(default_factory=dict)  # what the hypervisor is told; empty: it is blank

    def attachment_to(self, instance_id: str) -> Attachment | None:
        return next((a for a in self.attachments if a.instance_id == instance_id), None)


@dataclass
class Interface:
    id: str
    facts: Facts
    subnet_id: str
    vpc_id: str
    zone: str
    primary: str
    secondaries: list[str] = field(default_factory=list)
    source_dest_check: bool = True
    instance_id: str = ""
    attachment_id: str = ""
    device_index: int = 0
    card: int = 0  # each network card has a device index 0 of its own
    kind: str = "interface"  # or "efa-only", which has no addresses
    attached_at: datetime | None = None
    delete_on_termination: bool = True

    @property
    def addresses(self) -> list[str]:
        return [self.primary, *self.secondaries] if self.primary else []

    @property
    def mac(self) -> str:
        digest = hashlib.sha256(self.id.encode()).digest()
        return "02:" + ":".join(f"{byte:02x}" for byte in digest[:5])


@dataclass
class Address:
    allocation_id: str
    public_ip: str
    facts: Facts
    association_id: str = ""
    interface_id: str = ""
    private_ip: str = ""


@dataclass
class Instance:
    id: str
    facts: Facts
    reservation: Facts
    zone: str
    subnet_id: str
    user_data: str  # base64, as given
    profile_arn: str
    role: str
    state: str = "pending"
    reason: str = ""
    tags_in_metadata: bool = False
    hop_limit: int = 1  # of the answer that carries a token of its metadata
    since: float = field(default_factory=time.time)  # of the present state
    first_question: float = 0.0  # to its metadata, by time.monotonic(); 0: none yet
    first_call: float = 0.0  # of AWS, signed by its role
    launched: datetime = field(default_factory=now)

    @property
    def tags(self) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.facts.get("Tags", [])}

    def enter(self, state: str, reason: str = "") -> None:
        self.state, self.reason, self.since = state, reason, time.time()


class Region:
    def __init__(self, name: str, reserved: set[str], forget_s: float, knobs: Knobs) -> None:
        self.name = name
        self.knobs = knobs
        self._noisy = 0
        self.reserved = reserved  # addresses that are never given out unasked
        self.forget_s = forget_s
        self.account = "123456789012"
        self.lock = threading.RLock()
        self.instances: dict[str, Instance] = {}
        self.interfaces: dict[str, Interface] = {}
        self.volumes: dict[str, Volume] = {}
        self.addresses: dict[str, Address] = {}  # by allocation id
        self.subnets: dict[str, Facts] = {}
        self.vpcs: dict[str, Facts] = {}
        self.tokens: dict[tuple[str, str], tuple[str, Any]] = {}  # (action, ClientToken)
        self._past: deque[tuple[float, Region]] = deque()  # until when, and what was so

    def keep(self) -> None:
        """Called before something changes: reads may go on to show how it was for a while."""
        limit = max(self.knobs.reads.stale_s, self.knobs.imds.stale_s)
        now_s = time.monotonic()
        while self._past and self._past[0][0] < now_s - limit:
            self._past.popleft()
        if limit > 0:
            self._past.append((now_s, self._copy()))

    def as_of(self, seconds: float) -> Region:
        """The region as it was so many seconds ago, to be read only."""
        when = time.monotonic() - seconds
        return next((past for until, past in self._past if until > when), self)

    def _copy(self) -> Region:
        made = copy.copy(self)
        made.volumes = {v.id: replace(v, attachments=[replace(a) for a in v.attachments])
                        for v in self.volumes.values()}
        made.interfaces = {i.id: replace(i, secondaries=list(i.secondaries))
                           for i in self.interfaces.values()}
        made.addresses = {a.allocation_id: replace(a) for a in self.addresses.values()}
        made.instances = {i.id: replace(i) for i in self.instances.values()}
        return made

    def noise_of(self, volume: Volume) -> dict[str, str]:
        """What an encrypted volume reads as, unless it was made from a snapshot: noise, another one for each.

        A failure prints the seed; with it, the same volumes made in the same order have the same noise.
        """
        if self.knobs.noise.mode == "none" or not volume.facts.get("Encrypted") \
                or volume.facts.get("SnapshotId"):
            return {}
        self._noisy += 1
        return {"mode": self.knobs.noise.mode, "seed": f"{self.knobs.seed}/{self._noisy}",
                "imitate": self.knobs.noise.imitate}

    def interfaces_of(self, instance_id: str) -> list[Interface]:
        found = [i for i in self.interfaces.values() if i.instance_id == instance_id]
        return sorted(found, key=lambda i: (i.card, i.device_index))

    def private_ip(self, instance_id: str) -> str:
        found = self.interfaces_of(instance_id)
        return found[0].primary if found else ""

    def holder_of(self, subnet_id: str, address: str) -> Interface | None:
        return next((i for i in self.interfaces.values()
                     if i.subnet_id == subnet_id and address in i.addresses), None)

    def taken(self, address: str) -> bool:
        """Whether an interface of any VPC has it: they all are one network in the lab, and its metadata
        knows an instance by its address."""
        return any(address in i.addresses for i in self.interfaces.values())

    def network(self, subnet_id: str) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(self.subnets[subnet_id]["CidrBlock"])

    def check_address(self, subnet_id: str, address: str) -> None:
        """Refuses no usable address of the subnet: EC2 keeps the first four and the last."""
        network = self.network(subnet_id)
        try:
            parsed = ipaddress.IPv4Address(address)
        except ValueError:
            raise ApiError("InvalidParameterValue",
                           f"invalid value for parameter address: [{address}]") from None
        if parsed not in network:
            raise ApiError("InvalidParameterValue",
                           f"Address {address} does not fall within the subnet's address range")
        if int(parsed) - int(network.network_address) < 4 or parsed == network.broadcast_address:
            raise ApiError("InvalidParameterValue",
                           f"Address {address} is in subnet's reserved address range")

    def free_address(self, subnet_id: str) -> str:
        network = self.network(subnet_id)
        first = int(network.network_address) + 10
        for number in range(first, int(network.broadcast_address)):
            address = str(ipaddress.IPv4Address(number))
            if address not in self.reserved and not self.taken(address):
                return address
        raise ApiError("InsufficientFreeAddressesInSubnet",
                       f"There are not enough free addresses in subnet '{subnet_id}'")

    def address_on(self, interface_id: str, private_ip: str) -> Address | None:
        return next((a for a in self.addresses.values()
                     if a.interface_id == interface_id and a.private_ip == private_ip), None)

    # Look-ups that refuse as EC2 does.

    def instance(self, instance_id: str) -> Instance:
        _check_id(instance_id, "i", "InvalidInstanceID.Malformed", f'Invalid id: "{instance_id}"')
        found = self.instances.get(instance_id)
        if found is None:
            raise ApiError("InvalidInstanceID.NotFound",
                           f"The instance ID '{instance_id}' does not exist")
        return found

    def volume(self, volume_id: str) -> Volume:
        _check_id(volume_id, "vol", "InvalidParameterValue",
                  f"Value ({volume_id}) for parameter volumeId is invalid. Expected: 'vol-...'.")
        found = self.volumes.get(volume_id)
        if found is None:
            raise ApiError("InvalidVolume.NotFound", f"The volume '{volume_id}' does not exist.")
        return found

    def interface(self, interface_id: str) -> Interface:
        _check_id(interface_id, "eni", "InvalidNetworkInterfaceId.Malformed",
                  f"Invalid id: \"{interface_id}\" (expecting \"eni-...\")")
        found = self.interfaces.get(interface_id)
        if found is None:
            raise ApiError("InvalidNetworkInterfaceID.NotFound",
                           f"The networkInterface ID '{interface_id}' does not exist")
        return found

    def address(self, allocation_id: str) -> Address:
        found = self.addresses.get(allocation_id)
        if found is None:
            raise ApiError("InvalidAllocationID.NotFound",
                           f"The allocation ID '{allocation_id}' does not exist")
        return found

    def remembered(self, action: str, token: str | None, params: dict[str, Any]) -> Any:
        """What the same call with the same ClientToken made before, or None."""
        known = self.tokens.get((action, token)) if token else None
        if known is None:
            return None
        if known[0] != repr(params):
            raise ApiError("IdempotentParameterMismatch",
                           "Arguments on this idempotent request are inconsistent with arguments "
                           "used in previous request(s).")
        return known[1]

    def remember(self, action: str, token: str | None, params: dict[str, Any], made: Any) -> None:
        if token:
            self.tokens[action, token] = (repr(params), made)


def _check_id(value: str, kind: str, code: str, message: str) -> None:
    prefix, _, digits = value.partition("-")
    if prefix != kind or len(digits) not in (8, 17) or set(digits) - set("0123456789abcdef"):
        raise ApiError(code, message)

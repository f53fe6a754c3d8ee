# SPDX-License-Identifier: Apache-2.0
"""What happens to machines, disks and addresses over time; drives the hypervisor's hook."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .hypervisor import Hypervisor
from .model import Address, Attachment, Instance, Interface, Region, Volume, new_id, now

CREATE_VOLUME_S = 0.05


class Lifecycle:
    """Called with the region locked; what comes back from the hook takes the lock itself."""

    def __init__(self, region: Region, hypervisor: Hypervisor) -> None:
        self._region = region
        self._hypervisor = hypervisor
        self.failed: Callable[[], None] = lambda: None  # called when a launch came to nothing

    # Instances

    def launch(self, instance: Instance) -> None:
        region = self._region
        interface = region.interfaces_of(instance.id)[0]
        network = region.network(instance.subnet_id)
        self._hypervisor.submit(instance.id, "launch", {
            "instance_id": instance.id, "private_ip": interface.primary,
            "prefix_len": network.prefixlen, "gateway": str(network.network_address + 1),
            "mac": interface.mac, "eni_id": interface.id, "zone": instance.zone,
            "type": instance.facts.get("InstanceType", ""),
            "name": instance.tags.get("Name", ""), "user_data": instance.user_data,
        }, lambda error: self._launched(instance, error))

    def _launched(self, instance: Instance, error: str) -> None:
        with self._region.lock:
            if instance.state != "pending":
                return  # terminated meanwhile
            self._region.keep()
            if error:
                self._gone(instance, "Server.InternalError")
                self.failed()
            else:
                instance.enter("running")

    def terminate(self, instance: Instance) -> None:
        if instance.state in ("shutting-down", "terminated"):
            return
        instance.enter("shutting-down", "Client.UserInitiatedShutdown")
        self._hypervisor.submit(
            instance.id, "terminate", {"instance_id": instance.id},
            lambda error: _later(self._region.knobs.ec2.shutting_down_s,
                                 lambda: self._terminated(instance)))

    def _terminated(self, instance: Instance) -> None:
        with self._region.lock:
            self._region.keep()
            self._gone(instance, "Client.UserInitiatedShutdown")

    def _gone(self, instance: Instance, reason: str) -> None:
        """Frees all that a machine held: disks, interfaces with their addresses, Elastic IPs."""
        instance.enter("terminated", reason)
        for volume in list(self._region.volumes.values()):
            if volume.attachment_to(instance.id) is not None:
                self._free(volume, instance.id)
        for interface in self._region.interfaces_of(instance.id):
            if interface.delete_on_termination:
                self.drop_interface(interface)
            else:
                self.detach_interface(interface)

    def stop(self, instance: Instance) -> None:
        instance.enter("stopping", "Client.UserInitiatedShutdown")
        self._hypervisor.submit(instance.id, "stop", {"instance_id": instance.id},
                                lambda error: self._move(instance, "stopping", "stopped"))

    def start(self, instance: Instance) -> None:
        instance.enter("pending")
        self._hypervisor.submit(instance.id, "start", {"instance_id": instance.id},
                                lambda error: self._launched(instance, error))

    def reboot(self, instance: Instance) -> None:
        self._hypervisor.submit(instance.id, "reboot", {"instance_id": instance.id})

    def _move(self, instance: Instance, before: str, after: str) -> None:
        with self._region.lock:
            if instance.state == before:
                self._region.keep()
                instance.enter(after, instance.reason)

    def forget(self) -> None:
        """Drops instances that have been terminated for so long that EC2 would not know them."""
        region = self._region
        limit = time.time() - region.forget_s
        for instance in list(region.instances.values()):
            if instance.state == "terminated" and instance.since <= limit:
                del region.instances[instance.id]

    # Volumes

    def volume_created(self, volume: Volume) -> None:
        volume.noise = self._region.noise_of(volume)

        def available() -> None:
            with self._region.lock:
                if volume.state == "creating":
                    self._region.keep()
                    volume.state = "available"
        _later(CREATE_VOLUME_S, available)

    def attach(self, volume: Volume, instance: Instance, device: str) -> Attachment:
        attachment = Attachment(instance.id, device, "attaching", now())
        volume.attachments.append(attachment)
        volume.state = "in-use"

        def attached(error: str) -> None:
            with self._region.lock:
                # A failed hook leaves it attaching, as a real volume gets stuck.
                if not error and attachment.state == "attaching":
                    self._region.keep()
                    attachment.state = "attached"
        self._hypervisor.submit(instance.id, "attach", self._disk(volume, attachment), attached)
        return attachment

    def detach(self, volume: Volume, attachment: Attachment) -> None:
        attachment.state = "detaching"

        def detached(error: str) -> None:
            with self._region.lock:
                if not error and attachment in volume.attachments:
                    self._region.keep()
                    self._free(volume, attachment.instance_id)
        self._hypervisor.submit(attachment.instance_id, "detach",
                                self._disk(volume, attachment), detached)

    @staticmethod
    def _disk(volume: Volume, attachment: Attachment) -> dict[str, object]:
        return {"instance_id": attachment.instance_id, "volume_id": volume.id,
                "device": attachment.device, "size_gib": volume.size_gib} | (
                    {"noise": volume.noise} if volume.noise else {})

    def _free(self, volume: Volume, instance_id: str) -> None:
        attachment = volume.attachment_to(instance_id)
        assert attachment is not None
        volume.attachments.remove(attachment)
        if not volume.attachments:
            volume.state = "available"
        if attachment.delete_on_termination:
            self._region.volumes.pop(volume.id, None)

    # Addresses

    def associate(self, address: Address, interface: Interface, private_ip: str) -> None:
        self.disassociate(address)
        address.interface_id, address.private_ip = interface.id, private_ip
        address.association_id = new_id("eipassoc")
        self._hypervisor.submit("addresses", "associate", {
            "public_ip": address.public_ip, "private_ip": private_ip})

    def disassociate(self, address: Address) -> None:
        if not address.association_id:
            return
        self._hypervisor.submit("addresses", "disassociate", {
            "public_ip": address.public_ip, "private_ip": address.private_ip})
        address.association_id = address.interface_id = address.private_ip = ""

    # Interfaces

    def attach_interface(self, interface: Interface, instance: Instance, index: int,
                         card: int) -> None:
        interface.instance_id = instance.id
        interface.device_index, interface.card = index, card
        interface.attachment_id = new_id("eni-attach")
        interface.attached_at = now()
        interface.delete_on_termination = False

    def detach_interface(self, interface: Interface) -> None:
        interface.instance_id = interface.attachment_id = ""
        interface.attached_at = None

    def drop_interface(self, interface: Interface) -> None:
        for address in self._region.addresses.values():
            if address.interface_id == interface.id:
                self.disassociate(address)
        self._region.interfaces.pop(interface.id, None)


def _later(seconds: float, action: Callable[[], None]) -> None:
    if seconds <= 0:
        action()
        return
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()

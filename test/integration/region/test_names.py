# SPDX-License-Identifier: Apache-2.0
"""The names of a machine, and which of its interfaces is the primary one."""

import pytest
from region_checks.harness import refused

pytestmark = pytest.mark.needs_root
DHCP = "Corp.Example.COM"


def names_of(front, machine):
    """EC2's of the primary interface, the two that follow DHCP's option set, and the instance's own."""
    shown = front.describe(machine)
    primary = next(i for i in shown["NetworkInterfaces"]
                   if (i["Attachment"]["DeviceIndex"], i["Attachment"]["NetworkCardIndex"]) == (0, 0))
    return (primary.get("PrivateDnsName"), front.get_metadata(machine, "meta-data/local-hostname")[1],
            front.get_metadata(machine, "meta-data/hostname")[1], shown["PrivateDnsName"])


def host_of(front, machine):
    return "ip-" + front.describe(machine)["PrivateIpAddress"].replace(".", "-")


def find(front, name):
    found = front.ec2.describe_instances(Filters=[
        {"Name": "network-interface.private-dns-name", "Values": [name]}])["Reservations"]
    return [i["InstanceId"] for r in found for i in r["Instances"]]


def test_dhcp_decides_what_imds_says_and_not_what_an_interface_is_called(front):
    machine = front.launch()
    host = host_of(front, machine)
    assert names_of(front, machine) == (f"{host}.ec2.internal", *(3 * [f"{host}.{DHCP}"]))
    assert find(front, f"{host}.ec2.internal") == [machine]
    assert find(front, f"{host}.{DHCP}") == []
    found = front.ec2.describe_instances(Filters=[{"Name": "private-dns-name", "Values": [f"{host}.{DHCP}"]}])
    assert [i["InstanceId"] for r in found["Reservations"] for i in r["Instances"]] == [machine]
    with front.settings(dns={"dhcp_domain": "", "ec2_domain": "Ec2.Internal"}):
        assert names_of(front, machine) == tuple(4 * [f"{host}.Ec2.Internal"])
        assert find(front, f"{host}.ec2.internal") == []  # filters heed case
        assert find(front, f"{host}.*") == [machine]
    front.ec2.terminate_instances(InstanceIds=[machine])


def test_without_dns_host_names_an_interface_has_no_name(front):
    machine = front.launch()
    host = host_of(front, machine)
    switch = dict(VpcId=front.seed["vpc_id"])
    front.ec2.modify_vpc_attribute(EnableDnsHostnames={"Value": False}, **switch)
    try:
        assert names_of(front, machine) == (None, *(3 * [f"{host}.{DHCP}"]))
        assert find(front, f"{host}.ec2.internal") == []
        [interface] = front.describe(machine)["NetworkInterfaces"]
        [shown] = front.ec2.describe_network_interfaces(
            NetworkInterfaceIds=[interface["NetworkInterfaceId"]])["NetworkInterfaces"]
        assert "PrivateDnsName" not in shown, shown
    finally:
        front.ec2.modify_vpc_attribute(EnableDnsHostnames={"Value": True}, **switch)
    assert names_of(front, machine)[0] == f"{host}.ec2.internal"
    front.ec2.terminate_instances(InstanceIds=[machine])


def test_each_network_card_has_a_device_0(front):
    machine = front.launch()
    ec2 = front.ec2
    [primary] = front.describe(machine)["NetworkInterfaces"]
    added = [ec2.create_network_interface(SubnetId=primary["SubnetId"], **how)["NetworkInterface"]
             for how in ({}, {"InterfaceType": "efa-only"})]
    with refused("InvalidParameterValue"):
        ec2.attach_network_interface(NetworkInterfaceId=added[0]["NetworkInterfaceId"],
                                     InstanceId=machine, DeviceIndex=0)
    for card, interface in enumerate(added, 1):
        ec2.attach_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"],
                                     InstanceId=machine, DeviceIndex=0, NetworkCardIndex=card)
    macs = sorted(i["MacAddress"] for i in (primary, *added))
    path = "meta-data/network/interfaces/macs"
    assert front.get_metadata(machine, f"{path}/")[1].split() == [f"{mac}/" for mac in macs]
    assert front.get_metadata(machine, "meta-data/mac")[1] == primary["MacAddress"]
    assert front.get_metadata(machine, "meta-data/local-ipv4")[1] == primary["PrivateIpAddress"]
    for card, interface in enumerate((primary, *added)):
        below = f"{path}/{interface['MacAddress']}"
        shown = [front.get_metadata(machine, f"{below}/{name}")[1]
                 for name in ("device-number", "network-card", "interface-id")]
        assert shown == ["0", str(card), interface["NetworkInterfaceId"]]
        assert front.get_metadata(machine, f"{below}/local-ipv4s")[0] == (404 if card == 2 else 200)

    shown = {i["Attachment"]["NetworkCardIndex"]: i for i in front.describe(machine)["NetworkInterfaces"]}
    assert [shown[card]["Attachment"]["DeviceIndex"] for card in range(3)] == [0, 0, 0]
    bare = shown[2]
    assert (bare["InterfaceType"], bare["PrivateIpAddresses"]) == ("efa-only", [])
    assert not {"SourceDestCheck", "PrivateIpAddress", "PrivateDnsName"} & bare.keys(), bare
    with refused("InvalidParameterCombination"):
        ec2.modify_network_interface_attribute(NetworkInterfaceId=bare["NetworkInterfaceId"],
                                               SourceDestCheck={"Value": False})
    with refused("OperationNotPermitted"):
        ec2.detach_network_interface(AttachmentId=shown[0]["Attachment"]["AttachmentId"])
    ec2.detach_network_interface(AttachmentId=shown[1]["Attachment"]["AttachmentId"])
    front.ec2.terminate_instances(InstanceIds=[machine])

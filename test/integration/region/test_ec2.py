# SPDX-License-Identifier: Apache-2.0
"""Instances, volumes, addresses and interfaces: states that take time, and what EC2 refuses."""

import re

import pytest
from region_checks.harness import refused, wait

pytestmark = pytest.mark.needs_root
RESERVED = "172.20.128.9"


def test_an_instance_goes_through_its_states(front):
    with front.settings(delays_ms={"launch": 100, "stop": 100, "start": 100, "terminate": 3000}):
        ec2 = front.ec2
        made = ec2.run_instances(
            ImageId=front.seed["image_id"], MinCount=1, MaxCount=1, InstanceType="t3.small",
            SubnetId=front.seed["subnets"]["us-east-1b"], ClientToken="once")["Instances"][0]
        again = ec2.run_instances(
            ImageId=front.seed["image_id"], MinCount=1, MaxCount=1, InstanceType="t3.small",
            SubnetId=front.seed["subnets"]["us-east-1b"], ClientToken="once")["Instances"][0]
        instance = made["InstanceId"]
        assert (made["State"]["Name"], again["InstanceId"]) == ("pending", instance)
        with refused("IdempotentParameterMismatch"):
            ec2.run_instances(ImageId=front.seed["image_id"], MinCount=1, MaxCount=2,
                              ClientToken="once")
        assert made["PrivateIpAddress"].startswith("172.20.14"), made["PrivateIpAddress"]
        assert made["Placement"]["AvailabilityZone"] == "us-east-1b"
        front.wait_instance(instance, "running")
        change = ec2.stop_instances(InstanceIds=[instance])["StoppingInstances"][0]
        assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "stopping")
        with refused("IncorrectInstanceState"):
            ec2.start_instances(InstanceIds=[instance])
        front.wait_instance(instance, "stopped")
        ec2.start_instances(InstanceIds=[instance])
        assert front.describe(instance)["State"]["Name"] == "pending"
        front.wait_instance(instance, "running")
        ec2.reboot_instances(InstanceIds=[instance])
        ec2.terminate_instances(InstanceIds=[instance])
        assert front.describe(instance)["State"]["Name"] == "shutting-down"
        front.wait_instance(instance, "terminated")
        assert "PrivateIpAddress" not in front.describe(instance)
    with refused("IncorrectInstanceState"):
        ec2.reboot_instances(InstanceIds=[instance])
    front.control("POST", "/instances/forget", {"instance": instance})
    with refused("InvalidInstanceID.NotFound"):
        ec2.describe_instances(InstanceIds=[instance])
    with refused("InvalidInstanceID.Malformed"):
        ec2.describe_instances(InstanceIds=["i-nonsense"])


def test_terminated_instances_are_forgotten_after_a_while(front):
    instance = front.launch()
    front.ec2.terminate_instances(InstanceIds=[instance])
    front.wait_instance(instance, "terminated")
    with front.settings(forget_s=0), refused("InvalidInstanceID.NotFound"):
        front.ec2.describe_instances(InstanceIds=[instance])


def test_the_reserved_address_is_never_given_out(front):
    subnet = front.seed["subnets"]["us-east-1a"]
    made = front.ec2.run_instances(ImageId=front.seed["image_id"], MinCount=12, MaxCount=12,
                                   InstanceType="t3.small", SubnetId=subnet)["Instances"]
    addresses = [i["PrivateIpAddress"] for i in made]
    assert len(set(addresses)) == 12
    assert RESERVED not in addresses and all(a.startswith("172.20.128.") for a in addresses)
    front.ec2.terminate_instances(InstanceIds=[i["InstanceId"] for i in made])


def test_an_instance_that_ec2_would_not_launch_is_refused(front):
    with refused("InvalidParameterValue"):
        front.launch(role="no-such-profile")
    with refused("InvalidSubnetID.NotFound"):
        front.ec2.run_instances(ImageId=front.seed["image_id"], MinCount=1, MaxCount=1,
                                SubnetId="subnet-00000000")
    instance = front.launch()
    front.ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": True})
    with refused("OperationNotPermitted"):
        front.ec2.terminate_instances(InstanceIds=[instance])
    assert front.describe(instance)["State"]["Name"] == "running"
    front.ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_an_address_asked_for_is_given_once(front):
    instance = front.launch(PrivateIpAddress="172.20.128.77")
    assert front.describe(instance)["PrivateIpAddress"] == "172.20.128.77"
    with refused("InvalidIPAddress.InUse"):
        front.launch(PrivateIpAddress="172.20.128.77")
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_a_volume_is_attached_in_time(front):
    instance, volume = front.launch(), front.new_volume()
    with front.settings(delays_ms={"attach": 200, "detach": 200}):
        reply = front.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
        assert reply["State"] == "attaching"
        shown = front.volume(volume)
        assert (shown["State"], shown["Attachments"][0]["State"]) == ("in-use", "attaching")
        front.wait_volume(volume, "attached")
        mapped = {m["DeviceName"]: m["Ebs"]["VolumeId"]
                  for m in front.describe(instance)["BlockDeviceMappings"]}
        assert mapped["/dev/sdf"] == volume
        assert front.ec2.detach_volume(VolumeId=volume)["State"] == "detaching"
        with refused("IncorrectState"):
            front.ec2.detach_volume(VolumeId=volume)
        front.wait_volume(volume, "available")
    with refused("IncorrectState"):
        front.ec2.detach_volume(VolumeId=volume)
    front.ec2.delete_volume(VolumeId=volume)
    with refused("InvalidVolume.NotFound"):
        front.ec2.describe_volumes(VolumeIds=[volume])
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_a_volume_is_not_attached_where_it_may_not_be(front):
    ec2, here, other = front.ec2, front.launch(), front.launch()
    far, volume = front.launch("us-east-1b"), front.new_volume()

    def attach(to, device="/dev/sdf", what=volume):
        ec2.attach_volume(VolumeId=what, InstanceId=to, Device=device)

    with refused("InvalidVolume.ZoneMismatch"):
        attach(far)
    with refused("InvalidVolume.NotFound"):
        attach(here, what="vol-00000000000000000")
    with refused("InvalidParameterValue"):
        attach(here, what="vol-x")
    with refused("InvalidInstanceID.NotFound"):
        attach("i-00000000000000000")
    for wrong in ("/dev/nvme1n1", "/dev/sdf16", "/dev/xvdzz"):
        with refused("InvalidParameterValue"):
            attach(here, wrong)
    attach(here)
    for instance in (here, other):  # attaching already counts
        with refused("VolumeInUse"):
            attach(instance)
    front.wait_volume(volume, "attached")
    with refused("VolumeInUse"):
        attach(other)
    with refused("VolumeInUse"):
        ec2.delete_volume(VolumeId=volume)
    second = front.new_volume()
    with refused("InvalidParameterValue"):
        attach(here, what=second)  # the device name is taken
    with refused("InvalidAttachment.NotFound"):
        ec2.detach_volume(VolumeId=volume, InstanceId=other)
    with refused("InvalidAttachment.NotFound"):
        ec2.detach_volume(VolumeId=volume, InstanceId=here, Device="/dev/sdz")
    root = front.describe(here)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    with refused("OperationNotPermitted"):
        ec2.detach_volume(VolumeId=root)
    with front.settings(delays_ms={"launch": 300, "stop": 300, "terminate": 300}):
        pending = ec2.run_instances(
            ImageId=front.seed["image_id"], MinCount=1, MaxCount=1, InstanceType="t3.small",
            SubnetId=front.seed["subnets"]["us-east-1a"])["Instances"][0]["InstanceId"]
        with refused("IncorrectState"):
            attach(pending, what=second)
        ec2.stop_instances(InstanceIds=[other])
        with refused("IncorrectState"):
            attach(other, what=second)
        ec2.terminate_instances(InstanceIds=[here])
        with refused("IncorrectState"):
            attach(here, what=second)
    assert front.volume(second)["State"] == "available"
    ec2.terminate_instances(InstanceIds=[other, far, pending])


def test_a_multi_attach_volume_is_told_and_shared(front):
    one, two = front.launch(), front.launch()
    with refused("InvalidParameterCombination"):
        front.new_volume(MultiAttachEnabled=True, VolumeType="gp3")
    volume = front.new_volume(MultiAttachEnabled=True, VolumeType="io2", Iops=100)
    assert front.volume(volume)["MultiAttachEnabled"] is True
    for instance in (one, two):
        front.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    assert len(front.volume(volume)["Attachments"]) == 2
    front.ec2.terminate_instances(InstanceIds=[one, two])


def test_a_volume_made_twice_with_one_token_is_one(front):
    made = [front.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, ClientToken="t")
            for _ in range(2)]
    assert made[0]["VolumeId"] == made[1]["VolumeId"]
    with refused("IdempotentParameterMismatch"):
        front.ec2.create_volume(AvailabilityZone="us-east-1a", Size=2, ClientToken="t")


def test_what_a_terminated_instance_held_is_free(front):
    ec2, instance, volume = front.ec2, front.launch(), front.new_volume()
    interface = front.describe(instance)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    ec2.associate_address(AllocationId=allocation, InstanceId=instance)
    ec2.assign_private_ip_addresses(NetworkInterfaceId=interface, PrivateIpAddresses=[RESERVED])
    front.wait_volume(volume, "attached")
    root = front.describe(instance)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    other = front.launch()
    with front.settings(delays_ms={"terminate": 3000}):
        ec2.terminate_instances(InstanceIds=[instance])
        # Until it is down, all is still its own.
        assert front.volume(volume)["State"] == "in-use"
        with refused("VolumeInUse"):
            ec2.attach_volume(VolumeId=volume, InstanceId=other, Device="/dev/sdf")
        front.wait_instance(instance, "terminated")
    assert front.volume(volume)["State"] == "available"
    assert "AssociationId" not in ec2.describe_addresses(AllocationIds=[allocation])["Addresses"][0]
    with refused("InvalidNetworkInterfaceID.NotFound"):
        ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])
    with refused("InvalidVolume.NotFound"):
        ec2.describe_volumes(VolumeIds=[root])
    # Free for all: without reassignment, as nobody has it.
    new = front.describe(other)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    ec2.assign_private_ip_addresses(NetworkInterfaceId=new, PrivateIpAddresses=[RESERVED])
    ec2.terminate_instances(InstanceIds=[other])
    front.wait_instance(other, "terminated")


def test_an_elastic_ip_moves_only_when_told(front):
    ec2, one, two = front.ec2, front.launch(), front.launch()
    first, second = (ec2.allocate_address(Domain="vpc") for _ in range(2))
    allocation = first["AllocationId"]
    assert first["PublicIp"].startswith("203.0.113."), first
    association = ec2.associate_address(AllocationId=allocation, InstanceId=one)["AssociationId"]
    assert ec2.associate_address(AllocationId=allocation, InstanceId=one)["AssociationId"] == association
    for wanted in (allocation, second["AllocationId"]):
        with refused("Resource.AlreadyAssociated"):
            ec2.associate_address(AllocationId=wanted, InstanceId=one if wanted != allocation
                                  else two, AllowReassociation=False)
    assert front.describe(one)["PublicIpAddress"] == first["PublicIp"]
    moved = ec2.associate_address(AllocationId=allocation, InstanceId=two, AllowReassociation=True)
    assert moved["AssociationId"] != association
    assert "PublicIpAddress" not in front.describe(one)
    assert front.describe(two)["PublicIpAddress"] == first["PublicIp"]
    for asked in ({"AllocationIds": [allocation]}, {"PublicIps": [first["PublicIp"]]},
                  {"Filters": [{"Name": "instance-id", "Values": [two]}]},
                  {"Filters": [{"Name": "public-ip", "Values": [first["PublicIp"]]}]}):
        found = ec2.describe_addresses(**asked)["Addresses"]
        assert [(a["AllocationId"], a["InstanceId"]) for a in found] == [(allocation, two)]
    with refused("InvalidIPAddress.InUse"):
        ec2.release_address(AllocationId=allocation)
    ec2.disassociate_address(AssociationId=moved["AssociationId"])
    with refused("InvalidAssociationID.NotFound"):
        ec2.disassociate_address(AssociationId=moved["AssociationId"])
    ec2.release_address(AllocationId=allocation)
    with refused("InvalidAllocationID.NotFound"):
        ec2.associate_address(AllocationId=allocation, InstanceId=one)
    with refused("InvalidAllocationID.NotFound"):
        ec2.describe_addresses(AllocationIds=[allocation])
    with refused("InvalidAddress.NotFound"):
        ec2.describe_addresses(PublicIps=["198.51.100.1"])
    ec2.terminate_instances(InstanceIds=[one, two])


def test_only_a_secondary_address_moves_and_only_when_told(front):
    ec2, one, two, far = front.ec2, front.launch(), front.launch(), front.launch("us-east-1b")
    enis = {i: front.describe(i)["NetworkInterfaces"][0]["NetworkInterfaceId"]
            for i in (one, two, far)}

    def assign(to, address, **more):
        ec2.assign_private_ip_addresses(NetworkInterfaceId=enis[to], PrivateIpAddresses=[address],
                                        **more)

    for address in ("172.20.144.9", "172.20.128.2", "172.20.143.255", "10.0.0.1", "x"):
        with refused("InvalidParameterValue"):
            assign(one, address)
    assign(one, RESERVED)
    assign(one, RESERVED)  # has it already
    with refused("InvalidParameterValue"):
        assign(two, RESERVED)
    with refused("InvalidParameterValue"):
        assign(far, RESERVED, AllowReassignment=True)
    primary = front.describe(one)["PrivateIpAddress"]
    with refused("InvalidParameterValue"):
        assign(two, primary, AllowReassignment=True)
    allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.associate_address(AllocationId=allocation, NetworkInterfaceId=enis[one],
                          PrivateIpAddress=RESERVED)
    assign(two, RESERVED, AllowReassignment=True)
    found = ec2.describe_network_interfaces(Filters=[
        {"Name": "addresses.private-ip-address", "Values": [RESERVED]}])["NetworkInterfaces"]
    assert [i["NetworkInterfaceId"] for i in found] == [enis[two]]
    held = [(a["PrivateIpAddress"] == RESERVED, a["Primary"]) for a in found[0]["PrivateIpAddresses"]]
    assert held == [(False, True), (True, False)]
    # The Elastic IP went with it.
    assert ec2.describe_addresses(AllocationIds=[allocation])["Addresses"][0]["InstanceId"] == two
    with refused("InvalidParameterValue"):
        ec2.unassign_private_ip_addresses(NetworkInterfaceId=enis[one],
                                          PrivateIpAddresses=[RESERVED])
    with refused("InvalidParameterValue"):
        ec2.unassign_private_ip_addresses(NetworkInterfaceId=enis[one],
                                          PrivateIpAddresses=[primary])
    ec2.unassign_private_ip_addresses(NetworkInterfaceId=enis[two], PrivateIpAddresses=[RESERVED])
    assert "AssociationId" not in ec2.describe_addresses(AllocationIds=[allocation])["Addresses"][0]
    ec2.terminate_instances(InstanceIds=[one, two, far])


def test_source_dest_check_has_one_truth(front):
    ec2, instance = front.ec2, front.launch()
    interface = front.describe(instance)["NetworkInterfaces"][0]["NetworkInterfaceId"]

    def views():
        filtered = ec2.describe_network_interfaces(Filters=[
            {"Name": "attachment.instance-id", "Values": [instance]}])["NetworkInterfaces"]
        attribute = ec2.describe_instance_attribute(InstanceId=instance,
                                                    Attribute="sourceDestCheck")
        return {filtered[0]["SourceDestCheck"], front.describe(instance)["SourceDestCheck"],
                attribute["SourceDestCheck"]["Value"]}

    assert views() == {True}
    ec2.modify_network_interface_attribute(NetworkInterfaceId=interface,
                                           SourceDestCheck={"Value": False})
    assert views() == {False}
    ec2.modify_instance_attribute(InstanceId=instance, SourceDestCheck={"Value": True})
    assert views() == {True}
    extra = ec2.create_network_interface(
        SubnetId=front.seed["subnets"]["us-east-1a"])["NetworkInterface"]["NetworkInterfaceId"]
    ec2.attach_network_interface(NetworkInterfaceId=extra, InstanceId=instance, DeviceIndex=1)
    with refused("InvalidInstanceID"):
        ec2.modify_instance_attribute(InstanceId=instance, SourceDestCheck={"Value": False})
    status, listed = front.get_metadata(instance, "meta-data/network/interfaces/macs/")
    assert (status, len(listed.splitlines())) == (200, 2)
    ec2.terminate_instances(InstanceIds=[instance])
    front.wait_instance(instance, "terminated")
    ec2.delete_network_interface(NetworkInterfaceId=extra)


def test_describes_filter_and_page_as_asked(front):
    ec2 = front.ec2
    volumes = [front.new_volume(TagSpecifications=[
        {"ResourceType": "volume", "Tags": [{"Key": "set", "Value": "paged"}]}]) for _ in range(7)]
    mine = [{"Name": "tag:set", "Values": ["pag*"]}]
    pages = list(ec2.get_paginator("describe_volumes").paginate(
        Filters=mine, PaginationConfig={"PageSize": 5}))
    assert [len(p["Volumes"]) for p in pages] == [5, 2]
    assert sorted(v["VolumeId"] for p in pages for v in p["Volumes"]) == sorted(volumes)
    for bad in ({"MaxResults": 3}, {"NextToken": "nonsense"},
                {"Filters": [{"Name": "no-such-filter", "Values": ["x"]}]}):
        with refused("InvalidParameterValue"):
            ec2.describe_volumes(**bad)
    ec2.create_tags(Resources=[volumes[0]], Tags=[{"Key": "set", "Value": "other"}])
    assert len(ec2.describe_volumes(Filters=mine)["Volumes"]) == 6


def test_a_malformed_call_is_refused(front):
    def code(request):
        return re.search("<Code>(.*?)</Code>", front.send(front.sign(request))[2])[1]
    assert code(front.query("DescribeVolumes", Frobnicate="1")) == "UnknownParameter"
    assert code(front.query("AttachVolume", VolumeId="vol-1")) == "MissingParameter"
    assert code(front.query("NoSuchAction")) == "InvalidAction"
    assert code(front.query("DescribeVolumes", version="2006-01-01")) == "NoSuchVersion"
    assert code(front.query("DescribeVolumes", MaxResults="many")) == "InvalidParameterValue"
    with refused("DryRunOperation", 412):
        front.ec2.describe_volumes(DryRun=True)


def test_a_role_is_denied_what_its_policy_does_not_name(front):
    node, volume = front.launch(role="kb-node"), front.new_volume()
    who = front.client("ec2", front.role_credentials(node, "kb-node"))
    interface = who.describe_network_interfaces()["NetworkInterfaces"][0]["NetworkInterfaceId"]
    who.modify_network_interface_attribute(NetworkInterfaceId=interface,
                                           SourceDestCheck={"Value": False})
    for denied in (lambda: who.describe_volumes(), lambda: who.attach_volume(
            VolumeId=volume, InstanceId=node, Device="/dev/sdf"),
                   lambda: who.terminate_instances(InstanceIds=[node]),
                   lambda: who.assign_private_ip_addresses(
                       NetworkInterfaceId=interface, PrivateIpAddresses=[RESERVED])):
        with refused("UnauthorizedOperation", 403):
            denied()
    iam = front.client("iam", front.role_credentials(node, "kb-node"))
    with refused("AccessDenied", 403):
        iam.list_roles()
    # A policy counts from the moment that IAM has it.
    front.client("iam").put_role_policy(
        RoleName="kb-node", PolicyName="more", PolicyDocument='{"Version": "2012-10-17", '
        '"Statement": [{"Effect": "Allow", "Action": "ec2:DescribeVol*", "Resource": "*"}]}')
    who.describe_volumes()
    front.client("iam").delete_role_policy(RoleName="kb-node", PolicyName="more")
    with refused("UnauthorizedOperation"):
        who.describe_volumes()
    front.ec2.terminate_instances(InstanceIds=[node])


def test_what_a_stack_makes_is_there(front):
    stack = front.client("cloudformation")
    stack.create_stack(StackName="s", TemplateBody="""{"Resources": {
        "V": {"Type": "AWS::EC2::Volume",
              "Properties": {"AvailabilityZone": "us-east-1a", "Size": 1}},
        "E": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}}}}""")
    made = {r["ResourceType"]: r["PhysicalResourceId"]
            for r in stack.describe_stack_resources(StackName="s")["StackResources"]}
    front.wait_volume(made["AWS::EC2::Volume"], "available")
    assert made["AWS::EC2::EIP"].startswith("203.0.113."), made


def test_what_a_group_makes_runs_and_is_replaced(front):
    front.ec2.create_launch_template(LaunchTemplateName="template", LaunchTemplateData={
        "ImageId": front.seed["image_id"], "InstanceType": "t3.small",
        "MetadataOptions": {"HttpPutResponseHopLimit": 2}})
    groups = front.client("autoscaling")
    groups.create_auto_scaling_group(
        AutoScalingGroupName="g", MinSize=1, MaxSize=1, DesiredCapacity=1,
        LaunchTemplate={"LaunchTemplateName": "template", "Version": "$Latest"},
        VPCZoneIdentifier=front.seed["subnets"]["us-east-1a"])

    def member():
        found = [i["InstanceId"] for g in groups.describe_auto_scaling_groups()["AutoScalingGroups"]
                 for i in g["Instances"]]
        return found[0] if found else ""

    first = member()
    front.wait_instance(first, "running")
    assert front.describe(first)["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    front.ec2.terminate_instances(InstanceIds=[first])
    wait(lambda: member() not in ("", first), "a replacement")
    last = member()
    front.wait_instance(last, "running")
    groups.delete_auto_scaling_group(AutoScalingGroupName="g", ForceDelete=True)
    front.wait_instance(last, "terminated")

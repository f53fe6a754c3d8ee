# SPDX-License-Identifier: Apache-2.0
"""CloudFormation with the template that users deploy: what its groups launch, and what outlives it."""

import pytest
from region_checks.harness import refused, wait
from region_checks.stack import create, instances, outputs, status, update

pytestmark = pytest.mark.needs_root


def signal(front, stack, resource, instance, status="SUCCESS"):
    front.client("cloudformation").signal_resource(
        StackName=stack, LogicalResourceId=resource, UniqueId=instance, Status=status)


def test_groups_launch_what_the_template_says(front):
    stack = create(front, "launch", NodeDesired="3")
    [master] = instances(front, "launch", "master")
    nodes = instances(front, "launch", "node")
    assert sorted(node["Placement"]["AvailabilityZone"] for node in nodes) == ["us-east-1a", "us-east-1b", "us-east-1c"]
    assert len({node["SubnetId"] for node in [master, *nodes]}) == 4
    assert len(master["NetworkInterfaces"][0]["Groups"]) == 2
    front.wait_instance(master["InstanceId"], "running")
    answer, data = front.get_metadata(master["InstanceId"], "user-data")
    assert answer == 200
    made = outputs(front, stack)
    for line in (f"MASTER_VOLUME_ID={made['MasterVolumeId']}", f"S3_BUCKET={made['BucketName']}",
                 f"MASTER_EIP_ALLOCATION_ID={made['AddressAllocationId']}", f"STACK_NAME={stack}"):
        assert line in data, (line, data)
    answer, role = front.get_metadata(master["InstanceId"], "meta-data/iam/security-credentials/")
    assert (answer, "MasterRole" in role) == (200, True), (answer, role)
    assert front.get_metadata(master["InstanceId"], "meta-data/tags/instance/KubernetesRole")[0] == 404
    [interface] = front.ec2.describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [master["InstanceId"]]}])[
            "NetworkInterfaces"]
    assert {"Key": "KubernetesRole", "Value": "master"} in interface["TagSet"], interface
    volume = front.volume(made["MasterVolumeId"])
    assert (volume["Encrypted"], volume["VolumeType"], volume["Size"]) == (True, "gp3", 20)
    assert {"Key": "KubernetesMasterVolume", "Value": "launch"} in volume["Tags"], volume


def test_a_stacks_volume_says_whose_it_is(front):
    """By the tags that CloudFormation alone can set.
    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html"""
    stack = create(front, "whose", NodeDesired="1")
    volume = front.volume(outputs(front, stack)["MasterVolumeId"])
    tags = {tag["Key"]: tag["Value"] for tag in volume["Tags"]}
    wanted = {"aws:cloudformation:stack-id": stack, "aws:cloudformation:stack-name": "whose",
              "aws:cloudformation:logical-id": "MasterVolume"}
    assert {key: tags.get(key) for key in wanted} == wanted
    assert (volume["Encrypted"], volume["SnapshotId"]) == (True, "")
    assert volume["CreateTime"], volume
    key = "aws:cloudformation:stack-id"
    for call in (front.ec2.create_tags, front.ec2.delete_tags):
        with refused("InvalidParameterValue", 400):
            call(Resources=[volume["VolumeId"]], Tags=[{"Key": key, "Value": stack}])
    with refused("InvalidParameterValue", 400):
        front.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=[
            {"ResourceType": "volume", "Tags": [{"Key": key, "Value": stack}]}])
    with refused("ValidationError", 400):
        create(front, "borrowed", tags={"aws:cloudformation:stack-name": "whose"})
    assert front.volume(volume["VolumeId"])["Tags"] == volume["Tags"]


def test_no_two_machines_of_two_vpcs_have_one_address(front):
    create(front, "beside", NodeDesired="3")
    others = [front.launch(zone=zone) for zone in front.seed["subnets"]]
    held = [address for each in front.control("GET", "/instances") if each["state"] != "terminated"
            for interface in each["interfaces"] for address in interface["addresses"]]
    assert sorted(set(held)) == sorted(held)
    [node, *_] = instances(front, "beside", "node")
    with refused("InvalidIPAddress.InUse"):
        front.launch(zone=node["Placement"]["AvailabilityZone"],
                     PrivateIpAddress=node["PrivateIpAddress"])
    front.ec2.terminate_instances(InstanceIds=others)


def test_resources_are_found_by_name(front):
    stack = create(front, "resources", NodeDesired="1")
    cloudformation = front.client("cloudformation")
    found = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId="MasterRole")
    assert "MasterRole" in found["StackResourceDetail"]["PhysicalResourceId"], found
    with refused("ValidationError"):
        cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId="Nothing")


def test_a_terminated_master_is_replaced_by_its_group(front):
    create(front, "replace", NodeDesired="1")
    [old] = instances(front, "replace", "master")
    front.ec2.terminate_instances(InstanceIds=[old["InstanceId"]])
    wait(lambda: [i["InstanceId"] for i in instances(front, "replace", "master")]
         not in ([], [old["InstanceId"]]), "another master")
    [new] = instances(front, "replace", "master")
    assert new["SubnetId"] == old["SubnetId"]


def test_an_update_adds_nodes_and_keeps_those_there(front):
    create(front, "update", NodeDesired="1")
    [master] = instances(front, "update", "master")
    [node] = instances(front, "update", "node")
    update(front, "update", NodeDesired="4")
    after = {i["InstanceId"] for i in instances(front, "update", "node")}
    assert (len(after), node["InstanceId"] in after) == (4, True)
    assert [i["InstanceId"] for i in instances(front, "update", "master")] == [master["InstanceId"]]


def test_a_new_instance_type_replaces_the_nodes(front):
    create(front, "roll", NodeDesired="2")
    before = {i["InstanceId"] for i in instances(front, "roll", "node")}
    update(front, "roll", NodeDesired="2", NodeInstanceType="m5.large")
    after = instances(front, "roll", "node")
    assert len(after) == 2
    assert not before & {i["InstanceId"] for i in after}, after
    assert {i["InstanceType"] for i in after} == {"m5.large"}


def test_deletion_keeps_volume_address_and_bucket(front):
    stack = create(front, "delete", NodeDesired="2")
    made = outputs(front, stack)
    front.client("cloudformation").delete_stack(StackName="delete")
    wait(lambda: not instances(front, "delete", "master") + instances(front, "delete", "node"),
         "the end of the stack's instances")
    assert front.volume(made["MasterVolumeId"])["State"] == "available"
    front.ec2.describe_addresses(AllocationIds=[made["AddressAllocationId"]])
    front.s3.head_bucket(Bucket=made["BucketName"])


def test_a_stack_waits_for_signals(front):
    stack = create(front, "signals", NodeDesired="2")
    assert status(front, stack) == "CREATE_IN_PROGRESS"
    signal(front, stack, "MasterGroup", "i-m")
    signal(front, "signals", "NodeGroup", "i-1")
    with refused("ValidationError"):  # once per id
        signal(front, stack, "NodeGroup", "i-1")
    with refused("ValidationError"):
        signal(front, stack, "Vpc", "i-1")
    with refused("ValidationError"):
        signal(front, "another", "NodeGroup", "i-1")
    assert status(front, stack) == "CREATE_IN_PROGRESS"
    signal(front, stack, "NodeGroup", "i-2")
    assert status(front, stack) == "CREATE_COMPLETE"
    with refused("ValidationError"):  # it no longer waits
        signal(front, stack, "MasterGroup", "i-other")
    signals = {(s["resource"], s["unique_id"]): s["status"]
               for s in front.control("GET", "/signals") if s["stack"] == stack}
    assert signals == {("MasterGroup", "i-m"): "SUCCESS", ("NodeGroup", "i-1"): "SUCCESS",
                       ("NodeGroup", "i-2"): "SUCCESS"}


def test_a_failure_fails_the_stack(front):
    stack = create(front, "failure", NodeDesired="2")
    signal(front, stack, "NodeGroup", "i-1", "FAILURE")
    assert status(front, stack) == "CREATE_FAILED"

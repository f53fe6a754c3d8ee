# SPDX-License-Identifier: Apache-2.0
"""Instance metadata, version 2 only."""

import base64
import json
import time
import urllib.request

import pytest

pytestmark = pytest.mark.needs_root
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"


def test_a_token_needs_a_ttl_and_no_proxy(front):
    instance = front.launch()
    for headers, status in (({}, 400), ({TTL: "0"}, 400), ({TTL: "21601"}, 400), ({TTL: "x"}, 400),
                            ({TTL: "60", "X-Forwarded-For": "10.0.0.1"}, 403), ({TTL: "60"}, 200)):
        assert front.metadata("/latest/api/token", instance, "PUT", headers)[0] == status
    assert front.metadata("/latest/api/token", instance, "GET")[0] == 405
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_nothing_is_told_without_a_valid_token(front):
    instance, other = front.launch(), front.launch()
    path = "/latest/meta-data/instance-id"
    assert front.metadata(path, instance)[0] == 401
    assert front.metadata(path, instance, headers={TOKEN: "x"})[0] == 401
    assert front.metadata(path, instance, headers={TOKEN: front.token(other)})[0] == 401
    token = front.token(instance, "1")
    assert front.metadata(path, instance, headers={TOKEN: token}) == (200, instance)
    time.sleep(1.1)
    assert front.metadata(path, instance, headers={TOKEN: token})[0] == 401
    token = front.token(instance)
    front.control("POST", "/imds/expire-tokens")
    assert front.metadata(path, instance, headers={TOKEN: token})[0] == 401
    front.ec2.terminate_instances(InstanceIds=[instance, other])


def test_it_agrees_with_ec2(front):
    instance = front.launch(UserData="#cloud-config\n", TagSpecifications=[
        {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "m"}]}])
    shown = front.describe(instance)
    interface = shown["NetworkInterfaces"][0]
    mac = interface["MacAddress"]
    net = f"meta-data/network/interfaces/macs/{mac}"
    for path, wanted in {
            "meta-data/instance-id": instance,
            "meta-data/placement/availability-zone": "us-east-1a",
            "meta-data/placement/region": "us-east-1",
            "meta-data/services/domain": "amazonaws.com",
            "meta-data/services/partition": "aws",
            "meta-data/local-ipv4": shown["PrivateIpAddress"],
            "meta-data/mac": mac,
            "meta-data/network/interfaces/macs/": f"{mac}/",
            f"{net}/interface-id": interface["NetworkInterfaceId"],
            f"{net}/device-number": "0",
            f"{net}/local-ipv4s": shown["PrivateIpAddress"],
            f"{net}/subnet-id": shown["SubnetId"],
            f"{net}/subnet-ipv4-cidr-block": "172.20.128.0/20",
            f"{net}/vpc-id": shown["VpcId"],
            f"{net}/vpc-ipv4-cidr-block": "172.20.0.0/16",
            f"{net}/vpc-ipv4-cidr-blocks": "172.20.0.0/16",
            "meta-data/iam/security-credentials/": "kb-master",
            "user-data": "#cloud-config\n"}.items():
        assert (path, *front.get_metadata(instance, path)) == (path, 200, wanted)
    document = json.loads(front.get_metadata(instance, "dynamic/instance-identity/document")[1])
    assert (document["instanceId"], document["region"]) == (instance, "us-east-1")
    info = json.loads(front.get_metadata(instance, "meta-data/iam/info")[1])
    assert info["InstanceProfileArn"] == shown["IamInstanceProfile"]["Arn"]
    for path in ("meta-data/public-ipv4", "meta-data/tags/instance/Name", "meta-data/nothing",
                 "meta-data/instance-id/below"):
        assert (path, front.get_metadata(instance, path)[0]) == (path, 404)
    assert front.get_metadata(instance, "meta-data/instance-id", "latest")[0] == 200
    assert front.get_metadata(instance, "meta-data/instance-id", "2031-01-01")[0] == 404
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_a_vpc_has_several_networks(front):
    instance = front.launch()
    interface = front.describe(instance)["NetworkInterfaces"][0]
    path = f"meta-data/network/interfaces/macs/{interface['MacAddress']}/vpc-ipv4-cidr-blocks"
    added = front.ec2.associate_vpc_cidr_block(VpcId=interface["VpcId"], CidrBlock="100.64.0.0/16")
    assert front.get_metadata(instance, path) == (200, "172.20.0.0/16\n100.64.0.0/16")
    front.ec2.disassociate_vpc_cidr_block(
        AssociationId=added["CidrBlockAssociation"]["AssociationId"])
    assert front.get_metadata(instance, path) == (200, "172.20.0.0/16")
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_an_elastic_ip_and_a_second_address_show(front):
    instance = front.launch()
    interface = front.describe(instance)["NetworkInterfaces"][0]
    allocated = front.ec2.allocate_address(Domain="vpc")
    front.ec2.associate_address(AllocationId=allocated["AllocationId"], InstanceId=instance)
    assert front.get_metadata(instance, "meta-data/public-ipv4") == (200, allocated["PublicIp"])
    front.ec2.assign_private_ip_addresses(
        NetworkInterfaceId=interface["NetworkInterfaceId"], PrivateIpAddresses=["172.20.128.200"])
    path = f"meta-data/network/interfaces/macs/{interface['MacAddress']}/local-ipv4s"
    assert front.get_metadata(instance, path)[1] == f"{interface['PrivateIpAddress']}\n172.20.128.200"
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_tags_show_where_they_are_enabled(front):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "tagged"}]}]
    instance = front.launch(TagSpecifications=tags,
                            MetadataOptions={"InstanceMetadataTags": "enabled"})
    assert front.get_metadata(instance, "meta-data/tags/instance/Name") == (200, "tagged")
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_credentials_may_come_late(front):
    with front.settings(imds={"credentials_absent_s": 3600}):
        instance = front.launch()
        path = "meta-data/iam/security-credentials/kb-master"
        assert front.get_metadata(instance, path)[0] == 404
    status, body = front.get_metadata(instance, path)
    assert (status, json.loads(body)["Code"]) == (200, "Success")
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_a_listener_of_its_own_speaks_for_one_instance(front):
    instance = front.launch()
    url = front.control("POST", "/imds/listen", {"instance": instance})["endpoint"]
    ask = urllib.request.Request(f"{url}/latest/api/token", method="PUT", headers={TTL: "60"})
    with urllib.request.urlopen(ask) as reply:
        token = reply.read().decode()
    ask = urllib.request.Request(f"{url}/latest/meta-data/instance-id", headers={TOKEN: token})
    with urllib.request.urlopen(ask) as reply:
        assert reply.read().decode() == instance
    front.ec2.terminate_instances(InstanceIds=[instance])


def test_who_is_no_instance_is_told_nothing(front):
    assert front.metadata("/latest/api/token", "", "PUT", {TTL: "60"})[0] == 404


def test_binary_user_data_comes_back_whole(front):
    data = bytes(range(256))
    instance = front.launch(UserData=data)
    url = front.control("POST", "/imds/listen", {"instance": instance})["endpoint"]
    ask = urllib.request.Request(f"{url}/latest/user-data", headers={TOKEN: front.token(instance)})
    with urllib.request.urlopen(ask) as reply:
        assert base64.b64encode(reply.read()) == base64.b64encode(data)
    front.ec2.terminate_instances(InstanceIds=[instance])

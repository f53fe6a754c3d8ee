# SPDX-License-Identifier: Apache-2.0
"""In what AWS is late, stale or strange: each knob does it to instances alone, and what is off does nothing."""

import contextlib
import json
import socket
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from region_checks.harness import refused, wait
from region_checks.stack import TEMPLATE, create, instances

pytestmark = pytest.mark.needs_root
LONG_S = 3600
SOON_S = 0.3
ROLE = "meta-data/iam/security-credentials/kb-master"
IP_MINTTL = 21  # linux/in.h


@contextlib.contextmanager
def launched(front, **params):
    instance = front.launch(**params)
    yield instance
    front.ec2.terminate_instances(InstanceIds=[instance])


def clients_of(front, instance):
    """EC2 and S3 as the instance's role asks them."""
    credentials = front.role_credentials(instance, "kb-master")
    return front.client("ec2", credentials), front.client("s3", credentials)


def passes(call, code):
    """Returns True if the call is done, False if it is refused with this code."""
    try:
        call()
    except ClientError as error:
        assert error.response["Error"]["Code"] == code
        return False
    return True


def test_a_role_comes_late(front):
    with front.settings(imds={"credentials_absent_s": LONG_S}), launched(front) as instance:
        assert front.get_metadata(instance, ROLE)[0] == 404
        assert front.get_metadata(instance, ROLE.rpartition("/")[0])[0] == 404
        front.control("POST", "/settings", {"imds": {"credentials_absent_s": SOON_S}})
        wait(lambda: front.get_metadata(instance, ROLE)[0] == 200, "the role")


def test_its_credentials_have_another_code_at_first(front):
    with front.settings(imds={"other_code_s": LONG_S}), launched(front) as instance:
        status, body = front.get_metadata(instance, ROLE)
        found = json.loads(body)
        assert (status, found["Code"], "SecretAccessKey" in found) == (200, "AssumeRoleUnauthorizedAccess", False)
        front.control("POST", "/settings", {"imds": {"other_code_s": SOON_S}})
        wait(lambda: json.loads(front.get_metadata(instance, ROLE)[1])["Code"] == "Success", "Success")


def test_iam_lags_behind(front):
    with launched(front) as instance:
        ec2, s3 = clients_of(front, instance)
        with front.settings(iam={"lag_s": LONG_S}):
            with refused("UnauthorizedOperation", 403):
                ec2.describe_volumes()
            with refused("AccessDenied", 403):
                s3.list_objects_v2(Bucket="kb-secrets", Prefix="pki/")
            front.ec2.describe_volumes()  # nobody but instances meets it
            front.control("POST", "/settings", {"iam": {"lag_s": SOON_S}})
            wait(lambda: passes(ec2.describe_volumes, "UnauthorizedOperation"), "the end of IAM's lag")
        denied = [(each["role"], each["action"]) for each in front.control("GET", "/permissions") if not each["allowed"]]
        assert ("kb-master", "ec2:DescribeVolumes") not in denied  # the policies are not to blame


def test_a_describe_shows_what_was(front):
    with launched(front) as instance:
        ec2, _ = clients_of(front, instance)
        interface = front.describe(instance)["NetworkInterfaces"][0]["NetworkInterfaceId"]
        allocation = front.ec2.allocate_address(Domain="vpc")["AllocationId"]
        with front.settings(reads={"stale_s": LONG_S}):
            volume = front.new_volume()
            front.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
            front.wait_volume(volume, "attached")
            front.ec2.associate_address(AllocationId=allocation, NetworkInterfaceId=interface)
            front.ec2.modify_network_interface_attribute(NetworkInterfaceId=interface,
                                                         SourceDestCheck={"Value": False})
            with refused("InvalidVolume.NotFound", 400):
                ec2.describe_volumes(VolumeIds=[volume])
            [address] = ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
            [shown] = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"]
            assert (address.get("AssociationId"), shown["SourceDestCheck"]) == (None, True)
            assert front.volume(volume)["Attachments"][0]["State"] == "attached"  # an administrator's is fresh
        [address] = ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
        [shown] = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"]
        assert (address["NetworkInterfaceId"], shown["SourceDestCheck"]) == (interface, False)
        assert ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["VolumeId"] == volume


def test_a_change_of_state_by_itself_is_seen_late_too(front):
    with launched(front) as instance:
        ec2, _ = clients_of(front, instance)
        volume = front.new_volume()
        with front.settings(delays_ms={"attach": 300}, reads={"stale_s": LONG_S}):
            front.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
            front.wait_volume(volume, "attached")
            [shown] = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
            assert (shown["State"], shown["Attachments"]) == ("available", [])
        with front.settings(reads={"stale_s": SOON_S}):
            wait(lambda: ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "in-use",
                 "the truth, after so long")


def test_metadata_shows_addresses_late(front):
    with launched(front) as instance:
        interface = front.describe(instance)["NetworkInterfaces"][0]
        path = f"meta-data/network/interfaces/macs/{interface['MacAddress']}/local-ipv4s"
        with front.settings(imds={"stale_s": LONG_S}):
            front.ec2.assign_private_ip_addresses(
                NetworkInterfaceId=interface["NetworkInterfaceId"], PrivateIpAddresses=["172.20.128.201"])
            assert front.get_metadata(instance, path) == (200, interface["PrivateIpAddress"])
        assert front.get_metadata(instance, path) == (200, f"{interface['PrivateIpAddress']}\n172.20.128.201")


def test_a_bucket_is_not_known_at_first(front):
    with launched(front) as instance:
        _, s3 = clients_of(front, instance)
        with front.settings(s3={"bucket_lag_s": LONG_S}):
            with refused("NoSuchBucket", 404):
                s3.get_object(Bucket="kb-secrets", Key="pki/node/nothing")
            front.s3.head_bucket(Bucket="kb-secrets")
        with refused("NoSuchKey", 404):
            s3.get_object(Bucket="kb-secrets", Key="pki/node/nothing")


def test_a_revoked_key_holds_a_volume_back(front):
    front.let_attach_any_volume()
    with launched(front) as instance:
        ec2, s3 = clients_of(front, instance)

        def attach(volume):
            ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")

        with front.settings(kms={"volume_revoked": True, "bucket_denied": True}):
            with refused("CustomerKeyHasBeenRevoked", 400):
                attach(front.new_volume(Encrypted=True))
            with pytest.raises(ClientError, match="perform: kms:GenerateDataKey") as refusal:
                s3.put_object(Bucket="kb-secrets", Key="pki/x", Body=b"")
            assert refusal.value.response["Error"]["Code"] == "AccessDenied"
        attach(front.new_volume(Encrypted=True))


def test_a_customers_key_wants_a_grant(front):
    front.let_attach_any_volume()
    key = front.client("kms").create_key()["KeyMetadata"]["Arn"]
    with launched(front) as instance:
        ec2, _ = clients_of(front, instance)
        volume = front.new_volume(Encrypted=True, KmsKeyId=key)
        with refused("CustomerKeyHasBeenRevoked", 400):
            ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
        front.client("iam").put_role_policy(
            RoleName="kb-master", PolicyName="key", PolicyDocument=json.dumps({
                "Version": "2012-10-17", "Statement": [{
                    "Effect": "Allow", "Action": "kms:CreateGrant", "Resource": key,
                    "Condition": {"StringEquals": {"kms:ViaService": "ec2.us-east-1.amazonaws.com"},
                                  "Bool": {"kms:GrantIsForAWSResource": "true"}}}]}))
        ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
        front.client("iam").delete_role_policy(RoleName="kb-master", PolicyName="key")


def test_what_is_terminated_holds_its_disk_for_a_while(front):
    with front.settings(ec2={"shutting_down_s": LONG_S}):
        instance, volume = front.launch(), front.new_volume()
        front.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
        front.wait_volume(volume, "attached")
        front.ec2.terminate_instances(InstanceIds=[instance])
        front.launch()  # which takes longer than an end without the knob
        state = front.describe(instance)["State"]["Name"], front.volume(volume)["Attachments"][0]["State"]
        assert state == ("shutting-down", "attached")
    with front.settings(ec2={"shutting_down_s": SOON_S}):
        instance = front.launch()
        front.ec2.terminate_instances(InstanceIds=[instance])
        front.wait_instance(instance, "terminated")


def test_requests_are_throttled(front):
    with launched(front) as instance:
        ec2, _ = clients_of(front, instance)

        def refusals(count):
            found = []
            for _ in range(count):
                try:
                    ec2.assign_private_ip_addresses(NetworkInterfaceId="eni-01234567",
                                                    PrivateIpAddresses=["172.20.128.9"])
                except ClientError as error:
                    found.append((error.response["Error"]["Code"],
                                  error.response["ResponseMetadata"]["HTTPStatusCode"]))
            return found.count(("RequestLimitExceeded", 503))

        assert refusals(70) == 0
        with front.settings(ec2={"throttled": True}):
            assert refusals(150) > 0
            ec2.describe_addresses()  # it has a bucket of its own


def test_a_token_lives_as_long_as_the_hop_limit(front):
    """A client that takes no packet with a shorter life than 2 stands for one behind a router."""
    def asked(instance, least):
        url = urlsplit(front.control("POST", "/imds/listen", {"instance": instance})["endpoint"])
        with socket.create_connection((url.hostname, url.port), timeout=2) as client:
            client.setsockopt(socket.IPPROTO_IP, IP_MINTTL, least)
            client.sendall(b"PUT /latest/api/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                           b"X-aws-ec2-metadata-token-ttl-seconds: 60\r\nContent-Length: 0\r\n\r\n")
            try:
                return client.recv(1 << 16).split(b"\r\n")[0]
            except TimeoutError:
                return b""

    with launched(front) as near, launched(front, MetadataOptions={"HttpPutResponseHopLimit": 2}) as far:
        assert (asked(near, 1), asked(near, 2)) == (b"HTTP/1.1 200 OK", b"")
        assert asked(far, 2) == b"HTTP/1.1 200 OK"


def test_metadata_cannot_show_every_tag(front):
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Cost Center", "Value": "7"}]}]
    with refused("InvalidParameterValue", 400):
        front.launch(TagSpecifications=tags, MetadataOptions={"InstanceMetadataTags": "enabled"})
    with launched(front, TagSpecifications=tags):
        pass


def test_a_stacks_tags_are_its_machines(front):
    disabled = TEMPLATE.read_text().replace("InstanceMetadataTags: enabled", "InstanceMetadataTags: disabled")
    enabled = disabled.replace("InstanceMetadataTags: disabled", "InstanceMetadataTags: enabled")
    if enabled == disabled:
        enabled = disabled.replace("HttpTokens: required", "HttpTokens: required\n          InstanceMetadataTags: enabled")
    stack = create(front, "tagged", {"team": "a/b", "Cost Center": "7"}, template=disabled, NodeDesired="1")
    [node] = instances(front, "tagged", "node")
    tags = {tag["Key"]: tag["Value"] for tag in node["Tags"]}
    wanted = {"team": "a/b", "Cost Center": "7", "aws:cloudformation:stack-id": stack,
              "aws:cloudformation:logical-id": "NodeGroup"}
    assert {key: tags.get(key) for key in wanted} == wanted
    # "Group did not stabilize": no instance of it can be launched.
    create(front, "launchless", {"Cost Center": "7"}, template=enabled, NodeDesired="1")
    assert instances(front, "launchless", "master") + instances(front, "launchless", "node") == []


def test_an_account_has_two_zones(front):
    made = front.client("cloudformation").create_stack(StackName="zones", TemplateBody=json.dumps({
        "Resources": {"Address": {"Type": "AWS::EC2::EIP"}},
        "Outputs": {"Zones": {"Value": {"Fn::Join": [" ", {"Fn::GetAZs": ""}]}}}}))
    [stack] = front.client("cloudformation").describe_stacks(StackName=made["StackId"])["Stacks"]
    assert stack["Outputs"][0]["OutputValue"] == "us-east-1a us-east-1b"

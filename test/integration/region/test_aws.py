# SPDX-License-Identifier: Apache-2.0
"""The AWS client of the daemon against the simulated region: every EC2, S3 and IMDS call it makes.

Makes what a stack has and more (instances in two zones, a bucket in another region), and runs test_aws_region.c
and test_aws_faults.c of test/unit in it. VARIANT names the build (asan).
"""

import json
import os
import re
import subprocess

import pytest
from region_checks.harness import wait

pytestmark = pytest.mark.needs_root
VARIANT = os.environ.get("VARIANT", "asan")
FAR_REGION = "eu-west-1"
# Of a program that prints TAP (https://testanything.org).
CASE = re.compile(r"(?P<fails>not )?ok \d+ - (?P<name>.*?)( # SKIP (?P<reason>.*))?")


def instance(front, zone, role=None):
    """An instance, its interface, and an IMDS that speaks for it."""
    profile = {"IamInstanceProfile": {"Name": role},
               "TagSpecifications": front.tags(role)} if role else {}
    made = front.ec2.run_instances(
        ImageId=front.seed["image_id"], InstanceType="t3.small", MinCount=1, MaxCount=1,
        SubnetId=front.seed["subnets"][zone], **profile)["Instances"][0]["InstanceId"]
    front.wait_instance(made, "running")
    shown = front.describe(made)
    return {"id": made, "zone": zone, "private_ip": shown["PrivateIpAddress"],
            "host": shown["NetworkInterfaces"][0]["PrivateDnsName"],
            "eni": shown["NetworkInterfaces"][0]["NetworkInterfaceId"],
            "mac": shown["NetworkInterfaces"][0]["MacAddress"],
            "imds": front.control("POST", "/imds/listen", {"instance": made})["endpoint"]}


def second_interface(front, machine):
    eni = front.ec2.create_network_interface(
        SubnetId=front.seed["subnets"][machine["zone"]])["NetworkInterface"]["NetworkInterfaceId"]
    front.ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=machine["id"],
                                       DeviceIndex=1)
    wait(lambda: len(front.describe(machine["id"])["NetworkInterfaces"]) == 2, f"{eni} attached")
    return eni


@pytest.fixture(scope="module")
def world(region):
    """The file that tells the programs what is in the region."""
    # The clients are tried here, not what a stack's roles may: that is test_roles.py's.
    region.client("iam").put_role_policy(
        RoleName="kb-master", PolicyName="all", PolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": ["ec2:*", "s3:*"], "Resource": "*"}]}))
    master = instance(region, "us-east-1a", "kb-master")
    master["second_eni"] = second_interface(region, master)
    region.client("s3", region=FAR_REGION).create_bucket(
        Bucket="kb-far", CreateBucketConfiguration={"LocationConstraint": FAR_REGION})
    described = region.seed | {
        "endpoint": region.endpoint, "control": region.control_url,
        "admin_key": region.admin.access_key, "admin_secret": region.admin.secret_key,
        "subnet_id": region.seed["subnets"]["us-east-1a"],
        "far_bucket": "kb-far", "far_region": FAR_REGION, "far_volume": region.new_volume("us-east-1b"),
        "master": master, "other": instance(region, "us-east-1a", "kb-master"),
        "node": instance(region, "us-east-1b", "kb-node"), "no_role": instance(region, "us-east-1b")}
    path = region.state / "world.json"
    path.write_text(json.dumps(described))
    return path


def try_cases(subtests, program, environment):
    """Runs a program that prints TAP: each of its cases is a claim, which fails with what the program said before it."""
    done = subprocess.run([program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="backslashreplace", check=False)
    said, cases = [], []
    for line in done.stdout.splitlines():
        case = CASE.fullmatch(line)
        if not case:
            said.append(line)
            continue
        cases.append(case)
        with subtests.test(case["name"]):
            if case["reason"] is not None:
                pytest.skip(case["reason"])
            assert not case["fails"], "\n".join(said)
        said = []
    # It breaks off by a sanitizer's report, say.
    assert cases and f"1..{len(cases)}" in said, "\n".join(said)
    assert done.returncode == any(case["fails"] for case in cases), "\n".join(said)


@pytest.mark.parametrize("part", ["region", "faults"])
def test_the_client_against_the_region(build, front, world, subtests, part):
    program = build(VARIANT, f"unit/test_aws_{part}")
    try_cases(subtests, program, {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | {
        "KUBE_BOOTSTRAP_TEST_REGION": str(world), "AWS_ENDPOINT_URL": front.endpoint,
        "AWS_CA_BUNDLE": str(front.state / "ca.pem")})

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The AWS client of the daemon against the simulated region: every EC2, S3 and IMDS call it makes.

Starts a front of its own as an API alone, makes what a stack has and more (instances in two zones,
a bucket in another region), and runs test_aws_region.c and test_aws_faults.c of test/unit in it.
Prints TAP. VARIANT names the build (asan).
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from region_checks.harness import Front, wait  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
VARIANT = os.environ.get("VARIANT", "asan")
PROGRAMS = [f"build/{VARIANT}/unit/test_aws_{part}" for part in ("region", "faults")]
FAR_REGION = "eu-west-1"


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


def world(front):
    # The clients are tried here, not what a stack's roles may: that is region_checks/roles.py's.
    front.client("iam").put_role_policy(
        RoleName="kb-master", PolicyName="all", PolicyDocument=json.dumps({
            "Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": ["ec2:*", "s3:*"], "Resource": "*"}]}))
    master = instance(front, "us-east-1a", "kb-master")
    master["second_eni"] = second_interface(front, master)
    front.client("s3", region=FAR_REGION).create_bucket(
        Bucket="kb-far", CreateBucketConfiguration={"LocationConstraint": FAR_REGION})
    return front.seed | {
        "endpoint": front.endpoint, "control": front.control_url,
        "admin_key": front.admin.access_key, "admin_secret": front.admin.secret_key,
        "subnet_id": front.seed["subnets"]["us-east-1a"],
        "far_bucket": "kb-far", "far_region": FAR_REGION, "far_volume": front.new_volume("us-east-1b"),
        "master": master, "other": instance(front, "us-east-1a", "kb-master"),
        "node": instance(front, "us-east-1b", "kb-node"), "no_role": instance(front, "us-east-1b")}


def run(program, environment, first):
    """Runs a test program, its cases renumbered from first; returns how many, and whether all passed."""
    number, failed = first, 0
    child = subprocess.Popen([program], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if re.match(r"(not )?ok \d+ ", line):
            failed += line.startswith("not")
            line = re.sub(r"ok \d+", f"ok {number}", line, count=1)
            number += 1
        if not line.startswith("1.."):
            print(line, end="", flush=True)
    if child.wait() != 0 and not failed:  # a sanitizer's report, say
        print(f"not ok {number} - {program} ended with status {child.returncode}")
        number += 1
    return number - first, child.returncode == 0


def main():
    subprocess.run(["make", "-s", f"VARIANT={VARIANT}", *PROGRAMS], cwd=ROOT, check=True)
    cases, passed = 0, True
    with Front() as front:
        path = front.state / "world.json"
        path.write_text(json.dumps(world(front)))
        front.reset()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | {
            "KUBE_BOOTSTRAP_TEST_REGION": str(path), "AWS_ENDPOINT_URL": front.endpoint,
            "AWS_CA_BUNDLE": str(front.state / "ca.pem")}
        for program in PROGRAMS:
            ran, sound = run(program, environment, cases + 1)
            cases, passed = cases + ran, passed and sound
        bugs = front.bugs()
    for line in bugs:
        print(f"# {line}")
    print(f"{'not ok' if bugs else 'ok'} {cases + 1} - the front met no error of its own")
    print(f"1..{cases + 1}")
    return 0 if passed and not bugs else 1


if __name__ == "__main__":
    sys.exit(main())

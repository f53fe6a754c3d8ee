# SPDX-License-Identifier: Apache-2.0
"""Makes a stack of the project's template, but for its groups: network, address, volume, roles.

  seed --endpoint https://ADDRESS --state DIR [--name kb] [--cluster lab] [--bucket kb-secrets] …

The tests launch their machines themselves, each as it needs it. Roles, their policies and all else
are the template's; roles and profiles have names that tests can know. Prints one JSON object with
what stack-config.sh and RunInstances need. Run once for each region and name: it does not look for
what may be there.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import botocore.session
from botocore.config import Config

from labregion import template

TEMPLATE = Path(__file__).resolve().parents[3] / "conf/cloudformation/kubernetes.yaml"
SUBNETS = {"a": "MasterSubnet", "b": "NodeSubnet1", "c": "NodeSubnet2"}
GROUPS = ("MasterGroup", "NodeGroup")


def clients(endpoint, state, region):
    """A function from a service's name to a client of the front's, as the administrator."""
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(state / "credentials")
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)
    session = botocore.session.Session()
    config = Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}, proxies={})

    def client(service):
        return session.create_client(service, region_name=region, endpoint_url=endpoint,
                                     verify=str(state / "ca.pem"), config=config)
    return client


def without_groups(name):
    """The template's text."""
    document = template.load(TEMPLATE)
    for group in GROUPS:
        del document["Resources"][group]
    for role in ("Master", "Node"):
        for kind in ("Role", "Profile"):
            prefix = "Role" if kind == "Role" else "InstanceProfile"
            document["Resources"][f"{role}{kind}"]["Properties"][f"{prefix}Name"] = \
                f"{name}-{role.lower()}"
    return json.dumps(document)


def make_stack(cloudformation, given, image_id):
    """Its id, physical ids by logical ones, and the outputs."""
    parameters = {"ImageId": image_id, "ClusterName": given.cluster, "ExistingBucket": given.bucket,
                  "MasterVolumeGiB": str(given.volume_gib), "MasterZone": f"{given.region}a",
                  "NodeZone1": f"{given.region}b", "NodeZone2": f"{given.region}c",
                  "ApiCidr": "198.51.100.0/24", "EcrRepositories": "lab/*"}
    cloudformation.create_stack(
        StackName=given.name, TemplateBody=without_groups(given.name),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()])
    stack = cloudformation.describe_stacks(StackName=given.name)["Stacks"][0]
    if stack["StackStatus"] != "CREATE_COMPLETE":
        raise SystemExit(f"stack {given.name}: {stack}")
    resources = cloudformation.list_stack_resources(StackName=given.name)
    return (stack["StackId"],
            {each["LogicalResourceId"]: each.get("PhysicalResourceId", "")
             for each in resources["StackResourceSummaries"]},
            {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]})


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True, metavar="URL")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--name", default="kb", help="the stack's")
    parser.add_argument("--cluster", default="lab")
    parser.add_argument("--bucket", default="kb-secrets")
    parser.add_argument("--bucket-region", default="", help="another one than the region's")
    parser.add_argument("--volume-gib", type=int, default=4)
    given = parser.parse_args()

    client = clients(given.endpoint, given.state, given.region)
    ec2, s3 = client("ec2"), client("s3")
    bucket_region = given.bucket_region or given.region
    where = {} if bucket_region == "us-east-1" else {
        "CreateBucketConfiguration": {"LocationConstraint": bucket_region}}
    s3.create_bucket(Bucket=given.bucket, **where)
    images = [i for i in ec2.describe_images(Owners=["amazon"])["Images"] if "Platform" not in i]
    stack_id, made, outputs = make_stack(client("cloudformation"), given, images[0]["ImageId"])
    json.dump({
        "region": given.region, "zone": given.region + "a", "vpc_id": made["Vpc"],
        "subnets": {given.region + zone: made[name] for zone, name in SUBNETS.items()},
        "security_group_id": made["ClusterSecurityGroup"], "image_id": images[0]["ImageId"],
        "volume_id": outputs["MasterVolumeId"], "allocation_id": outputs["AddressAllocationId"],
        "public_ip": outputs["ApiEndpoint"].removeprefix("https://"),
        "private_ip": "172.20.128.9",
        "stack_id": stack_id, "cluster": given.cluster, "bucket": given.bucket, "bucket_region": bucket_region,
        "prefix": "pki", "master_role": made["MasterRole"], "node_role": made["NodeRole"],
    }, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()

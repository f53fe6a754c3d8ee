#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The CloudFormation template, without AWS: its resources by CloudFormation's registry schemas and by
cfn-lint, its policies by the published reference, the values that it takes and refuses, the order of its
resources, what outlives the stack, and the user data. Each check is also shown a template that is wrong,
and has to say so. Prints TAP.

  template.py [schema|lint|values|order|lasting|policies|user-data …]    by default all of them
"""

import base64
import copy
import ipaddress
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import botocore.session
import yaml

sys.dont_write_bytecode = True

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab/region"))

from labregion.template import Stack, load  # noqa: E402
from template_checks import given, lasting, order, policies, published, schema  # noqa: E402

TOP = Path(__file__).resolve().parents[2]
TEMPLATE = TOP / "conf" / "cloudformation" / "kubernetes.yaml"
PROGRAM = TOP / "build" / "debug" / "kube-bootstrap"
KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"
LEAST = {"ImageId": "ami-0123456789abcdef0", "MasterZone": "us-east-1a"}
TWO_ZONES = LEAST | {"NodeZone2": "us-east-1b"}
NEW = LEAST | {"NodeZone1": "us-east-1b", "NodeZone2": "us-east-1c", "NodeZone3": "us-east-1a"}
EXISTING = LEAST | {
    "KeyName": "me", "KmsKeyArn": KEY, "SshCidr": "198.51.100.0/24",
    "ApiDnsName": "api.example.com", "ExistingVpcId": "vpc-0123456789abcdef0",
    "ExistingMasterSubnetId": "subnet-0123456789abcdef0",
    "ExistingNodeSubnetIds": "subnet-0123456789abcdef1,subnet-0123456789abcdef2",
    "ExistingVolumeId": "vol-0123456789abcdef0", "ExistingBucket": "kubernetes-earlier",
    "ExistingAddressAllocationId": "eipalloc-0123456789abcdef0",
}
STACKS = {"in one zone": LEAST, "in two zones": TWO_ZONES, "in three zones": NEW,
          "with a customer key": NEW | {"KmsKeyArn": KEY}, "of what exists": EXISTING}
PHYSICAL = {
    ("MasterVolume", None): "vol-0123456789abcdef0",
    ("Address", None): "203.0.113.7",
    ("Address", "AllocationId"): "eipalloc-0123456789abcdef0",
    ("Bucket", None): "lab-bucket-tthk1tkcihyz",
    ("MasterTemplate", "LatestVersionNumber"): "1",
    ("NodeTemplate", "LatestVersionNumber"): "1",
}
# Zones of kinds that not every list of regions has: the European Sovereign Cloud's, and local zones
# https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html
# https://docs.aws.amazon.com/local-zones/latest/ug/available-local-zones.html
ZONES = ["eusc-de-east-1a", "us-iso-east-1a", "eu-isoe-west-1a", "us-gov-west-1c", "us-east-1-bos-1a",
         "us-west-2-lax-1b", "ap-southeast-7a", "mx-central-1a"]
# Networks that VPCs often have: the default VPC's, what consoles, guides and eksctl propose, this template's
COMMON_VPCS = ["172.31.0.0/16", "10.0.0.0/16", "10.1.0.0/16", "192.168.0.0/16", "172.20.0.0/16"]


def physical(name, attribute):
    return PHYSICAL.get((name, attribute), f"lab-{name}-528YFYKW2TC9")


class Tap:
    def __init__(self):
        self.n = self.failed = 0

    def none(self, what, complaints):
        complaints = list(complaints)
        self._line(what, not complaints, complaints)

    def some(self, what, complaints, word):
        """The check sees what is wrong with this one."""
        complaints = list(complaints)
        self._line(what, any(word in c for c in complaints),
                   [f"expected {word}", *complaints])

    def _line(self, what, good, complaints):
        self.n += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.n} - {what}", flush=True)
        for complaint in [] if good else complaints:
            print(f"# {complaint}")


def changed(template, path, value):
    """A copy with one thing else; without it where the value is None."""
    other = copy.deepcopy(template)
    node = other
    for key in path[:-1]:
        node = node[key]
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return other


def check_schema(tap, template):
    for name, parameters in STACKS.items():
        tap.none(f"schema: resources of a stack {name}",
                 schema.resources(template, Stack(template, parameters, physical)))
    tap.none("schema: parameters are grouped for the console", schema.console(template))
    volume = ("Resources", "MasterVolume", "Properties")
    for what, path, value, word in (
            ("a property that is none", (*volume, "Colour"), "red", "has no Colour"),
            ("a required property left out",
             ("Resources", "MasterTemplate", "Properties", "LaunchTemplateData"), None,
             "needs LaunchTemplateData"),
            ("a value of another type", (*volume, "Encrypted"), "yes", "is to be of type boolean"),
            ("a property that is none, deep within",
             ("Resources", "MasterTemplate", "Properties", "LaunchTemplateData", "MetadataOptions", "Hops"), 1,
             "has no Hops"),
            ("a type that is none", ("Resources", "MasterVolume", "Type"), "AWS::EC2::Disk",
             "is no type")):
        wrong = changed(template, path, value)
        tap.some(f"schema: sees {what}", schema.resources(wrong, Stack(wrong, NEW, physical)), word)


def lint(*paths):
    """What cfn-lint says of each file, of whatever severity; nothing is left out."""
    done = subprocess.run([published.cfn_lint(), "--format", "json", "--include-checks", "I", "W", "E",
                           "--template", *paths], check=False, text=True, stdout=subprocess.PIPE)
    said = {path: [] for path in paths}
    for each in json.loads(done.stdout):
        said[Path(each["Filename"])].append(
            f"line {each['Location']['Start']['LineNumber']}: {each['Rule']['Id']} {each['Message']}")
    return said


def check_lint(tap, template):
    resources = ("Resources",)
    wrong = {
        "E3030": ((*resources, "MasterVolume", "Properties", "VolumeType"), "gp9"),
        "E6101": (("Outputs", "BucketName", "Value"), {"Fn::GetAtt": ["Bucket", "Size"]}),
        "E1020": ((*resources, "MasterVolume", "Properties", "Size"), {"Ref": "VolumeSize"}),
        "E3005": ((*resources, "MasterGroup", "DependsOn"), ["MasterSubnetRoutes"]),
        "E3016": ((*resources, "NodeGroup", "UpdatePolicy", "AutoScalingRollingUpdate", "Batch"), 1),
        "W2001": (("Parameters", "Unused"), {"Type": "String", "Default": ""}),
    }
    with tempfile.TemporaryDirectory() as folder:
        files = {rule: Path(folder) / f"{rule}.json" for rule in wrong}
        for rule, (path, value) in wrong.items():
            files[rule].write_text(json.dumps(changed(template, path, value)))
        said = lint(TEMPLATE, *files.values())
        tap.none("lint: cfn-lint has nothing to say", said[TEMPLATE])
        for rule, path in files.items():
            tap.some(f"lint: sees what its rule {rule} is about", said[path], rule)


def disk_of_the_image():
    text = (TOP / "packer" / "kubernetes.pkr.hcl").read_text()
    return int(re.search(r'variable "disk_gib" \{.*?default += (\d+)', text, re.DOTALL)[1])


def overlaps(template):
    """Networks of the defaults that overlap each other's, or a common VPC's."""
    default = {name: ipaddress.ip_network(template["Parameters"][name]["Default"])
               for name in ("OverlayNetwork", "ServiceNetwork")}
    others = [*map(ipaddress.ip_network, COMMON_VPCS),
              ipaddress.ip_network(template["Parameters"]["VpcCidr"]["Default"])]
    for name, network in default.items():
        for other in [*others, *(n for o, n in default.items() if o != name)]:
            if network.overlaps(other):
                yield f"{name} {network} overlaps {other}"


def limits(template):
    """Limits that other things set."""
    # --template-body takes no more:
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    if TEMPLATE.stat().st_size > 51200:
        yield "the template is larger than 51,200 bytes"
    known = template["Parameters"]
    if known["RootVolumeGiB"]["MinValue"] < disk_of_the_image():
        yield f"RootVolumeGiB may be less than the image's {disk_of_the_image()}"
    # Of the smallest network flannel leaves one /24 out, and keeps those of dead machines for a day.
    smallest = max(n for n in range(33) if not list(given.refused(
        template, NEW | {"OverlayNetwork": f"10.0.0.0/{n}", "ServiceNetwork": "172.16.0.0/16"})))
    machines = 2 * (1 + known["NodeMax"]["MaxValue"])
    if 2 ** (24 - smallest) - 1 < machines:
        yield f"an overlay of {smallest} bits does not suffice for {machines} machines a day"
    update = template["Resources"]["NodeGroup"]["UpdatePolicy"]
    # "must be less than the MaxSize": https://docs.aws.amazon.com/AWSCloudFormation/latest/
    # UserGuide/aws-attribute-updatepolicy.html
    if update["AutoScalingRollingUpdate"]["MinInstancesInService"] != 0:
        yield "a group whose minimum is its maximum cannot be updated"
    if not update["AutoScalingScheduledAction"]["IgnoreUnmodifiedGroupSizeProperties"]:
        yield "an update sets the group's size back"


def metadata_tags(template):
    """With them EC2 takes no tag whose key has a space or a slash:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html"""
    for name, resource in template["Resources"].items():
        options = resource["Properties"].get("LaunchTemplateData", {}).get("MetadataOptions", {})
        if options.get("InstanceMetadataTags", "disabled") != "disabled":
            yield name


# What the AWS CLI and its answers write with an upper-case letter and "="
WORDS = {"HttpTokens", "Key", "Name", "OutputKey", "ParameterKey", "ParameterValue", "ResourceType", "Tags",
         "UsePreviousValue", "Value", "Values"}


def told(template, paths):
    """Commands of the documents that bash does not read, or that name a parameter that is none."""
    for path in paths:
        for block in re.findall(r"^```\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
            if "aws cloudformation" in block:
                done = subprocess.run(["bash", "-n"], input=block, check=False, text=True,
                                      stderr=subprocess.PIPE)
                yield from done.stderr.splitlines()
                named = re.findall(r"ParameterKey=(\w+)|\b([A-Z][a-z]\w*)=", block)
                for name in {a or b for a, b in named} - WORDS - set(template["Parameters"]):
                    yield f"{path.name}: no parameter {name}"


def check_values(tap, template):
    for name, parameters in STACKS.items():
        tap.none(f"values: those of a stack {name} are taken", given.refused(template, parameters))
    session = botocore.session.Session()
    zones = ZONES + [region + "a" for partition in session.get_available_partitions()
                     for region in session.get_available_regions("ec2", partition)]
    tap.none(f"values: {len(zones)} zones are taken",
             (c for zone in zones for n in (1, 2, 3)
              for c in given.refused(template, LEAST | {"MasterZone": zone, f"NodeZone{n}": zone})))
    for what, parameters, word in (
            ("no zone for the master", {"ImageId": NEW["ImageId"]}, "MasterZone"),
            ("a region for a zone", NEW | {"NodeZone1": "us-east-1"}, "NodeZone1"),
            ("an existing VPC without subnets", LEAST | {"ExistingVpcId": "vpc-0123456789abcdef0"},
             "ExistingNodeSubnetIds"),
            ("existing subnets without their VPC", LEAST | {"ExistingMasterSubnetId": "subnet-0123456789abcdef0"},
             "ExistingVpcId"),
            ("subnets with spaces between them", EXISTING | {
                "ExistingNodeSubnetIds": "subnet-0123456789abcdef1, subnet-0123456789abcdef2"},
             "ExistingNodeSubnetIds"),
            ("one network for pods and services", NEW | {"ServiceNetwork": "10.244.0.0/16"}, "OverlayNetwork"),
            ("the VPC's network for the services", NEW | {"ServiceNetwork": "172.20.0.0/16"}, "ServiceNetwork"),
            ("the VPC's network for the pods", NEW | {"OverlayNetwork": "172.20.0.0/16"}, "OverlayNetwork"),
            ("an address that is none", NEW | {"OverlayNetwork": "10.256.0.0/16"}, "OverlayNetwork"),
            ("host bits", NEW | {"OverlayNetwork": "10.244.1.0/16"}, "OverlayNetwork"),
            ("an overlay too small for the nodes", NEW | {"OverlayNetwork": "10.244.0.0/17"}, "OverlayNetwork"),
            # "for 32-bit addresses, the mask must be >= 12": kube-apiserver
            ("services' network of 11 bits", NEW | {"ServiceNetwork": "10.96.0.0/11"}, "ServiceNetwork"),
            ("more nodes than the overlay has room for", NEW | {"NodeMax": 300}, "NodeMax"),
            ("host-gw over several subnets", NEW | {"OverlayBackend": "host-gw"}, "host-gw"),
            ("a root disk smaller than the image's", NEW | {"RootVolumeGiB": disk_of_the_image() - 1},
             "RootVolumeGiB")):
        tap.some(f"values: refused is {what}", given.refused(template, parameters), word)
    tap.none("values: default networks overlap no common VPC, nor each other", overlaps(template))
    tap.none("values: limits hold for the image, the overlay and a group of fixed size", limits(template))
    documents = [TOP / "README.md", TOP / "conf" / "README.md"]
    tap.none("values: the documents' commands name parameters that are there", told(template, documents))
    tap.some("values: sees a document that names another",
             told(changed(template, ("Parameters", "MasterZone"), None), documents), "no parameter MasterZone")
    tap.none("values: any tag that a stack may have suits its machines", metadata_tags(template))
    for what, path, value, check in (
            ("a default network of a common VPC", ("Parameters", "ServiceNetwork", "Default"), "10.0.0.0/16",
             overlaps),
            ("an overlay that is too small", ("Parameters", "NodeMax", "MaxValue"), 128, limits),
            ("a disk smaller than the image's", ("Parameters", "RootVolumeGiB", "MinValue"), 8, limits),
            ("a minimum in service", ("Resources", "NodeGroup", "UpdatePolicy", "AutoScalingRollingUpdate",
                                      "MinInstancesInService"), {"Ref": "NodeMin"}, limits),
            ("tags in the metadata", ("Resources", "NodeTemplate", "Properties", "LaunchTemplateData",
                                      "MetadataOptions", "InstanceMetadataTags"), "enabled", metadata_tags)):
        tap.some(f"values: sees {what}", check(changed(template, path, value)), "")


def check_order(tap, template):
    for name, parameters in STACKS.items():
        tap.none(f"order: machines come after what they need, {name}",
                 order.early(template, Stack(template, parameters, physical)))
    for part, word in (("Metadata", "S3Endpoint"), ("DependsOn", "NodePolicy")):
        wrong = changed(template, ("Resources", "NodeGroup", part), None)
        tap.some(f"order: sees a group without its {part}",
                 order.early(wrong, Stack(wrong, NEW, physical)), f"not after {word}")


def zones_by_chance(template):
    """GetAZs is evaluated again at each update, and may then answer otherwise."""
    return ["Fn::GetAZs"] if "Fn::GetAZs" in json.dumps(template) else []


def old_versions(template):
    bucket = template["Resources"]["Bucket"]["Properties"]
    if not any(rule["Status"] == "Enabled" and "NoncurrentVersionExpiration" in rule and "Prefix" not in rule
               for rule in bucket.get("LifecycleConfiguration", {}).get("Rules", [])):
        yield "old versions of secrets stay for ever"


def check_lasting(tap, template):
    tap.none("lasting: volume, bucket and address are retained", lasting.retained(template))
    for name in ("MasterVolume", "Bucket", "Address"):
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            tap.some(f"lasting: sees {name} without {policy}",
                     lasting.retained(changed(template, ("Resources", name, policy), None)),
                     f"{name}: {policy}")
    tap.some("lasting: sees a bucket that a failed create would try to delete",
             lasting.retained(changed(template, ("Resources", "Bucket", "DeletionPolicy"),
                                      "RetainExceptOnCreate")), "Bucket: DeletionPolicy")
    tap.none("lasting: secrets that were replaced end", old_versions(template))
    tap.some("lasting: sees that they do not", old_versions(changed(
        template, ("Resources", "Bucket", "Properties", "LifecycleConfiguration"), None)), "stay for ever")
    tap.none("lasting: no zone changes by itself", zones_by_chance(template))
    tap.some("lasting: sees a zone that may change by itself", zones_by_chance(changed(
        template, ("Resources", "MasterSubnet", "Properties", "AvailabilityZone"),
        {"Fn::Select": [0, {"Fn::GetAZs": ""}]})), "GetAZs")
    # The whole list, so that a further way to lose one's place is looked at by whoever adds it.
    tap.none("lasting: a new zone or key alone makes another volume, nothing another bucket or "
             "address",
             [f"{name}.{key} by {by}" for name, key, by in lasting.replaced_by(template)
              if by and (name, key, by) not in (
                  ("MasterVolume", "AvailabilityZone", ["MasterZone"]),
                  ("MasterVolume", "KmsKeyId", ["KmsKeyArn"]))])
    wrong = changed(template, ("Resources", "Bucket", "Properties", "BucketName"),
                    {"Ref": "ClusterName"})
    tap.some("lasting: sees a bucket that a parameter renames",
             [f"{name}.{key}" for name, key, by in lasting.replaced_by(wrong) if by],
             "Bucket.BucketName")


def check_policies(tap, template):
    for name, parameters in STACKS.items():
        tap.none(f"policies: actions, resources and conditions exist and go together, {name}",
                 policies.statements(template, Stack(template, parameters, physical)))
    node = ("Resources", "NodePolicy", "Properties", "PolicyDocument", "Statement")
    for what, path, value, word in (
            ("an action that is none", (*node, 0, "Action"), "ec2:DescribeInterfaces", "no action"),
            ("a condition the action does not know", (*node, 1, "Condition"),
             {"StringEquals": {"ec2:VolumeSize": "1"}}, "knows no ec2:VolumeSize"),
            ("a resource of another service", (*node, 3, "Resource"), "arn:aws:ec2:::volume/*",
             "is about none of"),
            ("an open resource", (*node, 3, "Resource"), "*", "could be narrower"),
            ("a statement without a name", (*node, 3, "Sid"), None, "without a Sid")):
        wrong = changed(template, path, value)
        tap.some(f"policies: sees {what}",
                 policies.statements(wrong, Stack(wrong, NEW, physical)), word)


def user_data(template, stack, name):
    data = template["Resources"][name]["Properties"]["LaunchTemplateData"]["UserData"]
    return base64.b64decode(stack.resolve(data)).decode()


def configuration_errors(text, folder):
    """What the program says of the file that cloud-init would write."""
    if text.partition("\n")[0] != "#cloud-config":
        return ["not #cloud-config"]
    files = yaml.safe_load(text)["write_files"]
    if [f["path"] for f in files] != ["/etc/kubernetes/stack-config.sh"]:
        return [f"writes {[f['path'] for f in files]}"]
    path = Path(folder) / "stack-config.sh"
    path.write_text(files[0]["content"])
    done = subprocess.run([os.environ.get("KUBE_BOOTSTRAP", PROGRAM), "check-config", path],
                          check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = done.stdout.splitlines()
    return said if done.returncode or any("unknown" in line for line in said) else []


def check_user_data(tap, template):
    with tempfile.TemporaryDirectory() as folder:
        networks = {  # the smallest and the largest that the patterns take
            "with small networks": NEW | {"OverlayNetwork": "10.244.0.0/16", "ServiceNetwork": "10.96.0.0/24"},
            "with large networks": NEW | {"OverlayNetwork": "10.64.0.0/10", "ServiceNetwork": "172.16.0.0/12",
                                          "VpcCidr": "192.168.0.0/16", "MasterPrivateIp": "192.168.128.9"}}
        for name, parameters in (STACKS | networks).items():
            stack = Stack(template, parameters, physical)
            for machine in ("MasterTemplate", "NodeTemplate"):
                tap.none(f"user data: {machine}'s passes check-config, {name}",
                         configuration_errors(user_data(template, stack, machine), folder))
        text = user_data(template, Stack(template, NEW, physical), "MasterTemplate")
        # A volume is proven new by its tag aws:cloudformation:stack-id.
        tap.some("user data: STACK_NAME is the stack's id", text.split(), "STACK_NAME=arn:aws:cloudformation:")
        tap.some("user data: check-config sees a volume that is none",
                 configuration_errors(text.replace("=vol-", "=disk-"), folder), "MASTER_VOLUME_ID")
        tap.some("user data: sees a key that the program does not know",
                 configuration_errors(text.replace("S3_PREFIX", "S3_FOLDER"), folder), "S3_FOLDER")


CHECKS = {"schema": check_schema, "lint": check_lint, "values": check_values, "order": check_order,
          "lasting": check_lasting, "policies": check_policies, "user-data": check_user_data}


def main():
    template = load(TEMPLATE)
    tap = Tap()
    for part in sys.argv[1:] or CHECKS:
        CHECKS[part](tap, template)
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())

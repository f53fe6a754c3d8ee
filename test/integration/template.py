#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The CloudFormation template, without AWS: its resources by the published specification, its
policies by the published reference, what outlives it, and the user data it makes. Each check is
also shown a template that is wrong, and has to say so. Prints TAP."""

import base64
import copy
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

sys.dont_write_bytecode = True

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab/region"))

from labregion.template import Stack, load  # noqa: E402
from template_checks import lasting, policies, schema  # noqa: E402

TOP = Path(__file__).resolve().parents[2]
PROGRAM = TOP / "build" / "debug" / "kube-bootstrap"
KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"
NEW = {"ImageId": "ami-0123456789abcdef0"}
EXISTING = NEW | {
    "KeyName": "me", "KmsKeyArn": KEY, "SshCidr": "198.51.100.0/24", "MasterZone": "us-east-1a",
    "ApiDnsName": "api.example.com", "ExistingVpcId": "vpc-0123456789abcdef0",
    "ExistingMasterSubnetId": "subnet-0123456789abcdef0",
    "ExistingNodeSubnetIds": "subnet-0123456789abcdef1,subnet-0123456789abcdef2",
    "ExistingVolumeId": "vol-0123456789abcdef0", "ExistingBucket": "kubernetes-earlier",
    "ExistingAddressAllocationId": "eipalloc-0123456789abcdef0",
}
STACKS = {"new": NEW, "new with a customer key": NEW | {"KmsKeyArn": KEY}, "existing": EXISTING}
PHYSICAL = {
    ("MasterVolume", None): "vol-0123456789abcdef0",
    ("Address", None): "203.0.113.7",
    ("Address", "AllocationId"): "eipalloc-0123456789abcdef0",
    ("Bucket", None): "lab-bucket-tthk1tkcihyz",
    ("MasterTemplate", "LatestVersionNumber"): "1",
    ("NodeTemplate", "LatestVersionNumber"): "1",
}


def physical(name, attribute):
    return PHYSICAL.get((name, attribute), f"lab-{name}-528YFYKW2TC9")


class Tap:
    def __init__(self):
        self.n = self.failed = 0

    def none(self, what, complaints):
        self._line(what, not complaints, complaints)

    def some(self, what, complaints, word):
        """The check sees what is wrong with this one."""
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
        tap.none(f"schema: resources of a stack, {name}",
                 list(schema.resources(template, Stack(template, parameters, physical))))
    tap.none("schema: all that is named is there", list(schema.references(template)))
    tap.none("schema: parameters are grouped for the console", list(schema.console(template)))
    volume = ("Resources", "MasterVolume", "Properties")
    for what, path, value, word in (
            ("a property that is none", (*volume, "Colour"), "red", "has no Colour"),
            ("a required property left out", (*volume, "AvailabilityZone"), None,
             "needs AvailabilityZone"),
            ("a value of another type", (*volume, "Encrypted"), "yes", "is to be a Boolean"),
            ("a value that is none", (*volume, "VolumeType"), "gp9", "cannot be"),
            ("a type that is none", ("Resources", "MasterVolume", "Type"), "AWS::EC2::Disk",
             "is no type")):
        wrong = changed(template, path, value)
        tap.some(f"schema: sees {what}",
                 list(schema.resources(wrong, Stack(wrong, NEW, physical))), word)
    wrong = changed(template, ("Outputs", "BucketName", "Value"),
                    {"Fn::GetAtt": ["Bucket", "Size"]})
    tap.some("schema: sees an attribute that is none", list(schema.references(wrong)),
             "no attribute Size")


def check_lasting(tap, template):
    tap.none("lasting: volume, bucket and address are retained", list(lasting.retained(template)))
    for name in ("MasterVolume", "Bucket", "Address"):
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            tap.some(f"lasting: sees {name} without {policy}",
                     list(lasting.retained(changed(template, ("Resources", name, policy), None))),
                     f"{name}: {policy}")
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
                 list(policies.statements(template, Stack(template, parameters, physical))))
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
                 list(policies.statements(wrong, Stack(wrong, NEW, physical))), word)


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
        for name, parameters in STACKS.items():
            stack = Stack(template, parameters, physical)
            for machine in ("MasterTemplate", "NodeTemplate"):
                tap.none(f"user data: {machine}'s passes check-config, {name}",
                         configuration_errors(user_data(template, stack, machine), folder))
        text = user_data(template, Stack(template, NEW, physical), "MasterTemplate")
        tap.some("user data: check-config sees a volume that is none",
                 configuration_errors(text.replace("=vol-", "=disk-"), folder), "MASTER_VOLUME_ID")
        tap.some("user data: sees a key that the program does not know",
                 configuration_errors(text.replace("S3_PREFIX", "S3_FOLDER"), folder), "S3_FOLDER")


def main():
    template = load(TOP / "conf" / "cloudformation" / "kubernetes.yaml")
    tap = Tap()
    check_schema(tap, template)
    check_lasting(tap, template)
    check_policies(tap, template)
    check_user_data(tap, template)
    print(f"1..{tap.n}")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main())

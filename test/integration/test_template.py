# SPDX-License-Identifier: Apache-2.0
"""The CloudFormation template, without AWS: its resources by CloudFormation's registry schemas and by
cfn-lint, its policies by the published reference, the values that it takes and refuses, the order of its
resources, what outlives the stack, and the user data. Each check is also shown a template that is wrong,
and has to say so.
"""

import base64
import copy
import ipaddress
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import botocore.session
import pytest
import yaml

from labregion.template import Stack, load
from template_checks import given, lasting, order, policies, schema

TOP = Path(__file__).resolve().parents[2]
CFN_LINT = Path(sys.executable).with_name("cfn-lint")  # of the same environment
TEMPLATE = TOP / "conf" / "cloudformation" / "kubernetes.yaml"
KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-4000-8000-000000000000"
LEAST = {"ImageId": "ami-0123456789abcdef0", "MasterZone": "us-east-1a", "ApiCidr": "198.51.100.0/24"}
TWO_ZONES = LEAST | {"NodeZone2": "us-east-1b"}
NEW = LEAST | {"NodeZone1": "us-east-1b", "NodeZone2": "us-east-1c", "NodeZone3": "us-east-1a"}
EXISTING = LEAST | {
    "KeyName": "me", "KmsKeyArn": KEY, "SshCidr": "198.51.100.0/24", "EcrRepositories": "team/*",
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


def assert_none(complaints):
    complaints = list(complaints)
    assert not complaints, "\n".join(complaints)


def assert_seen(word, complaints):
    """The check sees what is wrong with this one."""
    complaints = list(complaints)
    assert any(word in complaint for complaint in complaints), f"expected {word}, got {complaints}"


@pytest.fixture(scope="module")
def template():
    return load(TEMPLATE)


in_each_stack = pytest.mark.parametrize("parameters", STACKS.values(), ids=STACKS)


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


# Schemas

@in_each_stack
def test_schema_of_resources_in_a_stack(template, parameters):
    assert_none(schema.resources(template, Stack(template, parameters, physical)))


def test_schema_groups_parameters_for_the_console(template):
    assert_none(schema.console(template))


VOLUME = ("Resources", "MasterVolume", "Properties")
LAUNCH = ("Resources", "MasterTemplate", "Properties", "LaunchTemplateData")
AGAINST_SCHEMAS = {
    "a property that is none": ((*VOLUME, "Colour"), "red", "has no Colour"),
    "a required property left out": (LAUNCH, None, "needs LaunchTemplateData"),
    "a value of another type": ((*VOLUME, "Encrypted"), "yes", "is to be of type boolean"),
    "a property that is none, deep within": ((*LAUNCH, "MetadataOptions", "Hops"), 1, "has no Hops"),
    "a type that is none": (("Resources", "MasterVolume", "Type"), "AWS::EC2::Disk", "is no type"),
}


@pytest.mark.parametrize("path, value, word", AGAINST_SCHEMAS.values(), ids=AGAINST_SCHEMAS)
def test_schema_sees(template, path, value, word):
    wrong = changed(template, path, value)
    assert_seen(word, schema.resources(wrong, Stack(wrong, NEW, physical)))


# cfn-lint

def lint(*paths):
    """What cfn-lint says of each file, of whatever severity; nothing is left out."""
    done = subprocess.run([CFN_LINT, "--format", "json", "--include-checks", "I", "W", "E",
                           "--template", *paths], check=False, text=True, stdout=subprocess.PIPE)
    said = {path: [] for path in paths}
    for each in json.loads(done.stdout):
        said[Path(each["Filename"])].append(
            f"line {each['Location']['Start']['LineNumber']}: {each['Rule']['Id']} {each['Message']}")
    return said


AGAINST_LINT = {
    "E3030": ((*VOLUME, "VolumeType"), "gp9"),
    "E6101": (("Outputs", "BucketName", "Value"), {"Fn::GetAtt": ["Bucket", "Size"]}),
    "E1020": ((*VOLUME, "Size"), {"Ref": "VolumeSize"}),
    "E3005": (("Resources", "MasterGroup", "DependsOn"), ["MasterSubnetRoutes"]),
    "E3016": (("Resources", "NodeGroup", "UpdatePolicy", "AutoScalingRollingUpdate", "Batch"), 1),
    "W2001": (("Parameters", "Unused"), {"Type": "String", "Default": ""}),
}


@pytest.fixture(scope="module")
def linted(template, tmp_path_factory):
    """What cfn-lint says of the template (None), and of those that break a rule, all in one run."""
    folder = tmp_path_factory.mktemp("lint")
    files = {None: TEMPLATE} | {rule: folder / f"{rule}.json" for rule in AGAINST_LINT}
    for rule, (path, value) in AGAINST_LINT.items():
        files[rule].write_text(json.dumps(changed(template, path, value)))
    said = lint(*files.values())
    return {rule: said[path] for rule, path in files.items()}


def test_lint_has_nothing_to_say(linted):
    assert_none(linted[None])


@pytest.mark.parametrize("rule", AGAINST_LINT)
def test_lint_sees_what_its_rule_is_about(linted, rule):
    assert_seen(rule, linted[rule])


# Values

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


DOCUMENTS = [TOP / "README.md", TOP / "conf" / "README.md"]
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


@in_each_stack
def test_values_of_a_stack_are_taken(template, parameters):
    assert_none(given.refused(template, parameters))


def test_values_of_every_known_zone_are_taken(template):
    session = botocore.session.Session()
    zones = ZONES + [region + "a" for partition in session.get_available_partitions()
                     for region in session.get_available_regions("ec2", partition)]
    assert len(zones) > len(ZONES)
    assert_none(complaint for zone in zones for n in (1, 2, 3)
                for complaint in given.refused(template, LEAST | {"MasterZone": zone, f"NodeZone{n}": zone}))


def without(name):
    return {key: value for key, value in LEAST.items() if key != name}


REFUSED = {
    "no zone for the master": (without("MasterZone"), "MasterZone"),
    "nobody named who may reach the API": (without("ApiCidr"), "ApiCidr"),
    "a region for a zone": (NEW | {"NodeZone1": "us-east-1"}, "NodeZone1"),
    "an existing VPC without subnets": (LEAST | {"ExistingVpcId": "vpc-0123456789abcdef0"}, "ExistingNodeSubnetIds"),
    "existing subnets without their VPC": (LEAST | {"ExistingMasterSubnetId": "subnet-0123456789abcdef0"},
                                           "ExistingVpcId"),
    "subnets with spaces between them": (EXISTING | {
        "ExistingNodeSubnetIds": "subnet-0123456789abcdef1, subnet-0123456789abcdef2"}, "ExistingNodeSubnetIds"),
    "one network for pods and services": (NEW | {"ServiceNetwork": "10.244.0.0/16"}, "OverlayNetwork"),
    "the VPC's network for the services": (NEW | {"ServiceNetwork": "172.20.0.0/16"}, "ServiceNetwork"),
    "the VPC's network for the pods": (NEW | {"OverlayNetwork": "172.20.0.0/16"}, "OverlayNetwork"),
    "an address that is none": (NEW | {"OverlayNetwork": "10.256.0.0/16"}, "OverlayNetwork"),
    "host bits": (NEW | {"OverlayNetwork": "10.244.1.0/16"}, "OverlayNetwork"),
    "an overlay too small for the nodes": (NEW | {"OverlayNetwork": "10.244.0.0/17"}, "OverlayNetwork"),
    # "for 32-bit addresses, the mask must be >= 12": kube-apiserver
    "services' network of 11 bits": (NEW | {"ServiceNetwork": "10.96.0.0/11"}, "ServiceNetwork"),
    "more nodes than the overlay has room for": (NEW | {"NodeMax": 300}, "NodeMax"),
    "host-gw over several subnets": (NEW | {"OverlayBackend": "host-gw"}, "host-gw"),
    "a repository's address for its name": (NEW | {"EcrRepositories": "123456789012.dkr.ecr.us-east-1.amazonaws.com:team"},
                                            "EcrRepositories"),
    "a root disk smaller than the image's": (NEW | {"RootVolumeGiB": disk_of_the_image() - 1}, "RootVolumeGiB"),
}


@pytest.mark.parametrize("parameters, word", REFUSED.values(), ids=REFUSED)
def test_values_refused_are(template, parameters, word):
    assert_seen(word, given.refused(template, parameters))


def test_values_of_default_networks_overlap_no_common_vpc_nor_each_other(template):
    assert_none(overlaps(template))


def test_values_have_limits_for_the_image_the_overlay_and_a_group_of_fixed_size(template):
    assert_none(limits(template))


def test_values_in_the_documents_commands_are_of_parameters_that_are_there(template):
    assert_none(told(template, DOCUMENTS))


def test_values_sees_a_document_that_names_another_parameter(template):
    assert_seen("no parameter MasterZone", told(changed(template, ("Parameters", "MasterZone"), None), DOCUMENTS))


def test_values_of_any_tag_suit_the_machines(template):
    assert_none(metadata_tags(template))


AGAINST_LIMITS = {
    "a default network of a common VPC": (overlaps, ("Parameters", "ServiceNetwork", "Default"), "10.0.0.0/16"),
    "an overlay that is too small": (limits, ("Parameters", "NodeMax", "MaxValue"), 128),
    "a disk smaller than the image's": (limits, ("Parameters", "RootVolumeGiB", "MinValue"), 8),
    "a minimum in service": (limits, ("Resources", "NodeGroup", "UpdatePolicy", "AutoScalingRollingUpdate",
                                      "MinInstancesInService"), {"Ref": "NodeMin"}),
    "tags in the metadata": (metadata_tags, ("Resources", "NodeTemplate", "Properties", "LaunchTemplateData",
                                             "MetadataOptions", "InstanceMetadataTags"), "enabled"),
}


@pytest.mark.parametrize("check, path, value", AGAINST_LIMITS.values(), ids=AGAINST_LIMITS)
def test_values_sees(template, check, path, value):
    assert list(check(changed(template, path, value)))


# Order

@in_each_stack
def test_order_makes_machines_after_what_they_need(template, parameters):
    assert_none(order.early(template, Stack(template, parameters, physical)))


@pytest.mark.parametrize("part, word", [("Metadata", "S3Endpoint"), ("DependsOn", "NodePolicy")])
def test_order_sees_a_group_without(template, part, word):
    wrong = changed(template, ("Resources", "NodeGroup", part), None)
    assert_seen(f"not after {word}", order.early(wrong, Stack(wrong, NEW, physical)))


# What lasts

def zones_by_chance(template):
    """GetAZs is evaluated again at each update, and may then answer otherwise."""
    return ["Fn::GetAZs"] if "Fn::GetAZs" in json.dumps(template) else []


def old_versions(template):
    bucket = template["Resources"]["Bucket"]["Properties"]
    if not any(rule["Status"] == "Enabled" and "NoncurrentVersionExpiration" in rule and "Prefix" not in rule
               for rule in bucket.get("LifecycleConfiguration", {}).get("Rules", [])):
        yield "old versions of secrets stay for ever"


def test_lasting_are_volume_bucket_and_address(template):
    assert_none(lasting.retained(template))


@pytest.mark.parametrize("policy", ["DeletionPolicy", "UpdateReplacePolicy"])
@pytest.mark.parametrize("name", ["MasterVolume", "Bucket", "Address"])
def test_lasting_sees_what_has_no(template, name, policy):
    assert_seen(f"{name}: {policy}", lasting.retained(changed(template, ("Resources", name, policy), None)))


def test_lasting_sees_a_bucket_that_a_failed_create_would_try_to_delete(template):
    wrong = changed(template, ("Resources", "Bucket", "DeletionPolicy"), "RetainExceptOnCreate")
    assert_seen("Bucket: DeletionPolicy", lasting.retained(wrong))


def test_lasting_ends_for_secrets_that_were_replaced(template):
    assert_none(old_versions(template))


def test_lasting_sees_secrets_that_were_replaced_and_stay(template):
    wrong = changed(template, ("Resources", "Bucket", "Properties", "LifecycleConfiguration"), None)
    assert_seen("stay for ever", old_versions(wrong))


def test_lasting_is_each_zone(template):
    assert_none(zones_by_chance(template))


def test_lasting_sees_a_zone_that_may_change_by_itself(template):
    wrong = changed(template, ("Resources", "MasterSubnet", "Properties", "AvailabilityZone"),
                    {"Fn::Select": [0, {"Fn::GetAZs": ""}]})
    assert_seen("GetAZs", zones_by_chance(wrong))


def test_lasting_but_for_a_new_zone_or_key_which_make_another_volume(template):
    """The whole list, so that a further way to lose one's place is looked at by whoever adds it."""
    assert [(name, key, by) for name, key, by in lasting.replaced_by(template) if by] == [
        ("MasterVolume", "AvailabilityZone", ["MasterZone"]), ("MasterVolume", "KmsKeyId", ["KmsKeyArn"])]


def test_lasting_sees_a_bucket_that_a_parameter_renames(template):
    wrong = changed(template, ("Resources", "Bucket", "Properties", "BucketName"), {"Ref": "ClusterName"})
    assert_seen("Bucket.BucketName", [f"{name}.{key}" for name, key, by in lasting.replaced_by(wrong) if by])


# Policies

@in_each_stack
def test_policies_name_actions_resources_and_conditions_that_go_together(template, parameters):
    assert_none(policies.statements(template, Stack(template, parameters, physical)))


STATEMENTS = ("Resources", "NodePolicy", "Properties", "PolicyDocument", "Statement")
AGAINST_POLICIES = {
    "an action that is none": ((*STATEMENTS, 0, "Action"), "ec2:DescribeInterfaces", "no action"),
    "a condition the action does not know": ((*STATEMENTS, 1, "Condition"),
                                             {"StringEquals": {"ec2:VolumeSize": "1"}}, "knows no ec2:VolumeSize"),
    "a resource of another service": ((*STATEMENTS, 3, "Resource"), "arn:aws:ec2:::volume/*", "is about none of"),
    "an open resource": ((*STATEMENTS, 3, "Resource"), "*", "could be narrower"),
    "a statement without a name": ((*STATEMENTS, 3, "Sid"), None, "without a Sid"),
}


@pytest.mark.parametrize("path, value, word", AGAINST_POLICIES.values(), ids=AGAINST_POLICIES)
def test_policies_sees(template, path, value, word):
    wrong = changed(template, path, value)
    assert_seen(word, policies.statements(wrong, Stack(wrong, NEW, physical)))


# User data

def user_data(template, stack, name):
    data = template["Resources"][name]["Properties"]["LaunchTemplateData"]["UserData"]
    return base64.b64decode(stack.resolve(data)).decode()


@pytest.fixture
def configuration_errors(build, tmp_path):
    """Says what the program says of the file that cloud-init would write."""
    program = os.environ.get("KUBE_BOOTSTRAP") or build("debug", "kube-bootstrap")

    def errors(text):
        if text.partition("\n")[0] != "#cloud-config":
            return ["not #cloud-config"]
        files = yaml.safe_load(text)["write_files"]
        if [f["path"] for f in files] != ["/etc/kubernetes/stack-config.sh"]:
            return [f"writes {[f['path'] for f in files]}"]
        path = tmp_path / "stack-config.sh"
        path.write_text(files[0]["content"])
        done = subprocess.run([program, "check-config", path], check=False, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        said = done.stdout.splitlines()
        return said if done.returncode or any("unknown" in line for line in said) else []
    return errors


NETWORKS = {  # the smallest and the largest that the patterns take
    "with small networks": NEW | {"OverlayNetwork": "10.244.0.0/16", "ServiceNetwork": "10.96.0.0/24"},
    "with large networks": NEW | {"OverlayNetwork": "10.64.0.0/10", "ServiceNetwork": "172.16.0.0/12",
                                  "VpcCidr": "192.168.0.0/16", "MasterPrivateIp": "192.168.128.9"}}


@pytest.mark.parametrize("machine", ["MasterTemplate", "NodeTemplate"])
@pytest.mark.parametrize("parameters", (STACKS | NETWORKS).values(), ids=STACKS | NETWORKS)
def test_user_data_passes_check_config(template, configuration_errors, parameters, machine):
    assert_none(configuration_errors(user_data(template, Stack(template, parameters, physical), machine)))


@pytest.fixture(scope="module")
def masters_data(template):
    return user_data(template, Stack(template, NEW, physical), "MasterTemplate")


def test_user_data_has_the_stacks_id_for_its_name(masters_data):
    """A volume is proven new by its tag aws:cloudformation:stack-id."""
    assert_seen("STACK_NAME=arn:aws:cloudformation:", masters_data.split())


def test_user_data_sees_a_volume_that_is_none(masters_data, configuration_errors):
    assert_seen("MASTER_VOLUME_ID", configuration_errors(masters_data.replace("=vol-", "=disk-")))


def test_user_data_sees_a_key_that_the_program_does_not_know(masters_data, configuration_errors):
    assert_seen("S3_FOLDER", configuration_errors(masters_data.replace("S3_PREFIX", "S3_FOLDER")))

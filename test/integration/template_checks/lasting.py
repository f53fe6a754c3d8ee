# SPDX-License-Identifier: Apache-2.0
"""Volume, bucket and address outlive the stack and every update of it."""

from .published import resource_type

# A bucket may not be empty when a stack's creation fails, and CloudFormation deletes empty ones only.
LASTING = {"AWS::EC2::Volume": "RetainExceptOnCreate", "AWS::EC2::EIP": "RetainExceptOnCreate",
           "AWS::S3::Bucket": "Retain", "AWS::S3::BucketPolicy": "Retain"}
# EBS changes nothing else of a volume that is there, whatever its schema says.
VOLUME_IN_PLACE = {"Size", "VolumeType", "Iops", "Throughput", "Tags"}


def retained(template):
    found = set()
    for name, resource in template["Resources"].items():
        if resource["Type"] not in LASTING:
            continue
        found.add(resource["Type"])
        for policy, wanted in (("DeletionPolicy", LASTING[resource["Type"]]),
                               ("UpdateReplacePolicy", "Retain")):
            if resource.get(policy) != wanted:
                yield f"{name}: {policy} is {resource.get(policy)}"
    for kind in sorted(set(LASTING) - found):
        yield f"no {kind}"


def replaced_by(template):
    """For each lasting resource the properties whose change makes another, with the parameters
    that can change them."""
    for name, resource in template["Resources"].items():
        if resource["Type"] not in LASTING:
            continue
        known = resource_type(resource["Type"])["properties"]
        for key, value in resource["Properties"].items():
            in_place = key in VOLUME_IN_PLACE if resource["Type"] == "AWS::EC2::Volume" \
                else "causesReplacement" not in known[key]
            if not in_place:
                yield name, key, sorted(_parameters(template, value))


def _parameters(template, node):
    if isinstance(node, list):
        return set().union(*(_parameters(template, one) for one in node))
    if not isinstance(node, dict):
        return set()
    found = set()
    for key, value in node.items():
        if key == "Ref" and value in template["Parameters"]:
            found.add(value)
        elif key == "Condition" and isinstance(value, str):
            found |= _parameters(template, template["Conditions"][value])
        elif key == "Fn::If":
            found |= _parameters(template, template["Conditions"][value[0]])
        found |= _parameters(template, value)
    return found

# SPDX-License-Identifier: Apache-2.0
"""Volume, bucket and address outlive the stack and every update of it."""

from .published import specification

LASTING = {"AWS::EC2::Volume", "AWS::EC2::EIP", "AWS::S3::Bucket", "AWS::S3::BucketPolicy"}
# EBS changes nothing else of a volume that is there, whatever the specification's update type.
VOLUME_IN_PLACE = {"Size", "VolumeType", "Iops", "Throughput", "Tags"}


def retained(template):
    found = set()
    for name, resource in template["Resources"].items():
        if resource["Type"] not in LASTING:
            continue
        found.add(resource["Type"])
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            if resource.get(policy) != "Retain":
                yield f"{name}: {policy} is {resource.get(policy)}"
    for kind in sorted(LASTING - found):
        yield f"no {kind}"


def replaced_by(template):
    """For each lasting resource the properties whose change makes another, with the parameters
    that can change them."""
    for name, resource in template["Resources"].items():
        if resource["Type"] not in LASTING:
            continue
        known = specification()["ResourceTypes"][resource["Type"]]["Properties"]
        for key, value in resource["Properties"].items():
            in_place = key in VOLUME_IN_PLACE if resource["Type"] == "AWS::EC2::Volume" \
                else known[key]["UpdateType"] == "Mutable"
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
        elif key == "Fn::If":
            found |= _parameters(template, template["Conditions"][value[0]])
        found |= _parameters(template, value)
    return found

# SPDX-License-Identifier: Apache-2.0
"""The order in which CloudFormation makes the resources of a stack: a resource comes after those that its
DependsOn, its properties and its metadata name."""

from labregion.template import variables

# What a machine needs before its first request to AWS
NEEDED = {
    "MasterGroup": {"DefaultRoute", "MasterSubnetRoutes", "S3Endpoint", "ClusterIngress", "MasterPolicy"},
    "NodeGroup": {"DefaultRoute", "NodeSubnet1Routes", "NodeSubnet2Routes", "NodeSubnet3Routes", "S3Endpoint",
                  "ClusterIngress", "NodePolicy"},
}


def early(template, stack):
    """Groups that may be made before what their machines need."""
    for group, needed in NEEDED.items():
        before = set()
        _collect(template, stack, group, before)
        for name in sorted(needed - before):
            if stack.exists(name):
                yield f"{group}: not after {name}"


def _collect(template, stack, name, found):
    resource = template["Resources"][name]
    after = resource.get("DependsOn", [])
    named = {after} if isinstance(after, str) else set(after)
    for part in ("Properties", "Metadata"):
        named |= _named(stack, resource.get(part, {}))
    for other in named & set(template["Resources"]) - found:
        found.add(other)
        _collect(template, stack, other, found)


def _named(stack, node):
    if isinstance(node, list):
        return set().union(*(_named(stack, one) for one in node))
    if not isinstance(node, dict):
        return set()
    found = set()
    for key, value in node.items():
        if key == "Ref":
            found.add(value)
        elif key == "Fn::GetAtt":
            found.add(value[0])
        elif key == "Fn::If":
            value = stack.chosen(value)
        elif key == "Fn::Sub":
            found |= {name.split(".")[0] for name in variables(value[0] if isinstance(value, list) else value)}
        found |= _named(stack, value)
    return found

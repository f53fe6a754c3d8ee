# SPDX-License-Identifier: Apache-2.0
"""The template against CloudFormation's resource specification. Each function yields complaints."""

from .published import specification
from labregion.template import PSEUDO, variables

PRIMITIVES = {
    "String": (str, int, float),  # CloudFormation makes strings of numbers, not of booleans
    "Integer": (int,),
    "Long": (int,),
    "Double": (int, float),
    "Boolean": (bool,),
    "Json": (dict,),
    "Timestamp": (str,),
}
# Enumerations, which the specification leaves out: https://docs.aws.amazon.com/AWSCloudFormation/
VALUES = {
    "VolumeType": {"gp2", "gp3", "io1", "io2", "sc1", "st1", "standard"},
    "HttpTokens": {"optional", "required"},
    "InstanceMetadataTags": {"enabled", "disabled"},
    "SSEAlgorithm": {"AES256", "aws:kms", "aws:kms:dsse"},
    "ObjectOwnership": {"BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"},
    "VpcEndpointType": {"Gateway", "Interface", "GatewayLoadBalancer"},
    "HealthCheckType": {"EC2", "ELB", "EBS", "VPC_LATTICE"},
    "Domain": {"vpc", "standard"},
    "State": {"ENABLED", "DISABLED"},
    "IntervalUnit": {"HOURS"},
    "ResourceTypes": {"VOLUME", "INSTANCE"},
    "ResourceType": {"instance", "volume", "network-interface", "spot-instances-request"},
}
RESOURCE_KEYS = {"Type", "Properties", "Condition", "DependsOn", "DeletionPolicy",
                 "UpdateReplacePolicy", "CreationPolicy", "UpdatePolicy", "Metadata"}
ROLLING = {"MaxBatchSize", "MinInstancesInService", "MinSuccessfulInstancesPercent", "PauseTime",
           "SuspendProcesses", "WaitOnResourceSignals"}
PROCESSES = {"Launch", "Terminate", "HealthCheck", "ReplaceUnhealthy", "AZRebalance",
             "AlarmNotification", "ScheduledActions", "AddToLoadBalancer", "InstanceRefresh"}


def resources(template, stack):
    """Types, properties, values and what must be there, of the resources of this stack."""
    for name, resource in template["Resources"].items():
        for key in sorted(set(resource) - RESOURCE_KEYS):
            yield f"{name}: {key} is no attribute of a resource"
        kind = specification()["ResourceTypes"].get(resource["Type"])
        if not kind:
            yield f"{name}: {resource['Type']} is no type"
        elif stack.exists(name):
            properties = stack.resolve(resource.get("Properties", {}))
            yield from _properties(name, resource["Type"], kind["Properties"], properties)
        yield from _policies(name, resource)


def _policies(name, resource):
    signal = resource.get("CreationPolicy", {})
    update = resource.get("UpdatePolicy", {})
    for key in sorted(set(signal) - {"ResourceSignal", "AutoScalingCreationPolicy"}):
        yield f"{name}: CreationPolicy has no {key}"
    for key in sorted(set(signal.get("ResourceSignal", {})) - {"Count", "Timeout"}):
        yield f"{name}: ResourceSignal has no {key}"
    for key in sorted(set(update) - {"AutoScalingRollingUpdate"}):
        yield f"{name}: UpdatePolicy has no {key}"
    rolling = update.get("AutoScalingRollingUpdate", {})
    for key in sorted(set(rolling) - ROLLING):
        yield f"{name}: AutoScalingRollingUpdate has no {key}"
    for process in sorted(set(rolling.get("SuspendProcesses", [])) - PROCESSES):
        yield f"{name}: {process} is no process of a group"


def _properties(where, owner, known, properties):
    for key, value in properties.items():
        if key not in known:
            yield f"{where}: {owner} has no {key}"
        else:
            yield from _value(f"{where}.{key}", owner, key, known[key], value)
    for key, rule in known.items():
        if rule["Required"] and key not in properties:
            yield f"{where}: {owner} needs {key}"


def _value(where, owner, key, rule, value):
    kind = rule.get("Type")
    if kind in ("List", "Map"):
        wanted, values = ((list, value) if kind == "List" else
                          (dict, value.values() if isinstance(value, dict) else ()))
        if not isinstance(value, wanted):
            yield f"{where} is to be a {kind}"
            return
        item = {"PrimitiveType": rule["PrimitiveItemType"]} if "PrimitiveItemType" in rule \
            else {"Type": rule["ItemType"]}
        for i, one in enumerate(values):
            yield from _value(f"{where}[{i}]", owner, key, item, one)
    elif kind:
        known = specification()["PropertyTypes"]
        namespace = owner.split(".")[0]
        name = f"{namespace}.{kind}" if f"{namespace}.{kind}" in known else kind
        if not isinstance(value, dict):
            yield f"{where} is to be a {kind}"
        else:
            yield from _properties(where, name, known[name]["Properties"], value)
    else:
        wanted = PRIMITIVES[rule["PrimitiveType"]]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            yield f"{where} is to be a {rule['PrimitiveType']}: {value!r}"
        elif key in VALUES and value not in VALUES[key]:
            yield f"{where} cannot be {value!r}"


def references(template):
    """What Ref, GetAtt, Sub, If and DependsOn name is there."""
    known = template["Resources"]
    names = set(known) | set(template["Parameters"]) | set(PSEUDO) | {"AWS::NoValue"}

    def attribute(where, resource, wanted):
        if resource not in known:
            yield f"{where}: no resource {resource}"
        elif wanted not in specification()["ResourceTypes"][known[resource]["Type"]].get(
                "Attributes", {}):
            yield f"{where}: {resource} has no attribute {wanted}"

    def walk(where, node):
        if isinstance(node, list):
            for i, one in enumerate(node):
                yield from walk(f"{where}[{i}]", one)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key == "Ref" and value not in names:
                    yield f"{where}: nothing is named {value}"
                elif key == "Fn::GetAtt":
                    yield from attribute(where, *value)
                elif key == "Fn::If" and value[0] not in template["Conditions"]:
                    yield f"{where}: no condition {value[0]}"
                elif key == "Fn::Sub":
                    text, mapping = value if isinstance(value, list) else (value, {})
                    used = variables(text)
                    for name in used:
                        if "." in name:
                            yield from attribute(where, *name.split(".", 1))
                        elif name not in mapping and name not in names:
                            yield f"{where}: nothing is named {name}"
                    for name in sorted(set(mapping) - set(used)):
                        yield f"{where}: {name} is not used"
                yield from walk(f"{where}.{key}", value)

    yield from walk("Resources", known)
    yield from walk("Outputs", template["Outputs"])
    yield from walk("Conditions", template["Conditions"])
    yield from walk("Rules", template["Rules"])
    for name, resource in known.items():
        after = resource.get("DependsOn", [])
        for other in [after] if isinstance(after, str) else after:
            if other not in known:
                yield f"{name}: no resource {other}"
        if resource.get("Condition", next(iter(template["Conditions"]))) not in \
                template["Conditions"]:
            yield f"{name}: no condition {resource['Condition']}"


def console(template):
    """Every parameter is in one group, and says what it wants where the name does not."""
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    for name in sorted(set(shown) ^ set(template["Parameters"])):
        yield f"{name}: in the groups or in Parameters only"
    for name in {n for n in shown if shown.count(n) > 1}:
        yield f"{name}: in two groups"
    for name, parameter in template["Parameters"].items():
        if "AllowedPattern" in parameter and "ConstraintDescription" not in parameter:
            yield f"{name}: AllowedPattern without ConstraintDescription"

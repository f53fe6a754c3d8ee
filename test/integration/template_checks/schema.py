# SPDX-License-Identifier: Apache-2.0
"""The template against CloudFormation's registry schemas. Each function yields complaints."""

from .published import property_type, resource_type

PRIMITIVES = {
    "string": (str, int, float),  # CloudFormation makes strings of numbers, not of booleans
    "date-time": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "json": (dict,),
}
TAG = {"properties": {"Key": {"type": {"type": "string"}, "required": True},
                      "Value": {"type": {"type": "string"}, "required": True}}}


def resources(template, stack):
    """Types, properties, values and what must be there, of the resources of this stack."""
    for name, resource in template["Resources"].items():
        schema = resource_type(resource["Type"])
        if not schema:
            yield f"{name}: {resource['Type']} is no type"
        elif stack.exists(name):
            yield from _properties(name, resource["Type"], schema["properties"],
                                   stack.resolve(resource.get("Properties", {})))


def _properties(where, owner, known, properties):
    for key, value in properties.items():
        if key not in known:
            yield f"{where}: {owner} has no {key}"
        else:
            yield from _value(f"{where}.{key}", known[key]["type"], value)
    for key, rule in known.items():
        if rule.get("required") and key not in properties:
            yield f"{where}: {owner} needs {key}"


def _value(where, rule, value):
    kind = rule["type"]
    if kind == "union":
        complaints = [list(_value(where, each, value)) for each in rule["types"]]
        yield from min(complaints, key=len)
    elif kind in ("array", "map"):
        wanted, items = (list, enumerate(value)) if kind == "array" and isinstance(value, list) else \
            (dict, value.items()) if kind == "map" and isinstance(value, dict) else (None, ())
        if not wanted:
            yield f"{where} is to be of type {kind}"
        for key, one in items:
            yield from _value(f"{where}[{key}]", rule["element"], one)
    elif kind in ("ref", "tag"):
        schema = property_type(rule["reference"]) if kind == "ref" else TAG
        if not isinstance(value, dict):
            yield f"{where} is to be of type {schema.get('name', kind)}"
        else:
            yield from _properties(where, schema.get("name", kind), schema["properties"], value)
    else:
        wanted = PRIMITIVES[kind]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            yield f"{where} is to be of type {kind}: {value!r}"
        elif value not in rule.get("allowedValues", [value]):
            yield f"{where} cannot be {value!r}"


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

# SPDX-License-Identifier: Apache-2.0
"""What CloudFormation says of the values given for a template's parameters, before it makes anything."""

import re

from labregion.template import Stack


def refused(template, given):
    """Complaints: a parameter without a value, its pattern, list or limits, and the template's rules."""
    for name, parameter in template["Parameters"].items():
        value = given.get(name, parameter.get("Default"))
        if value is None:
            yield f"{name}: no value"
        elif not _fits(parameter, str(value)):
            yield f"{name}: {value!r}"
    if all(name in given or "Default" in parameter for name, parameter in template["Parameters"].items()):
        yield from _rules(template, Stack(template, given, None))


def _fits(parameter, value):
    if value not in map(str, parameter.get("AllowedValues", [value])):
        return False
    if parameter["Type"] == "Number":
        return parameter.get("MinValue", 0) <= int(value) <= parameter.get("MaxValue", int(value))
    return re.fullmatch(parameter.get("AllowedPattern", ".*"), value) is not None


def _rules(template, stack):
    for rule in template["Rules"].values():
        if stack.resolve(rule.get("RuleCondition", {"Fn::Equals": ["", ""]})):
            for assertion in rule["Assertions"]:
                if not stack.resolve(assertion["Assert"]):
                    yield assertion["AssertDescription"]

# SPDX-License-Identifier: Apache-2.0
"""A CloudFormation template as data, and what its functions come to."""

import base64
import re

import yaml

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::StackId": "arn:aws:cloudformation:us-east-1:123456789012:stack/lab/"
                    "6b9f3a80-0000-4000-8000-000000000000",
    "AWS::StackName": "lab",
    "AWS::URLSuffix": "amazonaws.com",
}
NO_VALUE = object()


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms; and, as there, without aliases."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise ValueError(f"an alias, which CloudFormation does not read: {self.peek_event()}")
        return super().compose_node(parent, index)


def _function(loader, tag, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in ("Ref", "Condition") else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _function)


def load(path):
    return yaml.load(path.read_text(), _Loader)


def variables(text):
    """What a Fn::Sub's text names."""
    return re.findall(r"\$\{([^!}]+)\}", text)


class Stack:
    """A template with values for its parameters; `physical` names a resource, or its attribute."""

    def __init__(self, template, parameters, physical):
        known = template["Parameters"]
        unknown = set(parameters) - set(known)
        if unknown:
            raise ValueError(f"no such parameters: {unknown}")
        self._template = template
        self._values = {name: p.get("Default") for name, p in known.items()} | parameters
        missing = [name for name, value in self._values.items() if value is None]
        if missing:
            raise ValueError(f"parameters without a value: {missing}")
        self._physical = physical

    def exists(self, resource):
        condition = self._template["Resources"][resource].get("Condition")
        return condition is None or self._holds(condition)

    def resolve(self, value):
        if isinstance(value, list):
            return [v for v in map(self.resolve, value) if v is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name == "Ref":
                return self._ref(argument)
            if name == "Condition" and isinstance(argument, str):
                return self._holds(argument)
            if name.startswith("Fn::"):
                return getattr(self, "_" + name[4:].lower())(argument)
        resolved = {k: self.resolve(v) for k, v in value.items()}
        return {k: v for k, v in resolved.items() if v is not NO_VALUE}

    def _holds(self, condition):
        return self.resolve(self._template["Conditions"][condition])

    def _ref(self, name):
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self._values:
            value = self._values[name]
            is_list = "List" in self._template["Parameters"][name]["Type"]
            return value.split(",") if is_list else value
        return self._of_resource(name, None)

    def _of_resource(self, name, attribute):
        if not self.exists(name):
            raise ValueError(f"{name} is used, but not made")
        return self._physical(name, attribute)

    def _getatt(self, argument):
        return self._of_resource(*argument)

    def chosen(self, argument):
        """The value, unresolved, that an Fn::If comes to."""
        return argument[1 if self._holds(argument[0]) else 2]

    def _if(self, argument):
        return self.resolve(self.chosen(argument))

    def _equals(self, argument):
        first, second = self.resolve(argument)
        return str(first) == str(second)

    def _not(self, argument):
        return not self.resolve(argument)[0]

    def _and(self, argument):
        return all(self.resolve(argument))

    def _split(self, argument):
        return self.resolve(argument[1]).split(argument[0])

    def _select(self, argument):
        return self.resolve(argument[1])[int(argument[0])]

    def _base64(self, argument):
        return base64.b64encode(self.resolve(argument).encode()).decode()

    def _sub(self, argument):
        text, mapping = argument if isinstance(argument, list) else (argument, {})

        def value_of(match):
            name = match.group(1)
            if name in mapping:
                return str(self.resolve(mapping[name]))
            return str(self._getatt(name.split(".", 1)) if "." in name else self._ref(name))

        return re.sub(r"\$\{([^!}]+)\}", value_of, text)

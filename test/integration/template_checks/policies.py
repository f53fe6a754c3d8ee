# SPDX-License-Identifier: Apache-2.0
"""The template's policies against the Service Authorization Reference."""

import fnmatch
import re

from .published import authorization


def _list(value):
    return value if isinstance(value, list) else [value]


def documents(template, stack):
    for name, resource in template["Resources"].items():
        if resource["Type"] in ("AWS::IAM::Policy", "AWS::S3::BucketPolicy") and stack.exists(name):
            yield name, stack.resolve(resource["Properties"]["PolicyDocument"])


def statements(template, stack):
    """Actions, resources and conditions exist, and go together."""
    for name, document in documents(template, stack):
        names = [s.get("Sid") for s in document["Statement"]]
        if None in names or len(set(names)) < len(names):
            yield f"{name}: a statement without a Sid of its own"
        for statement in document["Statement"]:
            if statement["Effect"] == "Allow":
                yield from _statement(f"{name}.{statement.get('Sid')}", statement)


def _statement(where, statement):
    resources = _list(statement["Resource"])
    used = set()
    for name in _list(statement["Action"]):
        service, _, word = name.partition(":")
        actions, kinds = authorization(service)
        action = actions.get(word.lower())
        if not action:
            yield f"{where}: no action {name}"
            continue
        of_action = {r["name"]: r for r in action["resourceTypes"]}
        matching = [r for r in resources
                    if any(_matches(kinds[k]["arn"], r) for k in of_action)]
        used |= set(resources if not of_action else matching)
        if of_action and not matching:
            yield f"{where}: {name} is about none of {resources}"
        if not of_action and resources != ["*"]:
            yield f"{where}: {name} knows no resources, so \"*\" it is"
        if of_action and "*" in resources:
            yield f"{where}: {name} could be narrower than \"*\""
        for key in {k for c in statement.get("Condition", {}).values() for k in c}:
            if not _has_key(action, of_action, key):
                yield f"{where}: {name} knows no {key}"
    for resource in sorted(set(resources) - used):
        yield f"{where}: no action is about {resource}"


def _matches(arn, resource):
    pattern = re.sub(r"\$\{[^}]+\}", "*", arn)
    return fnmatch.fnmatchcase(resource, pattern)


def _has_key(action, of_action, key):
    known = set(action["conditionKeys"]).union(*(r["conditionKeys"] for r in of_action.values()))
    return any(fnmatch.fnmatchcase(key.lower(), re.sub(r"\$\{[^}]+\}", "*", k).lower())
               for k in known)

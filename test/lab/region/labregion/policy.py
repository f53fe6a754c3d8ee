# SPDX-License-Identifier: Apache-2.0
"""Decides what a role may do, from the policies that the region's IAM holds for it.

A small reading of IAM's grammar: Effect, Action, NotAction, Resource, NotResource, wildcards. A
statement with a Condition never allows and always denies: better too strict than ignored.
"""

from __future__ import annotations

import fnmatch
import json
import threading
from typing import Any
from urllib.parse import unquote

from .moto import Moto

Document = dict[str, Any]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _matches(patterns: Any, text: str, fold: bool = False) -> bool:
    if fold:
        text = text.lower()
    # IAM knows * and ? only: a bracket stands for itself.
    for pattern in _listed(patterns):
        escaped = str(pattern).replace("[", "[[]")
        if fnmatch.fnmatchcase(text, escaped.lower() if fold else escaped):
            return True
    return False


def _covers(statement: Document, action: str, resource: str) -> bool:
    if "Action" in statement:
        named = _matches(statement["Action"], action, fold=True)
    else:
        named = not _matches(statement["NotAction"], action, fold=True)
    if "Resource" in statement:
        return named and _matches(statement["Resource"], resource)
    return named and not _matches(statement["NotResource"], resource)


def allows(documents: list[Document], action: str, resource: str) -> bool:
    allowed = False
    for document in documents:
        for statement in _listed(document["Statement"]):
            if not _covers(statement, action, resource):
                continue
            if statement["Effect"] == "Deny":
                return False
            if "Condition" not in statement:
                allowed = True
    return allowed


class Policies:
    """The policies of roles, asked of IAM once and again after each call that may change them."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        self._lock = threading.Lock()
        self._known: dict[str, list[Document]] = {}

    def forget(self) -> None:
        with self._lock:
            self._known.clear()

    def allows(self, role: str, action: str, resource: str) -> bool:
        with self._lock:
            documents = self._known.get(role)
            if documents is None:
                documents = self._known[role] = self._read(role)
        return allows(documents, action, resource)

    def _read(self, role: str) -> list[Document]:
        iam = self._moto.iam
        try:
            documents = [
                _parsed(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])
                for name in iam.list_role_policies(RoleName=role)["PolicyNames"]]
            for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
                arn = attached["PolicyArn"]
                version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
                documents.append(_parsed(iam.get_policy_version(
                    PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]))
        except iam.exceptions.NoSuchEntityException:
            return []  # a role that has been deleted may do nothing
        return documents


def _parsed(document: Any) -> Document:
    parsed: Document = document if isinstance(document, dict) else json.loads(unquote(document))
    return parsed

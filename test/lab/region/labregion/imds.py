# SPDX-License-Identifier: Apache-2.0
"""The instance metadata service, version 2 only, for the instance that a request comes from."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone

from .calls import Calls
from .credentials import Keyring
from .effects import afterwards, instead
from .faults import Faults
from .imds_tree import Tree, build
from .knobs import Imds as Knobs
from .knobs import draw
from .model import Instance, Region
from .wire import Reply, Request

INSTANCE_HEADER = "X-Lab-Instance"
MAX_TTL_S = 21600
VERSIONS = ("1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15",
            "2008-02-01", "2008-09-01", "2009-04-04", "2011-01-01", "2011-05-01", "2012-01-12",
            "2014-02-25", "2014-11-05", "2015-10-20", "2016-04-19", "2016-06-30", "2016-09-02",
            "2018-03-28", "2018-08-17", "2018-09-24", "2019-10-01", "2020-10-27", "2021-01-03",
            "2021-03-23", "2021-07-15", "2022-09-24", "2024-04-11", "latest")
_PAGE = ('<?xml version="1.0" encoding="iso-8859-1"?>\n<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML '
         '1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n<html '
         'xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n <head>\n  <title>{0}'
         '</title>\n </head>\n <body>\n  <h1>{0}</h1>\n </body>\n</html>\n')
_PHRASES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
            405: "Not Allowed"}


def _error(status: int) -> Reply:
    page = _PAGE.format(f"{status} - {_PHRASES[status]}")
    return Reply(status, page.encode(), "text/html")


class Imds:
    def __init__(self, region: Region, keyring: Keyring, calls: Calls, faults: Faults,
                 default_instance: str, knobs: Knobs) -> None:
        self._knobs = knobs
        self._region = region
        self._keyring = keyring
        self._calls = calls
        self._faults = faults
        self._default = default_instance
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, float]] = {}
        self._reads: Counter[str] = Counter()

    def handler(self, instance_id: str = "") -> Callable[[Request], Reply]:
        """What answers on a listener: for one instance, or for whoever asks."""
        return lambda request: self._serve(request, instance_id)

    def expire_tokens(self) -> None:
        with self._lock:
            self._tokens.clear()

    def _identify(self, request: Request, fixed: str) -> Instance | None:
        named = fixed or request.header(INSTANCE_HEADER)
        if not named:
            for interface in self._region.interfaces.values():
                if request.peer in interface.addresses and interface.instance_id:
                    named = interface.instance_id
        return self._region.instances.get(named or self._default)

    def _serve(self, request: Request, fixed: str) -> Reply:
        started = time.monotonic()
        with self._region.lock:
            instance = self._identify(request, fixed)
            if instance is not None:
                instance.first_question = instance.first_question or started
        who = instance.id if instance is not None else ""
        action = "PutToken" if request.method == "PUT" else "GetMetadata"
        fault = self._faults.match("imds", action, who, request.path)
        reply = instead(fault, "imds", "") if fault is not None else None
        if reply is None:
            reply = self._answer(request, instance)
        if fault is not None:
            reply = afterwards(fault, reply)
        reply.headers.setdefault("Server", "EC2ws")
        self._calls.count(service="imds", action=action, instance=who, principal=request.peer,
                          status=reply.status, code="", path=request.path,
                          fault=fault.id if fault else 0,
                          ms=round((time.monotonic() - started) * 1000, 2))
        return reply

    def _answer(self, request: Request, instance: Instance | None) -> Reply:
        if instance is None or instance.state == "terminated":
            return _error(404)
        if request.path == "/latest/api/token":
            return self._token(request, instance)
        if request.method not in ("GET", "HEAD"):
            return _error(405)
        token = request.header("X-aws-ec2-metadata-token")
        with self._lock:
            owner, ends = self._tokens.get(token, ("", 0.0))
        if owner != instance.id or ends <= time.monotonic():
            return _error(401)
        return self._look_up(request.path, instance)

    def _token(self, request: Request, instance: Instance) -> Reply:
        if request.method != "PUT":
            return _error(405)
        if request.header("X-Forwarded-For"):
            return _error(403)
        ttl = request.header("X-aws-ec2-metadata-token-ttl-seconds")
        if not ttl.isdigit() or not 1 <= int(ttl) <= MAX_TTL_S:
            return _error(400)
        token = base64.urlsafe_b64encode(secrets.token_bytes(42)).decode()
        with self._lock:
            self._tokens[token] = (instance.id, time.monotonic() + int(ttl))
        return Reply(200, token.encode(), "text/plain",
                     {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": ttl}, hops=instance.hop_limit)

    def _look_up(self, path: str, instance: Instance) -> Reply:
        version, _, rest = path.lstrip("/").partition("/")
        if version == "":
            return Reply(200, "\n".join(VERSIONS).encode(), "text/plain")
        if version not in VERSIONS:
            return _error(404)
        with self._region.lock:
            if instance.state == "terminated":
                return _error(404)
            tree = build(self._as_of(instance), instance, self._knobs.tags)
            credentials = self._credentials(instance)
        if credentials is not None:
            tree["meta-data"]["iam"]["security-credentials"] = {instance.role: credentials}
        return _walk(tree, rest)

    def _as_of(self, instance: Instance) -> Region:
        """The region whose addresses it shows: an earlier one for a while after they changed."""
        if self._knobs.stale_s <= 0:
            return self._region
        self._reads[instance.role] += 1
        past = self._region.as_of(draw(self._region.knobs, self._knobs.stale_s, "metadata", instance.role,
                                       self._reads[instance.role]))
        return past if past.interfaces_of(instance.id) else self._region

    def _credentials(self, instance: Instance) -> str | None:
        age = time.monotonic() - instance.first_question
        if not instance.role or age < self._knobs.credentials_absent_s:
            return None
        if age < self._knobs.credentials_absent_s + self._knobs.other_code_s:
            return json.dumps({
                "Code": "AssumeRoleUnauthorizedAccess", "LastUpdated": _stamp(time.time()),
                "Message": f"EC2 cannot assume the role {instance.role}. Please see documentation at "
                           "https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html"
                           "#troubleshoot_iam-ec2_errors-info-doc."}, indent=2)
        credential = self._keyring.for_instance(instance.id, instance.role)
        return json.dumps({
            "Code": "Success", "LastUpdated": _stamp(credential.issued), "Type": "AWS-HMAC",
            "AccessKeyId": credential.access_key, "SecretAccessKey": credential.secret_key,
            "Token": credential.token, "Expiration": _stamp(credential.expires)}, indent=2)


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _walk(tree: Tree, path: str) -> Reply:
    node: Tree | str = tree
    for part in path.strip("/").split("/") if path.strip("/") else []:
        if not isinstance(node, dict) or part not in node:
            return _error(404)
        node = node[part]
    if isinstance(node, str):
        kind = "application/json" if node.startswith("{") else "text/plain"
        return Reply(200, node.encode("utf-8", "surrogateescape"), kind)
    # A folder lists itself: those that have something below them end in a slash.
    names = [name + ("/" if isinstance(below, dict) else "") for name, below in node.items()]
    return Reply(200, "\n".join(names).encode(), "text/plain")

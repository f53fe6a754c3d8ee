# SPDX-License-Identifier: Apache-2.0
"""Which S3 operation a request is: bucket and key from both URL styles, action from the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from .wire import Request

_HOST = re.compile(
    r"(?:(?P<bucket>.+)\.)?s3(?:-fips)?(?:[.-]dualstack)?"
    r"(?:[.-](?P<region>[a-z]{2}(?:-[a-z]+)+-\d))?\.amazonaws\.com(?:\.cn)?")
_SUBRESOURCES = ("acl", "cors", "delete", "encryption", "lifecycle", "location", "logging",
                 "notification", "object-lock", "ownershipControls", "policy", "policyStatus",
                 "publicAccessBlock", "replication", "tagging", "uploads", "versioning",
                 "versions", "website")
_VERBS = {"GET": "Get", "HEAD": "Head", "PUT": "Put", "POST": "Post", "DELETE": "Delete"}

# Where the permission is not named like the operation.
_PERMISSIONS = {
    "HeadObject": "GetObject", "CopyObject": "PutObject", "ListBuckets": "ListAllMyBuckets",
    "ListObjects": "ListBucket", "ListObjectsV2": "ListBucket", "HeadBucket": "ListBucket",
    "GetBucketVersions": "ListBucketVersions", "DeleteObjects": "DeleteObject",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "CreateMultipartUpload": "PutObject", "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
}


@dataclass
class S3Call:
    bucket: str
    key: str
    action: str
    query: dict[str, str]
    endpoint_region: str  # "" where the host name does not tell

    @property
    def permission(self) -> str:
        return "s3:" + _PERMISSIONS.get(self.action, self.action)

    @property
    def resource(self) -> str:
        if not self.bucket:
            return "*"
        return f"arn:aws:s3:::{self.bucket}" + (f"/{self.key}" if self.key else "")


    @property
    def context(self) -> dict[str, str]:
        """What S3 tells policies of a listing; of a key, whether to list the key alone is allowed decides between
        404 and 403 where there is none (https://github.com/ceph/ceph/pull/68577 does as AWS does)."""
        prefix = self.key if self.key else self.query.get("prefix")
        return {} if prefix is None else {"s3:prefix": prefix}


def read_call(request: Request) -> S3Call:
    host = request.header("Host").rsplit(":", 1)[0].lower()
    path = unquote(request.path).lstrip("/")
    match = _HOST.fullmatch(host)
    region = ""
    if match is not None:
        region = match["region"] or "us-east-1"
    if match is not None and match["bucket"]:
        bucket, key = match["bucket"], path
    else:
        bucket, _, key = path.partition("/")
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    return S3Call(bucket, key, _action(request, bucket, key, query), query, region)


def _action(request: Request, bucket: str, key: str, query: dict[str, str]) -> str:
    verb = _VERBS.get(request.method, request.method.title())
    sub = next((s for s in _SUBRESOURCES if s in query), "")
    if not bucket:
        return "ListBuckets"
    if not key:
        if request.method == "POST" and sub == "delete":
            return "DeleteObjects"
        if sub:
            return f"{verb}Bucket{sub[0].upper()}{sub[1:]}"
        if request.method == "GET":
            return "ListObjectsV2" if query.get("list-type") == "2" else "ListObjects"
        return "CreateBucket" if request.method == "PUT" else f"{verb}Bucket"
    if request.method == "POST" and sub == "uploads":
        return "CreateMultipartUpload"
    if "uploadId" in query:
        return {"PUT": "UploadPart", "POST": "CompleteMultipartUpload",
                "DELETE": "AbortMultipartUpload"}.get(request.method, "ListParts")
    if sub:
        return f"{verb}Object{sub[0].upper()}{sub[1:]}"
    if request.method == "PUT" and request.header("x-amz-copy-source"):
        return "CopyObject"
    return f"{verb}Object"

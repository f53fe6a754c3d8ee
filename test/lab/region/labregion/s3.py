# SPDX-License-Identifier: Apache-2.0
"""S3: buckets in their regions and conditional writes, done right in front of moto's store."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
import xml.etree.ElementTree as ElementTree
from contextlib import contextmanager
from collections.abc import Iterator
from urllib.parse import quote

from .calls import Calls
from .ec2 import upstream_error
from .errors import ApiError
from .knobs import S3 as Knobs
from .moto import Moto
from .s3_names import S3Call
from .wire import Reply, Request

_CONDITIONS = ("if-match", "if-none-match")
_MATCH_FAILED = "At least one of the pre-conditions you specified did not hold"
# moto takes a request without this header for an anonymous one, and looks no further than that.
_AUTHORIZATION = ("AWS4-HMAC-SHA256 Credential=front/20000101/us-east-1/s3/aws4_request, "
                  "SignedHeaders=host, Signature=0")
# moto takes a body of this type for a form, and stores nothing; curl sends it unless told.
_FORM = "application/x-www-form-urlencoded"
_SSE = ("AES256", "aws:kms", "aws:kms:dsse")


class S3:
    def __init__(self, moto: Moto, region: str, account: str, calls: Calls, knobs: Knobs) -> None:
        self._knobs = knobs
        self._moto = moto
        self._region = region
        self._account = account
        self._calls = calls
        self._lock = threading.Lock()
        self._buckets: dict[str, str] = {}  # region of each bucket known to exist
        self._first_asked: dict[str, float] = {}  # when an instance first asked for a bucket
        self._in_flight: dict[tuple[str, str], int] = {}
        self._key_locks: dict[tuple[str, str], threading.Lock] = {}

    def forget(self) -> None:
        """Something else than this class may have made or deleted buckets."""
        with self._lock:
            self._buckets.clear()

    def bucket_region(self, bucket: str) -> str:
        """The bucket's region, "" when there is no such bucket."""
        with self._lock:
            known = self._buckets.get(bucket)
        if known:
            return known
        reply = self._send("HEAD", f"/{quote(bucket)}")
        if reply.status != 200:
            return ""
        region = {k.lower(): v for k, v in reply.headers.items()}.get("x-amz-bucket-region")
        with self._lock:
            return self._buckets.setdefault(bucket, region or self._region)

    def check_bucket(self, call: S3Call, endpoint_region: str, by_instance: bool = False) -> None:
        """Refuses a bucket that is not there or not yet known, or is in another region than the endpoint."""
        if not call.bucket or call.action == "CreateBucket":
            return
        region = self.bucket_region(call.bucket)
        if not region or by_instance and self._is_new(call.bucket):
            raise ApiError("NoSuchBucket", "The specified bucket does not exist", 404,
                           {"BucketName": call.bucket})
        if region != endpoint_region:
            raise ApiError(
                "PermanentRedirect",
                "The bucket you are attempting to access must be addressed using the specified "
                "endpoint. Please send all future requests to this endpoint.", 301,
                {"Endpoint": f"{call.bucket}.s3.{region}.amazonaws.com", "Bucket": call.bucket},
                {"x-amz-bucket-region": region})

    def _is_new(self, bucket: str) -> bool:
        """Whether S3 does not know everywhere yet that there is this bucket."""
        with self._lock:
            first = self._first_asked.setdefault(bucket, time.monotonic())
        return time.monotonic() - first < self._knobs.bucket_lag_s

    def handle(self, request: Request, call: S3Call, may_list: bool) -> Reply:
        if request.header("x-amz-expected-bucket-owner") not in ("", self._account):
            raise ApiError("AccessDenied", "Access Denied", 403)
        if call.action in ("PutObject", "CopyObject", "CompleteMultipartUpload"):
            return self._write(request, call)
        if call.action in ("GetObject", "HeadObject"):
            return self._read(request, call, may_list)
        reply = self._pass_on(request, call)
        if call.action == "CreateBucket":
            self.forget()
        elif call.action == "DeleteBucket":
            self.forget()
        elif call.action in ("HeadBucket", "ListObjectsV2", "ListObjects"):
            reply.headers["x-amz-bucket-region"] = self.bucket_region(call.bucket)
        return reply

    def _read(self, request: Request, call: S3Call, may_list: bool) -> Reply:
        try:
            reply = self._pass_on(request, call, drop=_CONDITIONS)
        except ApiError as error:
            if error.status == 404 and not may_list:
                raise ApiError("AccessDenied", "Access Denied", 403) from None
            raise
        etag = _etag(reply)
        matched, unmatched = request.header("If-Match"), request.header("If-None-Match")
        if matched and not _matches(matched, etag):
            raise ApiError("PreconditionFailed", _MATCH_FAILED, 412, {"Condition": "If-Match"})
        if unmatched and _matches(unmatched, etag):
            return Reply(304, b"", "", {"ETag": etag})
        return _encrypted(reply)

    def _write(self, request: Request, call: S3Call) -> Reply:
        _check_headers(request)
        none_match = request.header("If-None-Match")
        match = request.header("If-Match")
        if self._knobs.ignore_if_none_match:
            none_match = ""
        if none_match and none_match != "*" or none_match and match:
            raise ApiError("NotImplemented", "A header you provided implies functionality that is "
                                             "not implemented", 501, {"Header": "If-None-Match"})
        if call.key == "":
            raise ApiError("InvalidRequest", "A key is required")
        with self._flight((call.bucket, call.key), bool(none_match or match)):
            time.sleep(self._knobs.put_ms / 1000)
            if none_match or match:
                self._check_condition(call, match)
            return _encrypted(self._pass_on(request, call, drop=_CONDITIONS))

    @contextmanager
    def _flight(self, where: tuple[str, str], conditional: bool) -> Iterator[None]:
        """Writes of one key go one after another; a conditional one that meets another is told."""
        with self._lock:
            if conditional and self._in_flight.get(where):
                raise ApiError("ConditionalRequestConflict",
                               "The conditional request cannot succeed due to a conflicting "
                               "operation against this resource.", 409, {"Key": where[1]})
            self._in_flight[where] = self._in_flight.get(where, 0) + 1
            lock = self._key_locks.setdefault(where, threading.Lock())
        try:
            with lock:
                yield
        finally:
            with self._lock:
                self._in_flight[where] -= 1
                if not self._in_flight[where]:
                    del self._in_flight[where], self._key_locks[where]

    def _check_condition(self, call: S3Call, match: str) -> None:
        head = self._send("HEAD", f"/{quote(call.bucket)}/{quote(call.key)}")
        exists = head.status == 200
        if not match and exists:
            raise ApiError("PreconditionFailed", _MATCH_FAILED, 412, {"Condition": "If-None-Match"})
        if match and not exists:
            raise ApiError("NoSuchKey", "The specified key does not exist.", 404, {"Key": call.key})
        if match and not _matches(match, _etag(head)):
            raise ApiError("PreconditionFailed", _MATCH_FAILED, 412, {"Condition": "If-Match"})

    def _send(self, method: str, target: str) -> Reply:
        return self._moto.send(method, target, b"", {
            "Host": "s3.amazonaws.com", "Authorization": _AUTHORIZATION})

    def _pass_on(self, request: Request, call: S3Call, drop: tuple[str, ...] = ()) -> Reply:
        # Path style and one host name, whatever the client used.
        target = f"/{quote(call.bucket)}" + (f"/{quote(call.key)}" if call.key else "")
        target += f"?{request.query}" if request.query else ""
        headers = {"Host": "s3.amazonaws.com"}
        if request.header("Content-Type").startswith(_FORM):
            headers["Content-Type"] = "binary/octet-stream"
            drop = (*drop, "content-type")
        reply = self._moto.forward(request, target, headers, ("host", *drop))
        if not reply.body:
            reply.content_type = reply.content_type if request.method == "HEAD" else ""
        if reply.status < 400:
            return reply
        if request.method == "HEAD":
            code = {404: "NoSuchKey", 403: "AccessDenied"}.get(reply.status, "InvalidRequest")
            raise ApiError(code, "", reply.status)
        error = upstream_error(reply, self._calls, call.action)
        if call.key:
            error.extra["Key"] = call.key
        raise error


def _check_headers(request: Request) -> None:
    given = request.header("Content-MD5")
    if given and given != base64.b64encode(hashlib.md5(request.body).digest()).decode():
        raise ApiError("BadDigest", "The Content-MD5 you specified did not match what we received.")
    _check_sha256(request)
    if not request.header("Content-Length"):
        raise ApiError("MissingContentLength",
                       "You must provide the Content-Length HTTP header.", 411)
    encryption = request.header("x-amz-server-side-encryption")
    if encryption and encryption not in _SSE:
        raise ApiError("InvalidArgument", "The encryption method specified is not supported")
    if request.header("x-amz-server-side-encryption-aws-kms-key-id") and \
            not encryption.startswith("aws:kms"):
        raise ApiError("InvalidArgument",
                       "Server Side Encryption with AWS KMS managed key requires HTTP header "
                       "x-amz-server-side-encryption : aws:kms")


def _check_sha256(request: Request) -> None:
    given = request.header("x-amz-checksum-sha256")
    if not given:
        return
    try:
        digest = base64.b64decode(given, validate=True)
    except ValueError:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        raise ApiError("InvalidRequest", "Value for x-amz-checksum-sha256 header is invalid.")
    if digest != hashlib.sha256(request.body).digest():
        raise ApiError("BadDigest", "The SHA256 you specified did not match the calculated checksum.")


def _encrypted(reply: Reply) -> Reply:
    # Since 2023 S3 encrypts every new object, and says so.
    if not any(name.lower() == "x-amz-server-side-encryption" for name in reply.headers):
        reply.headers["x-amz-server-side-encryption"] = "AES256"
    return reply


def _etag(reply: Reply) -> str:
    return next((v for k, v in reply.headers.items() if k.lower() == "etag"), "")


def _matches(header: str, etag: str) -> bool:
    wanted = [part.strip().strip('"') for part in header.split(",")]
    return "*" in wanted or etag.strip('"') in wanted


def location_constraint(body: bytes) -> str:
    """The region that a CreateBucket body asks for, "" for none."""
    if not body.strip():
        return ""
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        raise ApiError("MalformedXML", "The XML you provided was not well-formed or did not "
                                       "validate against our published schema") from None
    return next((e.text or "" for e in root.iter() if e.tag.endswith("LocationConstraint")), "")

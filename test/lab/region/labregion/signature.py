# SPDX-License-Identifier: Apache-2.0
"""Verifies Signature Version 4: botocore computes it again from the request as received."""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .credentials import Credential, Keyring
from .errors import Auth, AuthError
from .wire import Request

# "In most cases, a request must reach AWS within five minutes of the time stamp in the request":
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html. S3 gives fifteen.
MAX_SKEW_S = {"s3": 15 * 60}
MOST_SKEW_S = 5 * 60
UNSIGNED = "UNSIGNED-PAYLOAD"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/,\s]+)/"
    r"(?P<service>[^/,\s]+)/aws4_request, *SignedHeaders=(?P<headers>[a-z0-9;-]+), *"
    r"Signature=(?P<signature>[0-9a-f]{64})")


@dataclass
class Claim:
    """What the Authorization header says, not yet believed."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: list[str]
    signature: str


def read_claim(request: Request) -> Claim | None:
    """The request's claim, or None when there is no Authorization header."""
    header = request.header("Authorization")
    if not header:
        return None
    match = _AUTHORIZATION.fullmatch(header.strip())
    if match is None:
        raise AuthError(Auth.MALFORMED)
    return Claim(match["key"], match["date"], match["region"], match["service"],
                 match["headers"].split(";"), match["signature"])


def verify(request: Request, claim: Claim, keyring: Keyring, service: str, region: str,
           clock_skew_s: float = 0.0, expired: bool = False) -> Credential:
    """The credential that signed request; AuthError otherwise.

    clock_skew_s is added to the region's clock and expired ends the session token: faults.
    """
    credential = keyring.find(claim.access_key)
    if credential is None:
        raise AuthError(Auth.UNKNOWN_KEY, extra={"AWSAccessKeyId": claim.access_key})
    now = time.time() + clock_skew_s
    stamp = _check_date(request, claim, now)
    if claim.service != service:
        raise AuthError(Auth.WRONG_SERVICE, f"'{claim.service}', expecting '{service}'")
    if claim.region != region:
        raise AuthError(Auth.WRONG_REGION, f"'{claim.region}', expecting '{region}'",
                        {"Region": region})
    _check_token(request, credential, now, expired)
    _check_body_hash(request, service)
    _check_signed_headers(request, claim)
    _check_signature(request, claim, credential, stamp)
    return credential


def _check_date(request: Request, claim: Claim, now: float) -> str:
    stamp = request.header("X-Amz-Date")
    try:
        asked = calendar.timegm(datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").timetuple())
    except ValueError:
        raise AuthError(Auth.MALFORMED, "(X-Amz-Date is absent or no basic time)") from None
    limit = MAX_SKEW_S.get(claim.service, MOST_SKEW_S)
    if abs(now - asked) > limit:
        raise AuthError(
            Auth.TOO_OLD if asked < now else Auth.TOO_NEW,
            extra={"RequestTime": stamp,
                   "ServerTime": datetime.fromtimestamp(int(now), timezone.utc)
                   .strftime("%Y-%m-%dT%H:%M:%SZ"),
                   "MaxAllowedSkewMilliseconds": str(limit * 1000)})
    if stamp[:8] != claim.date:
        raise AuthError(Auth.MALFORMED, "(the date in the scope is not the date of the request)")
    return stamp


def _check_token(request: Request, credential: Credential, now: float, expired: bool) -> None:
    token = request.header("X-Amz-Security-Token")
    if not credential.token:
        if token:
            raise AuthError(Auth.TOKEN_INVALID, extra={"Token-0": token})
        return
    if not token:
        raise AuthError(Auth.TOKEN_MISSING, extra={"AWSAccessKeyId": credential.access_key})
    if not hmac.compare_digest(token.encode(), credential.token.encode()):
        raise AuthError(Auth.TOKEN_INVALID, extra={"Token-0": token})
    if expired or credential.expires <= now:
        raise AuthError(Auth.TOKEN_EXPIRED, extra={"Token-0": token})


def _check_signed_headers(request: Request, claim: Claim) -> None:
    """Host and every x-amz-* header must be signed; so must what is said to be signed be there."""
    if claim.signed_headers != sorted(set(claim.signed_headers)):
        raise AuthError(Auth.MALFORMED, "(SignedHeaders is not sorted)")
    present = {name.lower() for name in request.headers}
    for name in sorted(present):
        if (name == "host" or name.startswith("x-amz-")) and name not in claim.signed_headers:
            raise AuthError(Auth.UNSIGNED_HEADER, extra={"HeadersNotSigned": name})
    for name in claim.signed_headers:
        if name not in present:
            raise AuthError(Auth.BAD_SIGNATURE, f"(signed header '{name}' is not in the request)")


def _check_body_hash(request: Request, service: str) -> None:
    claimed = request.header("X-Amz-Content-Sha256")
    if service == "s3" and not claimed:
        raise AuthError(Auth.BODY_HASH_MISSING)
    if service == "s3" and claimed == UNSIGNED or not claimed:
        return
    computed = hashlib.sha256(request.body).hexdigest()
    if claimed != computed:
        raise AuthError(Auth.BODY_HASH_WRONG, extra={
            "ClientComputedContentSHA256": claimed, "S3ComputedContentSHA256": computed})


class _Received:
    """Signs what the client says it signed; botocore's own would leave some headers out."""

    def headers_to_sign(self, request: AWSRequest) -> Any:
        return request.headers


class _QueryAuth(_Received, SigV4Auth):  # type: ignore[misc]
    pass


class _S3Auth(_Received, S3SigV4Auth):  # type: ignore[misc]
    pass


def _check_signature(request: Request, claim: Claim, credential: Credential, stamp: str) -> None:
    keys = Credentials(credential.access_key, credential.secret_key)
    kind: Any = _S3Auth if claim.service == "s3" else _QueryAuth
    auth = kind(keys, claim.service, claim.region)
    # Decode and encode again, as AWS does: the canonical form is the server's, not the client's.
    path = quote(unquote_to_bytes(request.path), safe="/-_.~")
    query = parse_qsl(request.query, keep_blank_values=True)
    received = AWSRequest(method=request.method, url=f"https://host{path}", data=request.body)
    received.params = query
    received.context["timestamp"] = stamp
    for name, value in request.headers.items():
        if name.lower() in claim.signed_headers:
            received.headers.add_header(name.lower(), value)
    canonical = auth.canonical_request(received)
    to_sign = auth.string_to_sign(received, canonical)
    computed = auth.signature(to_sign, received)
    if not hmac.compare_digest(computed, claim.signature):
        raise AuthError(Auth.BAD_SIGNATURE, extra={
            "AWSAccessKeyId": credential.access_key, "StringToSign": to_sign,
            "SignatureProvided": claim.signature, "CanonicalRequest": canonical})

# SPDX-License-Identifier: Apache-2.0
"""Errors as each AWS service says them: an exception, a table of refusals, four envelopes."""

from __future__ import annotations

import enum
import json
from xml.sax.saxutils import escape

from .wire import Reply

XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


class ApiError(Exception):
    """A refusal by the simulated region, as the service would word it."""

    def __init__(self, code: str, message: str, status: int = 400,
                 extra: dict[str, str] | None = None,
                 headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.extra = extra or {}
        self.headers = headers or {}


class Auth(enum.Enum):
    """Why a request's signature or credential is refused."""

    MISSING = enum.auto()
    MALFORMED = enum.auto()
    UNKNOWN_KEY = enum.auto()
    BAD_SIGNATURE = enum.auto()
    TOO_OLD = enum.auto()
    TOO_NEW = enum.auto()
    WRONG_REGION = enum.auto()
    WRONG_SERVICE = enum.auto()
    TOKEN_MISSING = enum.auto()
    TOKEN_INVALID = enum.auto()
    TOKEN_EXPIRED = enum.auto()
    UNSIGNED_HEADER = enum.auto()
    BODY_HASH_MISSING = enum.auto()
    BODY_HASH_WRONG = enum.auto()


_EC2_FAILED = (401, "AuthFailure", "AWS was not able to validate the provided access credentials")
_S3_SKEWED = (403, "RequestTimeTooSkewed",
              "The difference between the request time and the current time is too large.")
_MISMATCH = ("The request signature we calculated does not match the signature you provided. "
             "Check your key and signing method.")

# Service family -> reason -> (HTTP status, code, message). Sources: the EC2 API's and S3's lists of
# error codes; where a list leaves it open, what the service was seen to answer.
AUTH_ERRORS: dict[str, dict[Auth, tuple[int, str, str]]] = {
    "ec2": {
        Auth.MISSING: (400, "MissingParameter",
                       "The request must contain the parameter AWSAccessKeyId"),
        Auth.MALFORMED: (401, "AuthFailure", "The authorization header is malformed"),
        Auth.UNKNOWN_KEY: _EC2_FAILED,
        Auth.BAD_SIGNATURE: (403, "SignatureDoesNotMatch", _MISMATCH),
        Auth.TOO_OLD: (400, "RequestExpired", "Request has expired."),
        Auth.TOO_NEW: _EC2_FAILED,
        Auth.WRONG_REGION: (401, "AuthFailure", "Credential should be scoped to a valid region."),
        Auth.WRONG_SERVICE: (401, "AuthFailure", "Credential should be scoped to correct service."),
        Auth.TOKEN_MISSING: _EC2_FAILED,
        Auth.TOKEN_INVALID: _EC2_FAILED,
        Auth.TOKEN_EXPIRED: (400, "RequestExpired", "Request has expired."),
        Auth.UNSIGNED_HEADER: (403, "SignatureDoesNotMatch", "A header that must be signed is not"),
        Auth.BODY_HASH_MISSING: _EC2_FAILED,
        Auth.BODY_HASH_WRONG: (403, "SignatureDoesNotMatch", _MISMATCH),
    },
    "s3": {
        Auth.MISSING: (403, "AccessDenied", "Access Denied"),
        Auth.MALFORMED: (400, "AuthorizationHeaderMalformed",
                         "The authorization header you provided is invalid."),
        Auth.UNKNOWN_KEY: (403, "InvalidAccessKeyId",
                           "The AWS Access Key Id you provided does not exist in our records."),
        Auth.BAD_SIGNATURE: (403, "SignatureDoesNotMatch", _MISMATCH),
        Auth.TOO_OLD: _S3_SKEWED,
        Auth.TOO_NEW: _S3_SKEWED,
        Auth.WRONG_REGION: (400, "AuthorizationHeaderMalformed",
                            "The authorization header is malformed; the region is wrong"),
        Auth.WRONG_SERVICE: (400, "AuthorizationHeaderMalformed",
                             "The authorization header is malformed; incorrect service"),
        Auth.TOKEN_MISSING: (403, "InvalidAccessKeyId",
                             "The AWS Access Key Id you provided does not exist in our records."),
        Auth.TOKEN_INVALID: (400, "InvalidToken",
                             "The provided token is malformed or otherwise invalid."),
        Auth.TOKEN_EXPIRED: (400, "ExpiredToken", "The provided token has expired."),
        Auth.UNSIGNED_HEADER: (403, "AccessDenied",
                               "There were headers present in the request which were not signed"),
        Auth.BODY_HASH_MISSING: (
            400, "InvalidRequest",
            "Missing required header for this request: x-amz-content-sha256"),
        Auth.BODY_HASH_WRONG: (
            400, "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed."),
    },
    "query": {
        Auth.MISSING: (403, "MissingAuthenticationToken",
                       "Request is missing Authentication Token"),
        Auth.MALFORMED: (400, "IncompleteSignature", "The authorization header is malformed"),
        Auth.UNKNOWN_KEY: (403, "InvalidClientTokenId",
                           "The security token included in the request is invalid."),
        Auth.BAD_SIGNATURE: (403, "SignatureDoesNotMatch", _MISMATCH),
        Auth.TOO_OLD: (403, "SignatureDoesNotMatch", "Signature expired"),
        Auth.TOO_NEW: (403, "SignatureDoesNotMatch", "Signature not yet current"),
        Auth.WRONG_REGION: (403, "SignatureDoesNotMatch",
                            "Credential should be scoped to a valid region."),
        Auth.WRONG_SERVICE: (403, "SignatureDoesNotMatch",
                             "Credential should be scoped to correct service."),
        Auth.TOKEN_MISSING: (403, "InvalidClientTokenId",
                             "The security token included in the request is invalid."),
        Auth.TOKEN_INVALID: (403, "InvalidClientTokenId",
                             "The security token included in the request is invalid."),
        Auth.TOKEN_EXPIRED: (403, "ExpiredToken",
                             "The security token included in the request is expired"),
        Auth.UNSIGNED_HEADER: (403, "SignatureDoesNotMatch", "A header that must be signed is not"),
        Auth.BODY_HASH_MISSING: (403, "SignatureDoesNotMatch", _MISMATCH),
        Auth.BODY_HASH_WRONG: (403, "SignatureDoesNotMatch", _MISMATCH),
    },
}
AUTH_ERRORS["json"] = AUTH_ERRORS["query"]


class AuthError(Exception):
    def __init__(self, reason: Auth, detail: str = "", extra: dict[str, str] | None = None,
                 headers: dict[str, str] | None = None) -> None:
        super().__init__(reason.name)
        self.reason = reason
        self.detail = detail
        self.extra = extra or {}
        self.headers = headers or {}

    def as_api_error(self, service: str) -> ApiError:
        status, code, message = AUTH_ERRORS[family(service)][self.reason]
        return ApiError(code, f"{message} {self.detail}".rstrip(), status, self.extra, self.headers)


def family(service: str) -> str:
    if service == "ecr":
        return "json"
    return service if service in ("ec2", "s3") else "query"


def render(service: str, error: ApiError, request_id: str) -> Reply:
    """The reply that carries error, in the service's own envelope."""
    if family(service) == "json":
        said = json.dumps({"__type": error.code, "message": error.message})
        return Reply(error.status, said.encode(), "application/x-amz-json-1.1", dict(error.headers))
    code, message = escape(error.code), escape(error.message)
    extra = "".join(f"<{k}>{escape(v)}</{k}>" for k, v in error.extra.items())
    if family(service) == "ec2":
        body = (f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error>"
                f"</Errors><RequestID>{request_id}</RequestID></Response>")
        content_type = "text/xml;charset=UTF-8"
    elif family(service) == "s3":
        body = (f"<Error><Code>{code}</Code><Message>{message}</Message>{extra}"
                f"<RequestId>{request_id}</RequestId><HostId>lab</HostId></Error>")
        content_type = "application/xml"
    else:
        kind = "Sender" if error.status < 500 else "Receiver"
        body = (f"<ErrorResponse><Error><Type>{kind}</Type><Code>{code}</Code>"
                f"<Message>{message}</Message></Error>"
                f"<RequestId>{request_id}</RequestId></ErrorResponse>")
        content_type = "text/xml"
    return Reply(error.status, (XML_DECLARATION + body).encode(), content_type,
                 dict(error.headers))

# SPDX-License-Identifier: Apache-2.0
"""The way of every AWS request: what it is, which fault meets it, who signed, may they, do it."""

from __future__ import annotations

import secrets
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from . import signature
from .calls import Calls, is_mutating
from .cloudformation import Stacks, check_tags
from .credentials import Credential, Keyring
from .ec2 import Ec2, upstream_error
from .effects import afterwards, instead
from .errors import ApiError, Auth, AuthError, family, render
from .faults import Fault, Faults
from .knobs import draw
from .mirror import Mirror
from .model import Region
from .moto import Moto
from .policy import Policies
from .s3 import S3, location_constraint
from .s3_names import S3Call, read_call
from .rates import RATES, Bucket
from .shapes import read_form
from .signature import Claim
from .sts import caller_identity
from .wire import Reply, Request

# Services whose calls can change what IAM, EC2 or S3 hold.
_CHANGERS = ("iam", "cloudformation", "autoscaling")
_GLOBAL = ("iam",)


@dataclass
class Call:
    service: str
    action: str = ""
    form: dict[str, str] = field(default_factory=dict)
    s3: S3Call | None = None
    claim: Claim | None = None
    problem: ApiError | AuthError | None = None

    @property
    def path(self) -> str:
        return self.s3.key if self.s3 is not None else ""


class Api:
    def __init__(self, region: Region, keyring: Keyring, policies: Policies, faults: Faults,
                 calls: Calls, moto: Moto, mirror: Mirror, ec2: Ec2, s3: S3,
                 stacks: Stacks, latency_ms: float) -> None:
        self.latency_ms = latency_ms
        self._reads: Counter[tuple[str, str]] = Counter()
        self._rates = {mutating: Bucket(*rate) for mutating, rate in RATES.items()}
        self._region = region
        self._keyring = keyring
        self._policies = policies
        self._faults = faults
        self._calls = calls
        self._moto = moto
        self._mirror = mirror
        self._ec2 = ec2
        self._s3 = s3
        self._stacks = stacks

    def serve(self, request: Request) -> Reply:
        started = time.monotonic()
        time.sleep(self.latency_ms / 1000)
        call = _identify(request)
        request_id = _request_id(call.service)
        signer = self._keyring.find(call.claim.access_key) if call.claim else None
        instance = signer.instance_id if signer else ""
        fault = self._faults.match(call.service, call.action, instance, call.path)
        reply = instead(fault, call.service, request_id) if fault else None
        code = (fault.code or "InternalError") if fault and fault.effect == "error" else ""
        if reply is None:
            reply, code = self._answer(request, call, fault, request_id)
        if fault is not None:
            reply = afterwards(fault, reply)
        _add_ids(reply, call, request_id)
        self._note(request, call, signer, fault, reply, code, started, request_id)
        return reply

    def _answer(self, request: Request, call: Call, fault: Fault | None,
                request_id: str) -> tuple[Reply, str]:
        """The call's reply, and the error code in it if it is a refusal."""
        try:
            return self._act(request, call, fault, request_id), ""
        except AuthError as problem:
            error = problem.as_api_error(call.service)
        except ApiError as problem:
            error = problem
        except Exception:
            # A bug of the lab's: the client sees what AWS's own would look like, we see it whole.
            self._calls.write(event="bug", action=call.action, request_id=request_id,
                              trace=traceback.format_exc())
            error = ApiError("InternalError", "An internal error has occurred", 500)
        return render(call.service, error, request_id), error.code

    def _note(self, request: Request, call: Call, signer: Credential | None, fault: Fault | None,
              reply: Reply, code: str, started: float, request_id: str) -> None:
        fields: dict[str, Any] = {}
        if call.s3 is not None:
            fields = {"bucket": call.s3.bucket, "key": call.s3.key, "bytes": len(request.body)}
        elif call.form:
            fields = {"params": {k: v for k, v in call.form.items()
                                 if k not in ("Action", "Version", "UserData")}}
        self._calls.count(
            service=call.service, action=call.action, instance=signer.instance_id if signer else "",
            principal=signer.principal if signer else "", status=reply.status, code=code,
            request_id=request_id, fault=fault.id if fault else 0,
            ms=round((time.monotonic() - started) * 1000, 2), **fields)

    def _act(self, request: Request, call: Call, fault: Fault | None, request_id: str) -> Reply:
        if call.problem is not None:
            raise call.problem
        if call.claim is None:
            raise AuthError(Auth.MISSING)
        endpoint_region = self._endpoint_region(call)
        who = signature.verify(
            request, call.claim, self._keyring, call.service, endpoint_region,
            fault.seconds if fault and fault.effect == "skew" else 0.0,
            bool(fault and fault.effect == "expired"))
        self._throttle(call, who)
        if call.s3 is not None:
            return self._act_s3(request, call.s3, who, endpoint_region)
        if call.service == "ec2":
            for resource, context in self._ec2.resources(call.form):
                self._authorize(who, f"ec2:{call.action}", resource, context)
            self._check_key(call, who)
            return self._ec2.handle(request, call.form, self._ec2.check(call.form), request_id,
                                    self._staleness(call, who))
        if (call.service, call.action) == ("sts", "GetCallerIdentity"):  # which needs no permission
            return caller_identity(self._region.account, self._arn(who), _user_id(who), request_id)
        resource = self._stacks.stack_arn(call.form) if call.service == "cloudformation" else "*"
        self._authorize(who, f"{call.service}:{call.action}", resource)
        if (call.service, call.action) == ("cloudformation", "SignalResource"):
            return self._stacks.signal(call.form, request_id)
        return self._act_other(request, call)

    def _endpoint_region(self, call: Call) -> str:
        """The region that the endpoint stands for, and so that the signature must name.

        An S3 endpoint that does not say so by its name (an override) is every region's.
        """
        assert call.claim is not None
        if call.s3 is not None:
            return call.s3.endpoint_region or call.claim.region
        return "us-east-1" if call.service in _GLOBAL else self._region.name

    def _throttle(self, call: Call, who: Credential) -> None:
        if call.service == "ec2" and who.role and self._region.knobs.ec2.throttled \
                and not self._rates[is_mutating("ec2", call.action)].take():
            raise ApiError("RequestLimitExceeded", "Request limit exceeded.", 503)

    def _staleness(self, call: Call, who: Credential) -> float:
        """How old is what this call reads: drawn anew for each, so it may also go back in time."""
        limit = self._region.knobs.reads.stale_s
        if not who.role or limit <= 0:
            return 0.0
        with self._region.lock:
            self._reads[who.role, call.action] += 1
            return draw(self._region.knobs, limit, who.role, call.action,
                        self._reads[who.role, call.action])

    def _lags(self, who: Credential, action: str) -> bool:
        """Whether IAM has not yet told this action's service of the role: a time of its own for each action."""
        limit = self._region.knobs.iam.lag_s
        instance = self._region.instances.get(who.instance_id)
        if instance is None or limit <= 0:
            return False
        now = time.monotonic()
        instance.first_call = instance.first_call or now
        return now - instance.first_call < draw(self._region.knobs, limit, who.role, action)

    def _check_key(self, call: Call, who: Credential) -> None:
        """To attach a volume under a customer's key, EC2 makes a grant in the name of who asks."""
        if call.action != "AttachVolume" or not who.role:
            return
        volume_id = call.form.get("VolumeId", "")
        key = self._ec2.customer_key(volume_id)
        context = {"kms:ViaService": f"ec2.{self._region.name}.amazonaws.com",
                   "kms:GrantIsForAWSResource": "true"}
        if self._region.knobs.kms.volume_revoked \
                or key and not self._may(who, "kms:CreateGrant", key, context):
            raise ApiError("CustomerKeyHasBeenRevoked",
                           f"Volume {volume_id} cannot be attached. The encrypted volume was unable to "
                           "access the KMS master key.")

    def _act_s3(self, request: Request, call: S3Call, who: Credential, region: str) -> Reply:
        self._s3.check_bucket(call, region, bool(who.role))
        if call.action == "CreateBucket":
            asked = location_constraint(request.body)
            if region != "us-east-1" and asked != region:
                raise ApiError("IllegalLocationConstraintException",
                               f"The {asked or 'unspecified'} location constraint is incompatible "
                               "for the region specific endpoint this request was sent to.")
        context = call.context if call.permission == "s3:ListBucket" else {}
        if not self._may(who, call.permission, call.resource, context):
            # S3 tells even who is refused where the bucket is.
            headers = {"x-amz-bucket-region": self._s3.bucket_region(call.bucket)} \
                if call.action == "HeadBucket" else {}
            raise ApiError("AccessDenied",
                           f"User: {self._arn(who)} is not authorized to perform: "
                           f"{call.permission} on resource: \"{call.resource}\" because no "
                           f"identity-based policy allows the {call.permission} action", 403,
                           headers=headers)
        action = {"GetObject": "kms:Decrypt", "PutObject": "kms:GenerateDataKey"}.get(call.action)
        if action and who.role and self._region.knobs.kms.bucket_denied:
            key = f"arn:aws:kms:{self._region.name}:{self._region.account}:key/of-the-bucket"
            raise ApiError("AccessDenied",
                           f"User: {self._arn(who)} is not authorized to perform: {action} on resource: "
                           f"{key} because no identity-based policy allows the {action} action", 403)
        may_list = self._may(who, "s3:ListBucket", f"arn:aws:s3:::{call.bucket}", call.context)
        return self._s3.handle(request, call, may_list)

    def _act_other(self, request: Request, call: Call) -> Reply:
        if call.action in ("CreateStack", "UpdateStack"):
            check_tags(call.form)
        reply = self._moto.forward(
            request, headers={"Host": f"{call.service}.{self._region.name}.amazonaws.com"},
            drop=("host",))
        if call.service in _CHANGERS and is_mutating(call.service, call.action):
            self._policies.forget()
            self._s3.forget()
            self._mirror.sync()
        if reply.status >= 400:
            raise upstream_error(reply, self._calls, call.action)
        if call.action in ("CreateStack", "UpdateStack"):
            self._stacks.changed(call.action, call.form["StackName"])
        elif call.action == "DescribeStacks":
            reply.body = self._stacks.show(reply.body)
        return reply

    def _may(self, who: Credential, action: str, resource: str,
             context: dict[str, str] | None = None) -> bool:
        return not who.role or not self._lags(who, action) \
            and self._policies.allows(who.role, action, resource, context or {})

    def _authorize(self, who: Credential, action: str, resource: str,
                   context: dict[str, str] | None = None) -> None:
        if self._may(who, action, resource, context):
            return
        message = (f"User: {self._arn(who)} is not authorized to perform: {action} on resource: "
                   f"{resource} because no identity-based policy allows the {action} action")
        if action.startswith("ec2:"):
            raise ApiError("UnauthorizedOperation", "You are not authorized to perform this "
                                                    f"operation. {message}", 403)
        if action.startswith("ecr:"):
            raise ApiError("AccessDeniedException", message)
        raise ApiError("AccessDenied", message, 403)

    def _arn(self, who: Credential) -> str:
        account = self._region.account
        if not who.role:
            return f"arn:aws:iam::{account}:user/admin"
        return f"arn:aws:sts::{account}:assumed-role/{who.role}/{who.instance_id}"


def _user_id(who: Credential) -> str:
    """The id of a role is drawn once, on AWS; here it is another for each key. Who reads it counts on the session alone."""
    return f"AROA{who.access_key[4:]}:{who.instance_id}" if who.role else f"AIDA{who.access_key[4:]}"


def _identify(request: Request) -> Call:
    try:
        claim = signature.read_claim(request)
    except AuthError as problem:
        return Call(_service_of(request), action="Malformed", problem=problem)
    service = claim.service if claim is not None else _service_of(request)
    if service == "s3":
        s3 = read_call(request)
        return Call("s3", s3.action, s3=s3, claim=claim)
    if request.method != "POST" or request.path not in ("", "/"):
        return Call(service, "Malformed", claim=claim, problem=ApiError(
            "InvalidRequest", "The lab takes query requests by POST to / only"))
    target = request.header("X-Amz-Target")  # of a service that speaks JSON, as ECR does
    try:
        form = {} if target else read_form(request.body)
    except ApiError as problem:
        return Call(service, "Malformed", claim=claim, problem=problem)
    action = target.rpartition(".")[2] if target else form.get("Action", "Malformed")
    return Call(service, action, form, claim=claim)


def _service_of(request: Request) -> str:
    """A guess for requests that carry no signature: they are refused in that service's words."""
    form = request.header("Content-Type").startswith("application/x-www-form-urlencoded")
    if form and request.method == "POST" and request.path in ("", "/"):
        return "ec2"
    return "ec2" if request.header("Host").startswith("ec2.") else "s3"


def _request_id(service: str) -> str:
    if service == "s3":
        return secrets.token_hex(8).upper()
    digits = secrets.token_hex(16)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _add_ids(reply: Reply, call: Call, request_id: str) -> None:
    if family(call.service) == "s3":
        reply.headers |= {"x-amz-request-id": request_id, "x-amz-id-2": "lab", "Server": "AmazonS3"}
    else:
        reply.headers |= {"x-amzn-RequestId": request_id, "Server": "AmazonEC2"}

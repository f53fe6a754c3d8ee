# SPDX-License-Identifier: Apache-2.0
"""Every request of a first boot answered badly: once, where the boot must get over it or stop and say
why; and for as long as it lasts, where what is shown must name the request and what came of it."""

import json
from collections import Counter

from .crashes import first_boot
from .machines import EXITS, STATUSES
from .state import check_kept, check_whole, keep, learn, plant

CLOSED = ("Empty reply", "reset", "unexpected eof")
BAD_XML = ("reply is no acceptable XML", "HTTP status")
BAD_OBJECT = ("no proper ETag", "HTTP status", "not JSON", "where index.json says")
BAD_WORD = ("something else answers", "is not one word", "is \"", "HTTP status", "is not of region", "has IAM role",
            "has a line that is no", "there is no")
# What is done to the reply, and of each service words of which one must be in what is told of it.
EFFECTS = {
    "500": ({"effect": "error", "status": 500}, {"ec2": ("InternalError",), "s3": ("InternalError",),
                                                 "imds": ("HTTP status 500",)}),
    "503": ({"effect": "error", "status": 503}, {"ec2": ("RequestLimitExceeded",), "s3": ("SlowDown",),
                                                 "imds": ("HTTP status 503",)}),
    "denied": ({"effect": "error", "status": 403}, {"ec2": ("UnauthorizedOperation",), "s3": ("AccessDenied",),
                                                    "imds": ("HTTP status 403",)}),
    "revoked": ({"effect": "error", "status": 400}, {"ec2": ("CustomerKeyHasBeenRevoked",)}),
    "expired": ({"effect": "expired"}, {"ec2": ("RequestExpired",), "s3": ("ExpiredToken",)}),
    "closed": ({"effect": "close"}, {"ec2": CLOSED, "s3": CLOSED}),
    "lost": ({"effect": "lost"}, {"ec2": CLOSED, "s3": CLOSED}),
    "cut": ({"effect": "cut"}, {"ec2": ("transfer closed",), "s3": ("transfer closed",)}),
    "truncated": ({"effect": "truncate"}, {"ec2": BAD_XML, "s3": BAD_OBJECT, "imds": BAD_WORD}),
    "garbage": ({"effect": "garbage"}, {"ec2": BAD_XML, "s3": BAD_OBJECT, "imds": BAD_WORD}),
    "a page": ({"effect": "html"}, {"ec2": ("the reply is <html>",), "s3": BAD_OBJECT, "imds": BAD_WORD}),
    "silence": ({"effect": "silence"}, {"ec2": ("timed out",), "s3": ("timed out",)}),
}
CODES = ("500", "503", "denied", "revoked")
SKEWS = (1200, -1200)
# Words of which one names the request, where it is not named as SERVICE:ACTION.
NAMED = {"imds:PutToken": ("latest/api/token", "meta-data/instance-id: HTTP status 401", "a session token"),
         "imds:GetMetadata": ("instance metadata: ", "IAM role"),
         "s3:GetObject": ("s3:GetObject on s3://", "S3's reply for ", "s3://"),
         "s3:PutObject": ("s3:PutObject on s3://", "S3's reply for ")}
# The metadata service is waited for while nobody answers, for ten minutes, and that is all that is told so long.
AWAITED = "the instance metadata service"
# EC2 is asked again to attach the volume, until what came of it is told.
ATTACH_S = 10
CLASSES = {"500": "retry", "503": "retry", "denied": "denied", "expired": "retry", "closed": "retry", "cut": "retry"}


def requests(world, machine):
    """The requests that a machine has made: Counter of "SERVICE:ACTION"."""
    lines = map(json.loads, (world.front.state / "requests.jsonl").read_text().splitlines())
    return Counter(f"{line['service']}:{line['action']}" for line in lines
                   if line["event"] == "request" and line["instance"] == machine.id)


def all_replies(world, role):
    """(scene, role, request, nth, effect) for each that two undisturbed boots have in common; nth 0: from the first
    on, for ever. A scene of its own is the index, whose first reply is lost and which is asked for again."""
    made = []
    for _ in range(2):
        machine = first_boot(world, role)
        assert machine.run().done
        learn(world, machine)
        made.append(requests(world, machine))
    for request, most in (made[0] & made[1]).items():
        for effect in EFFECTS:
            if effect == "expired" and request.startswith("imds:"):
                continue
            if effect == "revoked" and request != "ec2:AttachVolume":
                continue  # the one request that needs a volume's key
            if effect == "silence":
                yield role, role, request, 1, effect
                continue
            for nth in range(0, most + 1):
                is_index = request == "s3:PutObject" and nth == most and effect == "lost"
                yield "index" if is_index else role, role, request, nth, effect


def fault(machine, request, nth, effect):
    given, words = EFFECTS[effect]
    service = request.partition(":")[0]
    code = {"code": words[service][0]} if effect in CODES and service != "imds" else {}
    return {"action": request, "instance": machine.id, "nth": nth or 1,
            "count": 1 if nth else 0, **given, **code}


def naming(seen, request, effect):
    """The error shown that names the request, and what came of it; {} where a wait is all that can be; None: there is
    none."""
    words = EFFECTS[effect][1].get(request.partition(":")[0], ())
    if not words and AWAITED in seen.waits.values():
        return {}
    if request == "ec2:AttachVolume":
        words += ("timed out",)  # the last time
    return next((error for error in seen.refusals() if any(word in error["message"] for word in words)
                 and any(name in error["message"] for name in NAMED.get(request, (request,)))), None)


def check_refused(outcome, request, effect):
    error = naming(outcome, request, effect)
    assert error is not None, (request, effect, outcome.errors, outcome.waits)
    assert outcome.status in STATUSES or outcome.status == EXITS.get(error.get("class")), outcome
    if error and effect in CLASSES and not request.startswith("imds:") and request != "ec2:AttachVolume":
        assert error["class"] == CLASSES[effect], (CLASSES[effect], error)


def spoil(world, scene, role, request, nth, effect):
    world.scene = ""
    machine = first_boot(world, role)
    before = keep(world, machine)
    if not nth and request == "ec2:AttachVolume" and effect not in ("lost", "cut", "truncated"):
        machine.configure(ATTACH_TIMEOUT_SECONDS=ATTACH_S)
    world.front.control("POST", "/faults", fault(machine, request, nth, effect))

    def is_met():
        return world.front.control("GET", "/faults")[0]["applied"] > 0

    outcome = machine.run(until=lambda seen: not nth and naming(seen, request, effect) is not None and is_met())
    met = is_met()
    world.front.control("DELETE", "/faults")
    assert met or outcome.done, f"{request} {nth} was never asked"
    if not outcome.done:
        check_refused(outcome, request, effect)
    if met:
        return come_of(world, machine, before, outcome)
    # What is looked at until it is there is asked for less often by a faster boot: the last time, then.
    made = requests(world, machine)[request]
    return spoil(world, scene, role, request, made, effect) if 0 < made < nth else "missed"


def come_of(world, machine, before, outcome):
    """What came of a run: it has kept all that there was, and if it is not done, so does the next one."""
    if outcome.done:
        check_whole(world, machine, before, outcome)
        return "converged"
    machine.configure()
    plant(world, machine)
    left = keep(world, machine)
    check_kept(before, left)
    check_whole(world, machine, left, machine.run())
    return "refused"


def skew(world, role, _, seconds):
    """The region's clock, or this machine's, is off: neither is a reason to stop."""
    world.scene = ""
    machine = first_boot(world, role)
    before = keep(world, machine)
    world.front.control("POST", "/faults", {"action": "*", "effect": "skew", "seconds": seconds,
                                            "count": 0, "instance": machine.id})
    outcome = machine.run(until=lambda seen: any("the clock is " in error["message"] for error in seen.refusals()))
    world.front.control("DELETE", "/faults")
    return come_of(world, machine, before, outcome)

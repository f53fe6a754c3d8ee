# SPDX-License-Identifier: Apache-2.0
"""Every request of a first boot answered badly: once, where the boot must get over it or stop and say
why; and for as long as it lasts, where what is shown must name the request and what came of it."""

import json
from collections import Counter

from .crashes import first_boot
from .machines import STEPS
from .state import check_whole, keep

# What is done to the reply; words that must be told of it, if it is told what went wrong.
EFFECTS = {
    "500": ({"effect": "error", "status": 500}, {"ec2": "InternalError", "s3": "InternalError",
                                                 "imds": "500"}),
    "503": ({"effect": "error", "status": 503}, {"ec2": "RequestLimitExceeded", "s3": "SlowDown",
                                                 "imds": "503"}),
    "denied": ({"effect": "error", "status": 403}, {"ec2": "UnauthorizedOperation",
                                                    "s3": "AccessDenied", "imds": "403"}),
    "revoked": ({"effect": "error", "status": 400}, {"ec2": "CustomerKeyHasBeenRevoked"}),
    "expired": ({"effect": "expired"}, {"ec2": "xpired", "s3": "xpired"}),
    "closed": ({"effect": "close"}, {}),
    "lost": ({"effect": "lost"}, {}),
    "cut": ({"effect": "cut"}, {}),
    "truncated": ({"effect": "truncate"}, {}),
    "garbage": ({"effect": "garbage"}, {}),
    "a page": ({"effect": "html"}, {}),
    "silence": ({"effect": "silence"}, {}),
}
CODES = ("500", "503", "denied", "revoked")
SKEWS = (1200, -1200)
NAMED = {"imds:PutToken": ("latest/api/token", "instance metadata"),
         "imds:GetMetadata": ("meta-data", "instance metadata", "IAM role", "interface", "subnet")}
# What is asked for again and again by itself, as these do not come at once even if all is well.
WAITS = {"imds:PutToken": ["instance metadata"], "imds:GetMetadata": ["instance metadata"],
         "ec2:AttachVolume": ["EC2 to attach it"], "ec2:DescribeVolumes": ["volume vol-"]}


def requests(world, machine):
    """The requests that a machine has made: Counter of "SERVICE:ACTION"."""
    lines = map(json.loads, (world.front.state / "requests.jsonl").read_text().splitlines())
    return Counter(f"{line['service']}:{line['action']}" for line in lines
                   if line["event"] == "request" and line["instance"] == machine.id)


def all_replies(world):
    """(role, request, nth, effect) for each; nth 0: from the first on, for ever."""
    for role in STEPS:
        world.clear()
        machine = first_boot(world, role)
        assert machine.run().done
        for request, most in requests(world, machine).items():
            for effect in EFFECTS:
                if effect == "expired" and request.startswith("imds:"):
                    continue
                if effect == "revoked" and request != "ec2:AttachVolume":
                    continue  # the one request that needs a volume's key
                if effect == "silence":
                    yield role, request, 1, effect
                    continue
                for nth in range(0, most + 1):
                    yield role, request, nth, effect


def fault(machine, request, nth, effect):
    given, words = EFFECTS[effect]
    service = request.partition(":")[0]
    code = {"code": words[service]} if effect in CODES and service != "imds" else {}
    return {"action": request, "instance": machine.id, "nth": nth or 1,
            "count": 1 if nth else 0, **given, **code}


def is_named(outcome, request, effect):
    """Whether what is shown names the request, and what came of it."""
    service, _, action = request.partition(":")
    word = EFFECTS[effect][1].get(service, "")
    named = NAMED.get(request, (action, "s3://", "index.json"))
    told = outcome.told()
    return any(any(name in text for name in named) and word in text for text in told) or \
        any(name in text for name in WAITS.get(request, ()) for text in outcome.waits.values())


def spoil(world, role, request, nth, effect):
    world.scene = ""
    machine = first_boot(world, role)
    world.front.control("POST", "/faults", fault(machine, request, nth, effect))
    outcome = machine.run(until=lambda seen: not nth and is_named(seen, request, effect))
    met = world.front.control("GET", "/faults")[0]["applied"]
    world.front.control("DELETE", "/faults")
    assert met or outcome.done, f"{request} {nth} was never asked"
    before = keep(world, machine)
    if outcome.done:
        check_whole(world, machine, before, outcome)
        return "converged" if met else "missed"
    assert is_named(outcome, request, effect), (request, effect, outcome.told())
    check_whole(world, machine, before, machine.run())
    return "refused"


def skew(world, role, seconds):
    """The region's clock, or this machine's, is off: neither is a reason to stop."""
    world.scene = ""
    machine = first_boot(world, role)
    world.front.control("POST", "/faults", {"action": "*", "effect": "skew", "seconds": seconds,
                                            "count": 0, "instance": machine.id})
    outcome = machine.run(until=lambda seen: any("clock" in text for text in seen.told()))
    world.front.control("DELETE", "/faults")
    before = keep(world, machine)
    if outcome.done:
        check_whole(world, machine, before, outcome)
        return "converged"
    assert any("clock" in text for text in outcome.told()), outcome
    check_whole(world, machine, before, machine.run())
    return "refused"

# SPDX-License-Identifier: Apache-2.0
"""What of AWS the front can do or leave: each knob is a way in which AWS is slower, older or stranger than a
region that does all at once.

Without any, a check can ask for one rule alone. "aws" is what the lab's region has by default, "brief" what the
boots of the integration tests have, and "hostile" the worst that still makes sense. GET and POST /settings show and
change them.
"""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any


@dataclass
class S3:
    ignore_if_none_match: bool = False  # behave like a store that does not know the header
    put_ms: int = 0  # how long a write is in flight
    bucket_lag_s: float = 0.0  # since an instance first asked for a bucket, it is not known for so long


@dataclass
class Imds:
    """Counted from an instance's first question, since a machine of the lab boots faster than one of EC2."""

    credentials_absent_s: float = 0.0  # for so long there is no role
    other_code_s: float = 0.0  # and then for so long its credentials are a Code that is not Success
    stale_s: float = 0.0  # addresses are shown as they were up to so long ago
    tags: bool = False  # instance tags in metadata for every instance


@dataclass
class Iam:
    """IAM tells its decisions to each service in its own time."""

    lag_s: float = 0.0  # for up to so long since an instance's first call, it is denied; by action


@dataclass
class Reads:
    """EC2 agrees with itself in the end.
    https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""

    stale_s: float = 0.0  # an instance's Describe shows what was up to so long ago


@dataclass
class Kms:
    """A customer's key that was revoked, or whose policy leaves out who needs it."""

    volume_revoked: bool = False  # AttachVolume is refused
    bucket_denied: bool = False  # so is what reads or writes an encrypted object


@dataclass
class Ec2:
    shutting_down_s: float = 0.0  # so long after its power is off, an instance holds what it has
    throttled: bool = False  # requests come out of buckets that are filled again at EC2's documented rate


@dataclass
class Dns:
    """See names.py. The VPC's attribute enableDnsHostnames is kept, too."""

    dhcp_domain: str = "Corp.Example.COM"  # of the VPC's DHCP option set; "": EC2's own
    ec2_domain: str = ""  # of interfaces' private DNS names; "": the region's


@dataclass
class Noise:
    """How encrypted volumes that come from no snapshot read where nobody has written: see kblab/noise.py."""

    mode: str = "none"  # none: as zeros; sparse: noise where anybody looks; whole: noise everywhere
    imitate: str = ""  # a signature that noise is taken for: atari, jbd, jmicron


@dataclass
class Knobs:
    seed: int = field(default_factory=lambda: secrets.randbelow(1_000_000))  # of all that is drawn
    s3: S3 = field(default_factory=S3)
    imds: Imds = field(default_factory=Imds)
    iam: Iam = field(default_factory=Iam)
    reads: Reads = field(default_factory=Reads)
    kms: Kms = field(default_factory=Kms)
    ec2: Ec2 = field(default_factory=Ec2)
    dns: Dns = field(default_factory=Dns)
    noise: Noise = field(default_factory=Noise)


# The words that a knob takes.
CHOICES = {"noise.mode": ("none", "sparse", "whole"), "noise.imitate": ("", "atari", "jbd", "jmicron")}

# What --knobs NAME turns, in the form of POST /settings.
PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "aws": {
        "imds": {"credentials_absent_s": 5.0, "other_code_s": 1.0, "stale_s": 2.0},
        "iam": {"lag_s": 2.0},
        "reads": {"stale_s": 2.0},
        "s3": {"bucket_lag_s": 1.0},
        "noise": {"mode": "sparse"},
        "ec2": {"shutting_down_s": 3.0, "throttled": True},
    },
    # For boots that take a second, and by the thousand. A run by hand ends with a denial, so IAM does not lag.
    "brief": {
        "imds": {"credentials_absent_s": 0.4, "other_code_s": 0.2, "stale_s": 0.3},
        "reads": {"stale_s": 0.3},
        "noise": {"mode": "sparse"},
        "ec2": {"shutting_down_s": 0.3, "throttled": True},
    },
    "hostile": {
        "imds": {"credentials_absent_s": 10.0, "other_code_s": 5.0, "stale_s": 5.0},
        "iam": {"lag_s": 15.0},
        "reads": {"stale_s": 5.0},
        "s3": {"bucket_lag_s": 10.0},
        "noise": {"mode": "sparse", "imitate": "atari"},
        "ec2": {"shutting_down_s": 15.0, "throttled": True},
    },
}


def draw(knobs: Knobs, limit_s: float, *what: object) -> float:
    """Seconds up to a limit: the same for the same seed and words."""
    return random.Random(f"{knobs.seed} {what}").uniform(0, limit_s)


def turn(knobs: Any, given: dict[str, Any]) -> None:
    """Sets the knobs among what is given, those of a group too."""
    for knob in fields(knobs):
        if knob.name not in given:
            continue
        if is_dataclass(getattr(knobs, knob.name)):
            turn(getattr(knobs, knob.name), given[knob.name])
        else:
            setattr(knobs, knob.name, given[knob.name])


def check(given: dict[str, Any], known: dict[str, Any], where: str = "") -> None:
    """ValueError, unless each that is given is known, and of the same kind."""
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"no setting {where}{name}")
        now = known[name]
        if isinstance(now, dict):
            check(value, now, f"{where}{name}.")
        elif isinstance(value, bool) != isinstance(now, bool) or \
                isinstance(value, str) != isinstance(now, str) or \
                not isinstance(value, (bool, int, float, str)):
            raise ValueError(f"setting {where}{name} is like {now!r}")
        elif value not in CHOICES.get(where + name, (value,)):
            raise ValueError(f"setting {where}{name} is one of {CHOICES[where + name]}")

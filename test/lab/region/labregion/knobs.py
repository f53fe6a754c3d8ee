# SPDX-License-Identifier: Apache-2.0
"""What of AWS the front can do or leave: each knob is a way in which AWS is slower, older or stranger than a
region that does all at once.

Without any, a check can ask for one rule alone. AWS is what the lab's region and the boots of the integration
tests have by default; HOSTILE is the worst that still makes sense. GET and POST /settings show and change them.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any


@dataclass
class S3:
    ignore_if_none_match: bool = False  # behave like a store that does not know the header
    put_ms: int = 0  # how long a write is in flight


@dataclass
class Imds:
    credentials_absent_s: float = 0.0  # after the launch, no role credentials yet for so long
    tags: bool = False  # instance tags in metadata for every instance


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
    noise: Noise = field(default_factory=Noise)


# The words that a knob takes.
CHOICES = {"noise.mode": ("none", "sparse", "whole"), "noise.imitate": ("", "atari", "jbd", "jmicron")}

# What --knobs NAME turns, in the form of POST /settings.
PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "aws": {},
    "hostile": {},
}


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

# SPDX-License-Identifier: Apache-2.0
"""Counts of a program that ran under callgrind, read from what it writes
(https://valgrind.org/docs/manual/cl-format.html)."""

import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VALGRIND = ROOT / "build/valgrind"
OWN = re.compile(r"(?:^|/)bootstrap/(\w+)/(?:\w+/)*(\w+\.[ch])$")
# How often these are woken, and find a connection open to share, is the network's doing.
WAITS = ("wait.c", "http.c", "http_share.c")
NAME = re.compile(r"(c?)(ob|fl|fi|fe|fn)=\((\d+)\)(?: (.*))?")
POSITIONS = {"fi": "fl", "fe": "fl"}  # inlined code: another file, the same function


@dataclass
class Counts:
    total: int = 0
    own: Counter = field(default_factory=Counter)  # folder of bootstrap/: instructions of its lines but WAITS'
    calls: Counter = field(default_factory=Counter)  # function: calls of it
    inclusive: Counter = field(default_factory=Counter)  # (caller, called): instructions, libraries' too


def unpack():
    """Unpacks a valgrind that knows pidfd_open, which Debian 12's does not."""
    subprocess.run([ROOT / "test/tools/unpack", "trixie", "valgrind", VALGRIND], check=True, stdout=subprocess.DEVNULL)


def command(output, *program):
    """A command line that runs a program under callgrind, which writes to `output`."""
    return ["env", f"VALGRIND_LIB={VALGRIND}/usr/libexec/valgrind", VALGRIND / "usr/bin/valgrind", "--quiet",
            "--tool=callgrind", "--sim-hints=lax-ioctls", f"--callgrind-out-file={output}", *program]


def read(text):
    counts, names, now, called = Counts(), {}, {}, False
    for line in text.splitlines():
        if found := NAME.match(line):
            of_call, kind, number, name = found.groups()
            kind = POSITIONS.get(kind, kind)
            if name:
                names[kind, number] = name
            now[of_call + kind] = names[kind, number]
        elif line.startswith("calls="):
            counts.calls[now["cfn"]] += int(line.split()[0].removeprefix("calls="))
            called = True
        elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
            cost = int(line.split()[1])
            if called:
                counts.inclusive[now["fn"], now["cfn"]] += cost
            else:
                counts.total += cost
                own = OWN.search(now["fl"])
                if own and own[2] not in WAITS:
                    counts.own[own[1]] += cost
            called = False
    return counts

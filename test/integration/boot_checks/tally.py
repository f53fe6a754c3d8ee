# SPDX-License-Identifier: Apache-2.0
"""What was tried, and what came of it.

  tally.py FILE   the table of all that was recorded, with FAULTS_TABLE set to FILE
"""

import hashlib
import json
import os
import sys
import time
import traceback
from collections import Counter


class Lost(AssertionError):
    """Something that was there is gone, or is another."""


class SecondMaster(AssertionError):
    """Two wrote, or there are two authorities."""


# Missed: what was to go wrong did not come up, since the run took another course.
OUTCOMES = ("converged", "refused", "missed", "lost", "second", "other")


class Tally:
    """Counts the cases of one part, and shows what went wrong as it happens."""

    def __init__(self, part, again=""):
        """again: what makes a run that fails the same again, for whoever reads of it."""
        self.part, self.again = part, again
        self.count = Counter()
        self.began, self.took = time.monotonic(), 0

    @property
    def tried(self):
        return self.count.total()

    def attempt(self, name, case, *arguments):
        """Runs the case, which returns "converged", "refused" or "missed", or raises."""
        try:
            outcome = case(*arguments)
        except Exception as problem:
            outcome = {Lost: "lost", SecondMaster: "second"}.get(type(problem), "other")
            told = [f"{self.part}, {name}: {outcome} {self.again}", *traceback.format_exc().splitlines()]
            print("\n#   ".join(told).join(("# ", "\n")), end="", flush=True)  # at once: others print too
        self.add({outcome: 1})

    def add(self, count):
        """What was tried elsewhere: outcome to number."""
        self.count.update(count)
        self.took = time.monotonic() - self.began

    def is_good(self):
        return self.tried > self.count["missed"] and not (
            self.count["lost"] or self.count["second"] or self.count["other"])

    def row(self):
        return [self.part, self.tried, *(self.count[o] for o in OUTCOMES), f"{self.took:.0f} s"]


HEADER = ["", "tried", "converged", "refused rightly", "not met", "lost something", "second master",
          "otherwise wrong", "took"]


def record(tally):
    """For test/faults, which shows those of all tests in one table."""
    if "FAULTS_TABLE" in os.environ:
        with open(os.environ["FAULTS_TABLE"], "a", encoding="utf-8") as file:
            file.write(json.dumps(tally.row()) + "\n")


def table(rows):
    rows = [HEADER] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    return "\n".join("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths)))
                     for row in rows)


def some(cases, share, seed):
    """A share of the cases, another one for another seed. Each is drawn by its own name, so that one
    more or less of the others changes nothing."""
    def drawn(name):
        digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < share * 2 ** 64
    return [case for case in cases if drawn(case[0])]


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as recorded:
        print(table(map(json.loads, recorded)))

# SPDX-License-Identifier: Apache-2.0
"""What was tried, and what came of it."""

import random
import sys
import time
import traceback


class Lost(AssertionError):
    """Something that was there is gone, or is another."""


class SecondMaster(AssertionError):
    """Two wrote, or there are two authorities."""


OUTCOMES = ("converged", "refused", "lost", "second", "other")


class Tally:
    """Counts the cases of one part, and shows what went wrong as it happens."""

    def __init__(self, part):
        self.part, self.tried, self.missed = part, 0, 0
        self.count = dict.fromkeys(OUTCOMES, 0)
        self.began = time.monotonic()

    def attempt(self, name, case, *arguments):
        """Runs the case, which returns "converged" or "refused", or raises."""
        self.tried += 1
        try:
            outcome = case(*arguments)
        except Exception as problem:
            outcome = {Lost: "lost", SecondMaster: "second"}.get(type(problem), "other")
            print(f"# {self.part}, {name}: {outcome}", file=sys.stderr)
            for line in traceback.format_exc().splitlines():
                print(f"#   {line}", file=sys.stderr, flush=True)
        self.count[outcome] += 1
        return outcome

    def is_good(self):
        return self.tried > 0 and not (
            self.count["lost"] or self.count["second"] or self.count["other"])

    def row(self):
        return [self.part, self.tried, *(self.count[o] for o in OUTCOMES),
                f"{time.monotonic() - self.began:.0f} s"]


HEADER = ["", "tried", "converged", "refused rightly", "lost something", "second master",
          "otherwise wrong", "took"]


def table(tallies):
    rows = [HEADER] + [[str(cell) for cell in tally.row()] for tally in tallies]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    return "\n".join("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths)))
                     for row in rows)


def some(cases, share, seed):
    """A share of the cases, another one for another seed; all of them for 1."""
    cases = list(cases)
    if share >= 1:
        return cases
    wanted = max(1, round(len(cases) * share))
    chosen = sorted(random.Random(seed).sample(range(len(cases)), wanted))
    return [cases[i] for i in chosen]

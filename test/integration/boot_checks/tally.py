# SPDX-License-Identifier: Apache-2.0
"""What was tried, and what came of it.

  tally.py FILE           the table of all that was recorded, with FAULTS_TABLE set to FILE
  tally.py FILE DOCUMENT  puts it into DOCUMENT, between its two marks
"""

import datetime
import hashlib
import json
import os
import subprocess
import sys
import time
import traceback
from collections import Counter, defaultdict
from pathlib import Path


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
        self.scenes = defaultdict(Counter)  # of each, outcome to number
        self.told = defaultdict(list)  # of each, what was told of the cases that went wrong
        self.began, self.took = time.monotonic(), 0

    @property
    def count(self):
        return sum(self.scenes.values(), Counter())

    @property
    def tried(self):
        return self.count.total()

    def attempt(self, name, case, *arguments):
        """Runs the case, which returns "converged", "refused" or "missed", or raises. Its name begins with its
        scene's."""
        try:
            outcome = case(*arguments)
        except Exception as problem:
            outcome = {Lost: "lost", SecondMaster: "second"}.get(type(problem), "other")
            told = [f"{self.part}, {name}: {outcome} {self.again}", *traceback.format_exc().splitlines()]
            self.told[scene_of(name)].append("\n  ".join(told))
            print("\n#   ".join(told).join(("# ", "\n")), end="", flush=True)  # at once: others print too
        self.add({outcome: 1}, scene_of(name))

    def add(self, count, scene=""):
        """What was tried elsewhere: outcome to number."""
        self.scenes[scene].update(count)
        self.took = time.monotonic() - self.began

    def merge(self, other):
        for scene, count in other.scenes.items():
            self.add(count, scene)
            self.told[scene] += other.told[scene]

    def barely_met(self, scene):
        """Whether more than 1 % of its cases were missed (of few cases: more than one), or all."""
        count = self.scenes[scene]
        return count["missed"] > max(1, count.total() // 100) or count["missed"] == count.total()

    def wrong(self, scene):
        """What is wrong with its cases, in words."""
        count = self.scenes[scene]
        return self.told[scene] + [f"{scene}: {count['missed']} of {count.total()} not met"] * self.barely_met(scene)

    def is_good(self):
        wrong = self.count
        return self.tried and not (wrong["lost"] or wrong["second"] or wrong["other"]
                                   or any(self.barely_met(scene) for scene in self.scenes))

    def row(self):
        count = self.count
        return [self.part, self.tried, *(count[o] for o in OUTCOMES), f"{self.took:.0f} s"]


def scene_of(name):
    return name[0] if isinstance(name, tuple) else ""


HEADER = ["", "tried", "converged", "refused rightly", "not met", "lost something", "second master",
          "otherwise wrong", "took"]


BEGIN, END = "<!-- test/faults writes this: begin -->", "<!-- end -->"
TITLES = {  # in the order of the document's rows
    "disks": "disks: formats, their damage, single bytes", "power cuts": "disks as a power cut may leave them",
    "crashes": "killed at an effect, and run again", "takeovers": "killed while another waits to take over",
    "replies": "a reply spoiled", "races": "masters that race", "services": "killed while services come up",
}


def title_of(part):
    """Of a part, or of what was run of it alone: "PART, SCENE"."""
    name, _, scene = part.partition(", ")
    return TITLES.get(name, name) + (f": {scene}" if scene else "")


def place_of(title):
    """In the order of the document's rows."""
    order = list(TITLES.values())
    return next((i for i, known in enumerate(order) if title == known or title.startswith(f"{known}: ")), len(order))


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


def tried_of():
    """Of what a run's rows are: the commit, the day, and the share of the cases."""
    share = float(os.environ.get("SHARE", 1))
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], stdout=subprocess.PIPE, text=True,
                            check=True).stdout.strip()
    return f"{commit}, {datetime.date.today()}" + (f", a share of {share:g}" if share < 1 else "")


def markdown(rows, text=""):
    """The table for a document. `text` is the one that stands there: the rows of parts that were not run stay."""
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in text.splitlines()[2:] if line.startswith("| ")}
    for part, *cells in rows:
        title = title_of(part)
        lines[title] = " | ".join([f"| {title}", *(f"{cell:,}" if isinstance(cell, int) else cell for cell in cells),
                                   tried_of()]) + " |"
    header = [*HEADER, "commit, date"]
    return "\n".join(["| " + " | ".join(header).lstrip() + " |", "|---" * len(header) + "|",
                      *(lines[title] for title in sorted(lines, key=place_of))])


def write(rows, document):
    """In the place of what stands between the marks."""
    text = document.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    document.write_text(f"{before}{BEGIN}\n{markdown(rows, old.strip())}\n{END}{after}", encoding="utf-8")


def some(cases, share, seed):
    """A share of the cases, another one for another seed, and at least one of each scene. Each is drawn by its own
    name, so that one more or less of the others changes nothing."""
    def number(case):
        digest = hashlib.sha256(f"{seed} {case[0]}".encode()).digest()
        return int.from_bytes(digest[:8], "big")
    least = {}
    for case in cases:
        least[scene_of(case[0])] = min(least.get(scene_of(case[0]), case), case, key=number)
    return [case for case in cases if number(case) < share * 2 ** 64 or case is least[scene_of(case[0])]]


def main(file, document=None):
    rows = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]
    print(table(rows))
    if document:
        write(rows, Path(document))


if __name__ == "__main__":
    main(*sys.argv[1:])

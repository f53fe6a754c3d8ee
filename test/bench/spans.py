# SPDX-License-Identifier: Apache-2.0
"""What a boot spent its time on, from the times of its steps in `status --json`."""

import datetime
import re


def when(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def needs_of(steps, graph):
    """Step: the steps that it needs, of those in `steps`, from what `kube-bootstrap graph` prints."""
    needs = {name: [] for name in steps}
    for source, target in re.findall(r'"([^"]+)" -> "([^"]+)"', graph):
        if source in steps and target in steps:
            needs[target].append(source)
    return needs


def longest_chain(spans, needs, last="ready"):
    """The steps up to `last`, each needed by the next, that took longest together: [(name, seconds)].

    `spans` has when each step began and was done. A step that was looked at again is done late, when the
    next has long begun: it counts until then, so that no second counts twice.
    """
    def chain(name, until):
        begun, done = spans[name]
        before = max((chain(need, begun) for need in needs[name]), key=seconds, default=[])
        return [*before, (name, min(done, until) - begun)]

    return chain(last, spans[last][1])


def seconds(chain):
    return sum(took for _, took in chain)

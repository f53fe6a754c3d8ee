# SPDX-License-Identifier: Apache-2.0
"""The longest chain of made-up boots, by which test/bench/run says where the time goes."""

from spans import longest_chain, seconds

NEEDS = {"config": [], "volume": ["config"], "address": ["config"], "nodes": ["volume"],
         "ready": ["nodes", "address"]}
SPANS = {"config": (0, 1), "volume": (1, 8), "address": (1, 2), "nodes": (8, 10), "ready": (10, 12)}


def test_the_longest_chain_is_the_one_that_took_longest():
    assert longest_chain(SPANS, NEEDS) == [("config", 1), ("volume", 7), ("nodes", 2), ("ready", 2)]


def test_a_step_that_is_looked_at_again_while_the_next_waits_counts_until_that_began():
    again = longest_chain(SPANS | {"nodes": (8, 30), "ready": (10, 31)}, NEEDS)
    assert again == [("config", 1), ("volume", 7), ("nodes", 2), ("ready", 21)]


def test_time_between_steps_is_no_steps():
    late = longest_chain(SPANS | {"volume": (4, 8)}, NEEDS)
    assert seconds(late) == 9 and SPANS["ready"][1] == 12

# SPDX-License-Identifier: Apache-2.0
"""A format that is killed anywhere, or the mkfs that it runs, is taken up again. The cases mostly wait, so all that
were asked for are tried at the same time, in threads."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.needs_root
MIB = 200
CALLS_MAX = 400


def new_volume(blank, verb):
    disk = blank(MIB)
    if verb == "format-noise":
        disk.put_noise()
    return disk


def kill_until_written(disk, verb, call, first):
    """Kills at the first such call or one after it, each process counted by itself, until the disk is another than it
    was. Returns which call that was, and whether the format got through instead."""
    for number in range(first, CALLS_MAX):
        status = disk.tool(verb, KILL_AT=f"{call}:{number}").returncode
        if status == 0 or disk.blocks_written() != 0:
            return number, status == 0
    raise AssertionError(f"{call}: does not get through in the end")


def kill_at_each(blank, verb, call):
    """Returns at how many calls it was killed, and how the disks were found then."""
    number, through, found = 0, False, Counter()
    while not through:
        before = number
        with new_volume(blank, verb) as disk:
            number, through = kill_until_written(disk, verb, call, number + 1)
            found["untouched"] += number - before - 1
            said = disk.probe()
            content = said.partition(":")[0]
            found[content] += 1
            assert content in ("blank", "noise", "interrupted", "ours"), f"{call} {number}: not recognised: {said}"
            if content == "ours":
                disk.assert_whole()
            again = disk.tool(verb)
            assert again.returncode == 0, f"{call} {number}: not taken up again: {again}"
            disk.assert_whole()
    return number - 1, found


CASES = [("format", "openat"), ("format", "close"), ("format", "pwrite64"), ("format-noise", "pwrite64"),
         ("format", "fsync"), ("format", "fallocate")]


@pytest.fixture(scope="module")
def kills(request, blank):
    """By the case, what comes of it, which may still be under way."""
    wanted = [(item.callspec.params["verb"], item.callspec.params["call"]) for item in request.session.items
              if item.path == request.path and hasattr(item, "callspec")]
    with ThreadPoolExecutor(len(CASES)) as pool:
        yield {case: pool.submit(kill_at_each, blank, *case) for case in wanted}


@pytest.mark.usefixtures("kills")  # which begin with it
def test_mkfs_dies_with_a_format_that_is_killed(blank):
    """The tool alone is killed, in each write of its mkfs, which dies with it (PR_SET_PDEATHSIG)."""
    for number in range(2, CALLS_MAX):  # the first write is the marker
        with blank(MIB) as disk:
            status = disk.tool("format", KILL_AT=f"pwrite64:{number}:tool").returncode
            if status == 0:
                break
            said = disk.probe()
            assert said.startswith("interrupted:"), f"write {number}: {said}"
            assert disk.get(1024 + 0x38, 2) != b"\x53\xef", f"write {number}: mkfs went on to its last, the superblock"
            again = disk.format()
            assert again.returncode == 0, f"write {number}: not taken up again: {again}"
            disk.assert_whole()
    assert status == 0
    assert number - 2 >= 25


@pytest.mark.parametrize("verb, call", CASES)
def test_a_format_killed_at_each_call_is_recognised_and_taken_up_again(kills, verb, call):
    calls, found = kills[verb, call].result()
    print(f"killed at {calls} {call} calls; found", ", ".join(f"{content} {found[content]} times" for content in found))
    assert calls >= 2

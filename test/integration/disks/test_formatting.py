# SPDX-License-Identifier: Apache-2.0
"""Formatting, checking and growing on real loop devices: what is not proven blank, or known to be new, keeps every
byte."""

import contextlib
import os
import re
import subprocess
from pathlib import Path

import pytest

from disks.disk import MIB, run, some_volume

pytestmark = pytest.mark.needs_root


@contextlib.contextmanager
def mounted(what, point, *options):
    point.mkdir()
    run("mount", *options, what, point)
    try:
        yield point
    finally:
        run("umount", point)


def test_a_blank_volume_is_formatted_and_the_marker_is_gone(new_disk):
    disk = new_disk(300)
    assert disk.probe() == "blank: nothing"
    said = disk.format()
    assert said.returncode == 0, said
    disk.assert_whole()


def test_a_volume_that_is_ours_is_left_alone(new_disk):
    disk = new_disk(300)
    disk.format()
    disk.assert_whole()
    before = disk.digest()
    said = disk.format()
    assert said.returncode == 0, said
    assert disk.digest() == before


def test_a_volume_of_noise_that_is_known_to_be_new_is_formatted(new_disk):
    disk = new_disk(300)
    disk.put_noise()
    assert disk.probe() == "noise: random bytes from byte 0 on"
    said = disk.tool("format-noise")
    assert said.returncode == 0, said
    disk.assert_whole()


# Before it looks; after each write: marker and mkfs, what mkfs made and the marker's end.
@pytest.mark.parametrize("verb, expected", [
    ("format", "fsync pwrite64 fsync mkfs fsync pwrite64 fsync"),
    # also after the zeros at both ends
    ("format-noise", "fsync pwrite64 fsync pwrite64 fsync pwrite64 fsync mkfs fsync pwrite64 fsync"),
], ids=["format", "format-noise"])
def test_what_is_written_is_synced_before_the_next_step(new_disk, tmp_path, verb, expected):
    disk = new_disk(64)
    if verb == "format-noise":
        disk.put_noise()
    subprocess.run(["strace", "-f", "-qq", "-e", "signal=none", "-e", "trace=pwrite64,fsync,execve", "-o",
                    tmp_path / "calls", *disk.command(verb)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   check=False)
    calls = re.findall(r"^(\d+) +(\w+)\(", (tmp_path / "calls").read_text(encoding="utf-8"), re.M)
    tool = calls[0][0]
    made = ["mkfs" if call == "execve" else call for process, call in calls[1:] if process == tool or call == "execve"]
    assert " ".join(made) == expected


def test_a_volume_whose_end_cannot_be_read_is_an_error_not_blank(new_disk):
    disk = new_disk(64)
    disk.lose(8 * MIB)
    for said in (disk.probe(), disk.format().stdout):
        assert re.match("retry: .*read ", said), said


def test_a_mounted_volume_is_refused(new_disk, tmp_path):
    disk = new_disk(64)
    run("mkfs.ext4", "-q", "-L", "data", disk.node)
    with mounted(disk.node, tmp_path / "mnt"):
        said = disk.format()
    assert said.returncode != 0 and "in use" in said.stdout, said


def test_a_volume_that_another_program_has_locked_is_waited_for(new_disk, tmp_path):
    disk = new_disk(64)
    written = []
    said = disk.format_behind_lock(tmp_path / "calls", lambda: written.append(disk.blocks_written()))
    assert said.returncode == 0, said
    assert written == [0]
    disk.assert_whole()


def test_an_mkfs_that_fails_is_told_in_its_own_words(blank, tmp_path):
    with mounted("full", tmp_path / "full", "-t", "tmpfs", "-o", "size=1500k") as full, \
            blank(64, folder=full) as disk:  # writing to it fails before long
        said = disk.format()
    assert re.match(f"retry: mkfs.ext4 {disk.node}: exit status .*error", said.stdout, re.I | re.S), said


def test_another_volume_under_the_same_node_is_not_touched(new_disk):
    disk = new_disk(64)
    disk.volume = some_volume()
    said = disk.format()
    assert said.stdout == "absent\n", said
    assert disk.is_zero()


def test_a_filesystem_made_over_our_interrupted_one_is_refused(new_disk):
    disk = new_disk(200)
    disk.tool("format", KILL_AT="fallocate:1")
    said = disk.probe()
    assert said.startswith("interrupted: "), said
    run("mkfs.ext4", "-q", "-F", "-L", "data", "-E", "nodiscard", disk.node, "10000", stderr=subprocess.DEVNULL)
    disk.assert_refused("somebody's", 'foreign: ext4 labelled "data"')


def test_a_whole_filesystem_passes_the_check(new_disk):
    disk = new_disk(300)
    disk.format()
    said = disk.tool("check")
    assert said.returncode == 0, said


def test_errors_that_need_a_person_stop_the_boot(new_disk):
    disk = new_disk(300)
    disk.format()
    for request in ("clri <2>",  # the root folder
                    "ssv state 0"):  # not unmounted cleanly: e2fsck looks closely
        run("debugfs", "-w", "-R", request, disk.node, stderr=subprocess.DEVNULL)
    said = disk.tool("check")
    assert said.returncode != 0, said
    assert re.match("unsafe: e2fsck.*exit status 4", said.stdout, re.S), said


@pytest.fixture
def grown(new_disk):
    """Formatted with 300 MiB, and of 800 since."""
    disk = new_disk(300)
    disk.format()
    assert disk.tool("can-grow").stdout == "no\n"
    os.truncate(disk.image, 800 * MIB)
    run("losetup", "--set-capacity", disk.node)
    return disk


def test_a_volume_that_has_grown_is_noticed(grown):
    assert grown.tool("can-grow").stdout == "yes\n"


def test_a_mounted_filesystem_grows_to_its_device(grown, tmp_path):
    capabilities = re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(encoding="utf-8"), re.M)[1]
    if not int(capabilities, 16) >> 24 & 1:
        pytest.skip("ext4 wants CAP_SYS_RESOURCE for that")
    with mounted(grown.node, tmp_path / "mnt") as point:
        (point / "file").write_text("kept\n", encoding="utf-8")
        said = grown.tool("grow")
        assert said.returncode == 0, said
        assert grown.tool("can-grow").stdout == "no\n"
        assert (point / "file").read_text(encoding="utf-8") == "kept\n"

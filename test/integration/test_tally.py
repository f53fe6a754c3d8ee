# SPDX-License-Identifier: Apache-2.0
"""The table of what the fault scenes found (boot_checks/tally.py)."""

import datetime

import pytest

from boot_checks import tally

ROW = ["replies", 1234, 1000, 234, 0, 0, 0, 0, "60 s"]
OLD = ("| masters that race | 9 | 8 | 1 | 0 | 0 | 0 | 0 | 7 s | abc1234, 2020-01-02 |\n"
       "| a reply spoiled | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 5 s | abc1234, 2020-01-02 |\n")


@pytest.fixture
def document(tmp_path):
    file = tmp_path / "README.md"
    file.write_text(f"before\n{tally.BEGIN}\n| | head |\n|---|---|\n{OLD}{tally.END}\nafter\n")
    return file


def test_a_part_that_was_run_replaces_its_row_and_the_others_stay(document):
    tally.write([ROW], document)
    before, head, _, *rows, after = (line for line in document.read_text().splitlines() if not line.startswith("<!--"))
    assert (before, after) == ("before", "after")
    assert head.count("|") == rows[0].count("|") == rows[1].count("|")
    assert rows[0].startswith("| a reply spoiled | 1,234 | 1,000 | 234 | 0 | 0 | 0 | 0 | 60 s | ")
    assert rows[0].endswith(f", {datetime.date.today()} |") and "abc1234" not in rows[0]
    assert rows[1:] == OLD.splitlines()[:1]


def test_a_scene_that_was_run_alone_has_a_row_beside_its_parts(document):
    tally.write([["replies, node", *ROW[1:]], ["services, master, first", *ROW[1:]]], document)
    rows = [line for line in document.read_text().splitlines() if line.startswith("| ")][1:]
    assert [row.split(" | ")[0] for row in rows] == [
        "| a reply spoiled", "| a reply spoiled: node", "| masters that race",
        "| killed while services come up: master, first"]


def test_a_share_is_told(document, monkeypatch):
    monkeypatch.setenv("SHARE", "0.1")
    tally.write([ROW], document)
    assert f"{datetime.date.today()}, a share of 0.1 |" in document.read_text()


def test_what_was_written_is_read_again(document):
    tally.write([ROW], document)
    once = document.read_text()
    tally.write([ROW], document)
    assert document.read_text() == once

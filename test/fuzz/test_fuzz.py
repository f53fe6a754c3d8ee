# SPDX-License-Identifier: Apache-2.0
"""Runs every fuzz target for FUZZ_SECONDS (60) on its corpus, which is kept as it is: what is found new stays in
build/fuzz/out, and what a target crashes on in build/fuzz/crashes. How many inputs it took is shown with -rP.

  test/pytest -n 2 --dist worksteal test/fuzz
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = int(os.environ.get("FUZZ_SECONDS", 60))


@pytest.mark.timeout(SECONDS + 600)
@pytest.mark.parametrize("name", sorted(path.stem.removeprefix("fuzz_") for path in ROOT.glob("test/fuzz/fuzz_*.c")))
def test_no_input_is_fatal(name, build):
    program = build("fuzz", f"fuzz/fuzz_{name}")
    crashes, found = ROOT / "build/fuzz/crashes", ROOT / "build/fuzz/out" / name
    for folder in (crashes, found):
        folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [program, f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=1024", "-max_len=65536",
         "-print_final_stats=1", f"-artifact_prefix={crashes}/{name}-", found, f"test/fuzz/corpus/{name}"],
        cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        env=os.environ | {"ASAN_OPTIONS": "detect_leaks=1"})
    said = "\n".join(done.stdout.splitlines()[-40:])
    assert done.returncode == 0, said
    units = re.search(r"^stat::number_of_executed_units: *(\d+)", done.stdout, re.M)
    assert units and int(units[1]) > 0, said
    print(f"{units[1]} inputs in {SECONDS} s")

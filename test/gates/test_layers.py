# SPDX-License-Identifier: Apache-2.0
"""Layers only look down: main -> cli -> steps -> {engine, aws, cluster, config, host} -> base. Of the middle five
only aws uses another, and of host only host/http."""

import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "bootstrap"
INCLUDE = re.compile(r'^#include "([^"]+)"', re.M)
MIDDLE = {"engine", "aws", "cluster", "config", "host"}
MAY_INCLUDE = {
    "main.c": {"cli", "steps", *MIDDLE, "base"},
    "cli": {"cli", "steps", *MIDDLE, "base"},
    "steps": {"steps", *MIDDLE, "base"},
    "aws": {"aws", "host/http.h", "base"},
    **{layer: {layer, "base"} for layer in MIDDLE - {"aws"}},
    "base": {"base"},
}


def test_each_folder_is_a_layer():
    assert {path.name for path in SOURCES.iterdir() if path.name != "man"} == set(MAY_INCLUDE)


@pytest.mark.parametrize("layer", sorted(MAY_INCLUDE))
def test_a_layer_looks_only_down(layer):
    files = [path for path in [SOURCES / layer, *SOURCES.glob(f"{layer}/**/*")] if path.is_file()]
    included = {name for path in files for name in INCLUDE.findall(path.read_text(encoding="utf-8"))}
    assert included, f"{layer} includes nothing of the tree"
    assert not sorted(name for name in included if not MAY_INCLUDE[layer] & {name, name.partition("/")[0]})

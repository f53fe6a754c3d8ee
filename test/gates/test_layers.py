# SPDX-License-Identifier: Apache-2.0
"""Layers only look down: main -> cli -> steps -> {engine, aws, cluster, config, host} -> base. Of the middle five
only aws uses another, and of host only host/http. No file includes one that includes it, at whatever distance."""

import re
from graphlib import CycleError, TopologicalSorter
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
    assert {path.name for path in SOURCES.iterdir()} - {"man", "README.md"} == set(MAY_INCLUDE)


@pytest.mark.parametrize("layer", sorted(MAY_INCLUDE))
def test_a_layer_looks_only_down(layer):
    files = [path for path in [SOURCES / layer, *SOURCES.glob(f"{layer}/**/*")] if path.is_file()]
    included = {name for path in files for name in INCLUDE.findall(path.read_text(encoding="utf-8"))}
    assert included, f"{layer} includes nothing of the tree"
    assert not sorted(name for name in included if not MAY_INCLUDE[layer] & {name, name.partition("/")[0]})


def module(path):
    """A source and its headers are one; those that together read stack-config.sh, too."""
    name = re.sub(r"(_internal)?\.[ch]$", "", path)
    return "config/stack_config" if name in ("config/key_check", "config/networks") else name


def includes():
    """Of each module, those that it includes."""
    found = {}
    for path in SOURCES.glob("**/*.[ch]"):
        name = module(str(path.relative_to(SOURCES)))
        found.setdefault(name, set()).update(map(module, INCLUDE.findall(path.read_text(encoding="utf-8"))))
        found[name].discard(name)
    return found


def check_no_circle(graph):
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" <- ".join(error.args[1])) from None


def test_no_file_includes_itself_through_others():
    check_no_circle(includes())


def test_the_folders_of_steps_are_layers_too():
    wings = {}
    for name, included in includes().items():
        wing = name.split("/")[1] if re.match(r"steps/\w+/", name) else None
        if wing:
            wings.setdefault(wing, set()).update(
                other.split("/")[1] for other in included if re.match(r"steps/\w+/", other))
            wings[wing].discard(wing)
    assert wings
    check_no_circle(wings)

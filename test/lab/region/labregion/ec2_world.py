# SPDX-License-Identifier: Apache-2.0
"""What an EC2 action works with, and the list of actions the front answers by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .lifecycle import Lifecycle
from .mirror import Mirror
from .model import Region

Params = dict[str, Any]
Result = dict[str, Any]


@dataclass
class World:
    region: Region
    lifecycle: Lifecycle
    mirror: Mirror
    pass_on: Callable[[str], Result]  # sends the request in hand to moto, parses what it said


Action = Callable[[World, Params], Result]
ACTIONS: dict[str, Action] = {}


def action(name: str) -> Callable[[Action], Action]:
    """Registers the decorated function; it is called with the region locked."""
    def register(function: Action) -> Action:
        ACTIONS[name] = function
        return function
    return register

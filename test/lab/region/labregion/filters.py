# SPDX-License-Identifier: Apache-2.0
"""Filters and pages of the Describe actions."""

from __future__ import annotations

import base64
import binascii
import fnmatch
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from .errors import ApiError

T = TypeVar("T")
Values = Callable[[T], Iterable[object]]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def apply(items: Iterable[T], filters: list[dict[str, Any]] | None,
          known: dict[str, Values[T]], tags: Callable[[T], dict[str, str]]) -> list[T]:
    """The items that match every filter; a filter matches when any of its values does."""
    kept = list(items)
    for one in filters or []:
        name, wanted = one.get("Name", ""), one.get("Values", [])
        if not wanted:
            raise ApiError("InvalidParameterValue", f"The filter '{name}' has no values")
        if name.startswith("tag:"):
            key = name[4:]

            def values(item: T, key: str = key) -> Iterable[object]:
                return [tags(item)[key]] if key in tags(item) else []
        elif name == "tag-key":
            def values(item: T) -> Iterable[object]:  # type: ignore[misc]
                return tags(item).keys()
        elif name in known:
            values = known[name]  # type: ignore[assignment]
        else:
            raise ApiError("InvalidParameterValue", f"The filter '{name}' is invalid")
        kept = [item for item in kept
                if any(fnmatch.fnmatchcase(_text(v), w) for v in values(item) for w in wanted)]
    return kept


def page(items: list[T], params: dict[str, Any], ids: str) -> tuple[list[T], str | None]:
    """The page of items that params ask for, and the token of the next one."""
    limit = params.get("MaxResults")
    if limit is None and "NextToken" not in params:
        return items, None
    if params.get(ids):
        raise ApiError("InvalidParameterCombination",
                       f"The parameter {ids} cannot be used with the parameter MaxResults")
    if limit is not None and not 5 <= limit <= 1000:
        raise ApiError("InvalidParameterValue",
                       f"Value ( {limit} ) for parameter maxResults is invalid. "
                       "Expecting a value between 5 and 1000.")
    try:
        start = int(base64.b64decode(params.get("NextToken", "MA=="), validate=True))
    except (binascii.Error, ValueError):
        raise ApiError("InvalidParameterValue", "The token is invalid") from None
    end = start + (limit or 1000)
    token = base64.b64encode(str(end).encode()).decode() if end < len(items) else None
    return items[start:end], token


def tags_of(facts: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in facts.get("Tags") or facts.get("TagSet") or []}

# SPDX-License-Identifier: Apache-2.0
"""What EC2 refuses of tags.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .errors import ApiError


def _given(params: dict[str, Any]) -> Iterator[str]:
    for specification in [params, *params.get("TagSpecifications", [])]:
        for tag in specification.get("Tags", []):
            yield tag.get("Key", "")


def check(params: dict[str, Any]) -> None:
    """Refuses the keys that only AWS itself may set or remove, in CreateTags, DeleteTags and launches."""
    if any(key.lower().startswith("aws:") for key in _given(params)):
        raise ApiError("InvalidParameterValue",
                       "Tag keys starting with 'aws:' are reserved for internal use")

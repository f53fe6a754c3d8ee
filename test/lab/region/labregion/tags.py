# SPDX-License-Identifier: Apache-2.0
"""What EC2 refuses of tags.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .errors import ApiError


# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html: no space and no slash
_METADATA_KEY = re.compile(r"[0-9a-zA-Z\-_+=,.@:]{1,255}")
_RESERVED = (".", "..", "_index")


def _given(params: dict[str, Any]) -> Iterator[str]:
    for specification in [params, *params.get("TagSpecifications", [])]:
        for tag in specification.get("Tags", []):
            yield tag.get("Key", "")


def check(params: dict[str, Any]) -> None:
    """Refuses the keys that only AWS itself may set or remove, in CreateTags, DeleteTags and launches."""
    if any(key.lower().startswith("aws:") for key in _given(params)):
        raise ApiError("InvalidParameterValue",
                       "Tag keys starting with 'aws:' are reserved for internal use")


def check_metadata(params: dict[str, Any]) -> None:
    """Refuses a launch whose tags its metadata could not show as paths, where they are enabled there."""
    if (params.get("MetadataOptions") or {}).get("InstanceMetadataTags") != "enabled":
        return
    for specification in params.get("TagSpecifications", []):
        for tag in specification.get("Tags", []) if specification.get("ResourceType") == "instance" else ():
            if not _METADATA_KEY.fullmatch(tag["Key"]) or tag["Key"] in _RESERVED:
                raise ApiError("InvalidParameterValue",
                               f"'{tag['Key']}' is not a valid tag key. Tag keys must match pattern "
                               "([0-9a-zA-Z\\-_+=,.@:]{1,255}), and must not be a reserved name "
                               "('.', '..', '_index')")

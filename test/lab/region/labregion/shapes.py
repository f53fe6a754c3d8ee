# SPDX-License-Identifier: Apache-2.0
"""EC2's query protocol by AWS's own service model (botocore's): parameters in, XML out.

So an unknown or missing parameter is refused for every action, and a reply has the element names
that the real service uses.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import botocore.session
from botocore.model import ListShape, OperationModel, Shape, StructureShape

from .errors import XML_DECLARATION, ApiError

API_VERSION = "2016-11-15"
NAMESPACE = f"http://ec2.amazonaws.com/doc/{API_VERSION}/"


def read_form(body: bytes) -> dict[str, str]:
    """The form's pairs; a parameter given twice is refused, as nothing says which would count."""
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    form = dict(pairs)
    if len(form) != len(pairs):
        raise ApiError("InvalidParameterCombination", "A parameter is given more than once")
    return form


class Ec2Shapes:
    def __init__(self, session: botocore.session.Session) -> None:
        self._model = session.get_service_model("ec2")
        self._actions = frozenset(self._model.operation_names)

    def _operation(self, action: str) -> OperationModel:
        if action not in self._actions:
            raise ApiError("InvalidAction",
                           f"The action {action} is not valid for this web service.")
        return self._model.operation_model(action)

    def parse(self, form: dict[str, str]) -> dict[str, Any]:
        """The parameters of form, typed and nested as botocore names them."""
        action = form.get("Action", "")
        if not action:
            raise ApiError("MissingAction", "The request must contain the parameter Action")
        operation = self._operation(action)
        version = form.get("Version")
        if version is None:
            raise ApiError("MissingParameter", "The request must contain the parameter Version")
        if version != API_VERSION:
            raise ApiError("NoSuchVersion", f"The requested version ({version}) is not valid")
        left = {k: v for k, v in form.items() if k not in ("Action", "Version")}
        shape = operation.input_shape
        params = _structure(shape, "", left) if shape is not None else {}
        if left:
            raise ApiError("UnknownParameter",
                           f"The parameter {sorted(left)[0]} is not recognized")
        if shape is not None:
            for name in shape.required_members:
                if name not in params:
                    raise ApiError("MissingParameter",
                                   f"The request must contain the parameter {name}")
        return params

    def render(self, action: str, request_id: str, result: dict[str, Any]) -> bytes:
        shape = self._operation(action).output_shape
        # Actions without a result say <return>true</return>.
        inner = _xml(shape, result) if shape is not None else "<return>true</return>"
        return (f'{XML_DECLARATION}<{action}Response xmlns="{NAMESPACE}">'
                f"<requestId>{request_id}</requestId>{inner}</{action}Response>").encode()


def _query_name(name: str, shape: Shape) -> str:
    # The ec2 protocol's rule: queryName, else the location name with its first letter raised.
    serialization: dict[str, Any] = shape.serialization
    if "queryName" in serialization:
        return str(serialization["queryName"])
    location = str(serialization.get("name", name))
    return location[:1].upper() + location[1:]


def _structure(shape: StructureShape, prefix: str, left: dict[str, str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, member in shape.members.items():
        key = prefix + _query_name(name, member)
        if any(k == key or k.startswith(key + ".") for k in left):
            value = _value(member, key, left)
            if value is not None:
                result[name] = value
    return result


def _value(shape: Shape, key: str, left: dict[str, str]) -> Any:
    if isinstance(shape, StructureShape):
        return _structure(shape, key + ".", left)
    if isinstance(shape, ListShape):
        numbers = {k[len(key) + 1:].split(".")[0] for k in left if k.startswith(key + ".")}
        if not all(n.isdigit() and int(n) > 0 for n in numbers):
            raise ApiError("InvalidParameterValue", f"List {key} is not numbered from 1")
        return [_value(shape.member, f"{key}.{n}", left) for n in sorted(numbers, key=int)]
    text = left.pop(key, None)
    if text is None:
        return None
    if shape.type_name == "boolean":
        if text not in ("true", "false"):
            raise ApiError("InvalidParameterValue",
                           f"Invalid value '{text}' for {key}. Expected a boolean")
        return text == "true"
    if shape.type_name in ("integer", "long"):
        if not text.lstrip("-").isdigit():
            raise ApiError("InvalidParameterValue",
                           f"Invalid value '{text}' for {key}. Expected an integer")
        return int(text)
    return text


def _xml(shape: StructureShape, value: dict[str, Any]) -> str:
    parts = []
    for name, member in shape.members.items():
        item = value.get(name)
        if item is None:
            continue
        tag = member.serialization.get("name", name)
        parts.append(f"<{tag}>{_text(member, item)}</{tag}>")
    return "".join(parts)


def _text(shape: Shape, value: Any) -> str:
    if isinstance(shape, StructureShape):
        return _xml(shape, value)
    if isinstance(shape, ListShape):
        tag = shape.member.serialization.get("name", "item")
        return "".join(f"<{tag}>{_text(shape.member, item)}</{tag}>" for item in value)
    if shape.type_name == "boolean":
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return escape(str(value))

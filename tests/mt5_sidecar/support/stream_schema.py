# SPDX-License-Identifier: Apache-2.0
"""Holds what a stream says against /asyncapi.json: every message that any test sees."""

import json
from functools import cache
from typing import Any

import jsonschema_rs
import websockets.asyncio.client

from mt5_sidecar.api.operations import OPERATIONS
from mt5_sidecar.api.schemas.asyncapi import described_streams


class Undescribed(AssertionError):
    """The stream said what its document does not describe."""


class Checked(websockets.asyncio.client.ClientConnection):
    """A client that refuses what it was not told to expect."""

    async def recv(self, decode: bool | None = None) -> Any:  # noqa: FBT001  the library's
        text = await super().recv(decode)
        check(json.loads(text))
        return text


def check(message: dict[str, Any]) -> None:
    """Fail unless the document describes `message`, no field more and none less."""
    validator = validators().get(message["type"])
    if validator is None:
        raise Undescribed(f"no message of type {message['type']!r} is described")
    for error in validator.iter_errors(message):
        raise Undescribed(f"{message}: {error}")


@cache
def validators() -> dict[str, Any]:
    """Return what checks each message that a stream may say, by its type."""
    document = _closed(json.loads(described_streams(OPERATIONS)))
    components = document["components"]
    return {
        name.removeprefix("server."): jsonschema_rs.validator_for(
            {**message["payload"], "components": {"schemas": components["schemas"]}}
        )
        for name, message in components["messages"].items()
        if name.startswith("server.")
    }


def _closed(schema: Any) -> Any:
    """Return `schema` such that a field which it does not name is an error."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(part) for name, part in schema.items()}
    # A problem has more fields, by its type (docs/api.md).
    if (
        closed.get("type") == "object"
        and "properties" in closed
        and "detail" not in closed["properties"]
    ):
        closed.setdefault("additionalProperties", False)
    return closed

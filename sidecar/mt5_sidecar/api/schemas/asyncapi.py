# SPDX-License-Identifier: Apache-2.0
"""AsyncAPI 3.0 of the streams, from the types that decode what clients say and encode answers."""

from collections.abc import Iterable
from typing import Any, Final, get_args

import msgspec
from aiohttp import web

from mt5_sidecar import __version__
from mt5_sidecar.api import answers
from mt5_sidecar.api.answers import JSON
from mt5_sidecar.api.requests.operation import KEY_HEADER, Operation
from mt5_sidecar.api.schemas.document import Document
from mt5_sidecar.api.schemas.openapi import PROBLEM, QUERY, numbers
from mt5_sidecar.api.ws import commands, said
from mt5_sidecar.api.ws.subscriptions import Subscribed
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.domain.past_views import DealView
from mt5_sidecar.domain.views import Account, OrderView, PositionView, TickView
from mt5_sidecar.orders import Outcome
from mt5_sidecar.streams.status import Status

ASYNCAPI: Final = web.AppKey("asyncapi", Document)

_SCHEMAS: Final = "#/components/schemas/{name}"
ITEMS: Final[dict[str, Any]] = {
    "account_info": Account, "positions": PositionView, "orders": OrderView, "tick_data": TickView,
}  # fmt: skip
REMOVED: Final[dict[str, type]] = {"positions": int, "orders": int, "tick_data": str}
EVENTS: Final[dict[str, Any]] = {
    "status": Status, "deal": DealView, "order_outcome": Outcome, "broadcast": dict[str, Any],
}  # fmt: skip
"""What is never conflated: these messages have a number of their own, `event`."""
REPLIES: Final[dict[str, Any]] = {
    "welcome": said.Welcome, "heartbeat": said.Beat, "heartbeat_response": said.Echo,
    "health": answers.StreamHealth,
    "subscribe_response": Subscribed, "unsubscribe_response": Subscribed,
    "account_info_processed": answers.AccountAnswer, "positions_processed": answers.PositionsAnswer,
    "orders_processed": answers.OrdersAnswer, "tick_data_processed": answers.TicksAnswer,
    "trading_signal_executed": said.TradeTold, "mt5_command_result": said.CommandResult,
    "broadcast_response": said.Listeners,
}  # fmt: skip
"""What is said to one client; `id` is that of the message that it answers, or null."""
OTHERWISE: Final[dict[str, Any]] = {"trading_signal_executed": said.TradeFailed}
"""The other form that such an answer may have."""
ANSWERED: Final = {
    "heartbeat": "heartbeat_response", "subscribe": "subscribe_response",
    "unsubscribe": "unsubscribe_response", "account_info": "account_info_processed",
    "positions": "positions_processed", "orders": "orders_processed",
    "tick_data": "tick_data_processed", "trading_signal": "trading_signal_executed",
    "mt5_command": "mt5_command_result", "broadcast": "broadcast_response",
}  # fmt: skip

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer", "minimum": 0}
_ID: Final = {"type": ["string", "integer", "null"]}


async def asyncapi(request: web.Request) -> web.Response:
    """Answer with the description of the streams."""
    return web.Response(body=await request.app[ASYNCAPI].body(), content_type=JSON)


def described_streams(operations: Iterable[Operation]) -> bytes:
    """Return the document that describes the streams among `operations`."""
    incoming = {str(kind.__struct_config__.tag): kind for kind in get_args(commands.Incoming)}
    told_types = (*ITEMS.values(), *EVENTS.values(), *REPLIES.values(), *OTHERWISE.values())
    types = list(dict.fromkeys([*incoming.values(), *told_types]))
    found, components = msgspec.json.schema_components(types, ref_template=_SCHEMAS)
    refs = {id(kind): numbers(ref, ["number"]) for kind, ref in zip(types, found, strict=True)}
    told = _told({name: refs[id(kind)] for name, kind in ITEMS.items()}, refs)
    asked = {f"client.{tag}": refs[id(kind)] for tag, kind in incoming.items()}
    messages = {
        name: {"name": name.partition(".")[2], "payload": payload}
        for name, payload in (told | asked).items()
    }
    streams = {operation.path: operation for operation in operations if operation.websocket}
    return encode(
        {
            "asyncapi": "3.0.0",
            "info": {"title": "MT5 Bridge streams", "version": __version__},
            "defaultContentType": JSON,
            "channels": {_name(path): _channel(o, messages) for path, o in streams.items()},
            "operations": {
                key: operation
                for path in streams
                for key, operation in _operations(_name(path), told, incoming).items()
            },
            "components": {
                "messages": messages,
                "schemas": {**numbers(components, ["number"]), "Problem": PROBLEM},
                "securitySchemes": {
                    "apiKey": {"type": "httpApiKey", "in": "header", "name": KEY_HEADER},
                    "bearer": {"type": "http", "scheme": "bearer"},
                },
            },
        }
    )


def _told(items: dict[str, Any], refs: dict[int, Any]) -> dict[str, Any]:
    """Return the payloads of all that a stream says, by the name of their message."""
    events = {name: _message(name, refs[id(kind)], event=_NUMBER) for name, kind in EVENTS.items()}
    changes = {name: _message(name, _changes(name, ref)) for name, ref in items.items()}
    replies = {
        name: _reply(name, _either(refs[id(kind)], refs.get(id(OTHERWISE.get(name)))))
        for name, kind in REPLIES.items()
    }
    problem = {"$ref": _SCHEMAS.format(name="Problem")}
    one_of_each = {
        **changes, **events, **replies, "error": _reply("error", problem),
        "snapshot": _message("snapshot", _snapshot(items, refs[id(Status)])),
    }  # fmt: skip
    return {f"server.{name}": payload for name, payload in one_of_each.items()}


def _changes(channel: str, item: dict[str, Any]) -> dict[str, Any]:
    if channel not in REMOVED:
        return item
    key = {"type": "integer" if REMOVED[channel] is int else "string"}
    return _object(
        changed={"type": "array", "items": item}, removed={"type": "array", "items": key}
    )


def _snapshot(items: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    whole = {
        name: {"type": "array", "items": ref} if name in REMOVED else ref
        for name, ref in items.items()
    }
    # Of the channels only those that the client has, or that are new to it, and are known.
    return _object(**whole, status=status) | {"required": ["status"]}


def _message(type_: str, data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return _object(type={"const": type_}, timestamp=_TEXT, seq=_NUMBER, **more, data=data)


def _reply(type_: str, data: dict[str, Any]) -> dict[str, Any]:
    return _object(type={"const": type_}, timestamp=_TEXT, id=_ID, data=data)


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": [*properties], "properties": properties}


def _either(schema: dict[str, Any], other: dict[str, Any] | None) -> dict[str, Any]:
    return schema if other is None else {"anyOf": [schema, other]}


def _name(path: str) -> str:
    return path.strip("/").replace("/", "_")


def _channel(operation: Operation, messages: Iterable[str]) -> dict[str, Any]:
    query = {name: QUERY[name]["schema"] for name in operation.query}
    return {
        "address": operation.path,
        "summary": operation.summary,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"ws": {"method": "GET", "query": {"type": "object", "properties": query}}},
    }


def _operations(channel: str, told: Iterable[str], asked: Iterable[str]) -> dict[str, Any]:
    """Return what is sent there, and what is heard, each with its answer; from our side."""
    here = {"$ref": f"#/channels/{channel}"}
    security = [{"$ref": f"#/components/securitySchemes/{name}"} for name in ("apiKey", "bearer")]
    tells = {
        "action": "send", "channel": here, "security": security,
        "messages": [_in_channel(channel, name) for name in told],
    }  # fmt: skip
    hears = {
        f"{channel}.hear_{tag}": {
            "action": "receive",
            "channel": here,
            "messages": [_in_channel(channel, f"client.{tag}")],
            **_replied(channel, tag),
        }
        for tag in asked
    }
    return {f"{channel}.tell": tells, **hears}


def _replied(channel: str, tag: str) -> dict[str, Any]:
    if tag not in ANSWERED:
        return {}
    names = (f"server.{ANSWERED[tag]}", "server.error")
    reply = {"messages": [_in_channel(channel, name) for name in names]}
    return {"reply": {"channel": {"$ref": f"#/channels/{channel}"}, **reply}}


def _in_channel(channel: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{channel}/messages/{name}"}

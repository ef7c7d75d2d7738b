# SPDX-License-Identifier: Apache-2.0
"""OpenAPI 3.1, from the table of operations and the types that encode the answers."""

import re
from collections.abc import Container, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, get_args

import msgspec
from aiohttp import web

from mt5_sidecar import __version__
from mt5_sidecar.api.answers import JSON
from mt5_sidecar.api.reads.history import LARGEST_PAGE
from mt5_sidecar.api.reads.period import MOST_DAYS
from mt5_sidecar.api.reads.rates import MOST_BARS
from mt5_sidecar.api.reads.symbol_search import LONGEST_WORDS
from mt5_sidecar.api.requests.operation import KEY_HEADER, Operation
from mt5_sidecar.api.requests.problems import CONTENT_TYPE
from mt5_sidecar.api.schemas.document import Document
from mt5_sidecar.api.trading.asks import MOST_TICKET
from mt5_sidecar.api.ws.subscriptions import MOST_INTERVAL_MS
from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.domain.names import TIMEFRAMES
from mt5_sidecar.orders.outcomes import Word

KEY_PATTERN: Final = "^[!-~]{1,128}$"

OPENAPI: Final = web.AppKey("openapi", Document)

_PLACE: Final = "One account. Behind the router each path begins with /accounts/{id}."

SCHEMAS: Final = "#/components/schemas/{name}"


def _whole(most: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": most}


_MOMENT: Final = {"type": "string", "examples": ["2026-11-21T10:00:00Z", "1795255200"]}
_CURSOR: Final = {"type": "string"}
_WORDS: Final = {"type": "string", "maxLength": LONGEST_WORDS}
_SYMBOL: Final = {"type": "string", "pattern": "^[^,]+$", "maxLength": 29, "examples": ["EURUSD"]}

QUERY: Final[dict[str, dict[str, Any]]] = {
    "fields": {
        "description": "comma-separated: only these of the account, or of each item",
        "schema": {"type": "string", "minLength": 1},
    },
    "max_age": {"description": "seconds: 503 if older", "schema": {"type": "number", "minimum": 0}},
    "symbols": {
        "description": "comma-separated; empty: all that are watched",
        "schema": {"type": "string", "examples": ["EURUSD,XAUUSD"]},
    },
    "symbol": {"description": "its name", "required": True, "schema": _SYMBOL},
    "timeframe": {"description": "M1 (default) to MN1", "schema": {"enum": [*TIMEFRAMES]}},
    "count": {"description": "last bars; 100", "schema": _whole(MOST_BARS)},
    "days": {"description": "the last days; 7", "schema": _whole(MOST_DAYS)},
    "from": {"description": "UTC: RFC 3339 or epoch seconds", "schema": _MOMENT},
    "to": {"description": "likewise; now", "schema": _MOMENT},
    "limit": {"description": "of one page", "schema": _whole(LARGEST_PAGE)},
    "cursor": {"description": "of the page before", "schema": _CURSOR},
    "q": {"description": "a part of name or description", "schema": _WORDS},
    "group": {"description": "the package's patterns: *USD*,!EUR*", "schema": _WORDS},
    "volume": {
        "description": "lots; all of it where it is not named",
        "schema": {"type": "number", "minimum": 0},
    },
    "channels": {"description": "comma-separated", "schema": {"type": "string"}},
    "interval_ms": {
        "description": "least time between two flushes; 0 is every change",
        "schema": {"type": "integer", "minimum": 0, "maximum": MOST_INTERVAL_MS},
    },
    "epoch": {"description": "resume: from the welcome", "schema": {"type": "string"}},
    "seq": {
        "description": "resume: of the last message",
        "schema": {"type": "integer", "minimum": 0, "maximum": 999999999999999},
    },
}
_PATH: Final[dict[str, dict[str, Any]]] = {
    "symbol": _SYMBOL,
    "ticket": {"type": "integer", "minimum": 1, "maximum": MOST_TICKET},
    "key": {"type": "string", "pattern": KEY_PATTERN},
}

_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "required, unless the body has client_order_id: one trade, one key; the same "
    "again where no answer came",
    "schema": {"type": "string", "pattern": KEY_PATTERN},
}
_ALSO_IN_BODY: Final = {
    "client_order_id": {
        "type": ["string", "null"],
        "pattern": KEY_PATTERN,
        "description": "instead of Idempotency-Key",
    },
    "account_id": {"type": ["string", "integer"], "description": "refused unless it is this one"},
}

_FAULT: Final = "a fault of ours"
_FAULT_AMID_A_TRADE: Final = "a fault of ours; it may have been sent: send the same key again"

_NAMES: Final = {"type": "array", "items": {"type": "string"}}
# Of a trade that ended otherwise, whose problem has its whole outcome, some are null.
PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "description": "RFC 9457. Each type has some of the others; order-refused, order-not-sent and "
    "outcome-unknowable have all that an Outcome has",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "reason": {"type": "string", "description": "of the account's state, or of an outcome"},
        "since": {"type": "string", "description": "UTC: for how long the account is in it"},
        "code": {"type": "integer", "description": "the package's last_error"},
        "retcode": {"type": ["integer", "null"], "description": "the broker's, of a trade"},
        "retcode_name": {"type": ["string", "null"]},
        "outcome": {"enum": [*get_args(Word)]},
        "key": {"type": "string", "description": "the trade's"},
        "candidates": {
            "type": "array",
            "items": {"type": "integer"},
            "description": "the orders that it could be",
        },
        "other_key": {"type": "string", "description": "of the trade that is just like this"},
        "ticket": {"type": "integer", "description": "of the target that is not there"},
        "epoch": {"type": "integer", "description": "of the slot that may not trade"},
        "limit": {"type": "string", "description": "which one"},
        "value": {"type": ["number", "string"], "description": "what was asked for"},
        "allowed": {"type": ["number", "string"], "description": "what the limit takes"},
        "symbol": {"type": "string"},
        "field": {"type": "string", "description": "of the body"},
        "origin": {"type": "string", "description": "of the page"},
        "fields": {**_NAMES, "description": "those that there are"},
        "parameters": {**_NAMES, "description": "those that may be in this query"},
        "params": {**_NAMES, "description": "those that the command takes"},
        "allow": {**_NAMES, "description": "methods"},
        "retry_after_s": {"type": "number", "description": "seconds, as Retry-After"},
        "request_id": {"type": "string"},
    },
}

_TEXT: Final = {"schema": {"type": "string"}}
_SECONDS: Final = {"schema": {"type": "integer", "minimum": 0}}
_REQUEST_ID: Final = {"X-Request-Id": {"description": "yours, or one of ours", **_TEXT}}
_ETAG: Final = {"ETag": {"description": "for If-None-Match; not of named symbols", **_TEXT}}
_RETRY_AFTER: Final = {"Retry-After": {"description": "seconds", **_SECONDS}}
_WAITING: Final = {"Retry-After": {"description": "seconds, where waiting helps", **_SECONDS}}
_LOCATION: Final = {
    "Location": {"description": "where the outcome will be, relative to this path", **_TEXT}
}
_HEADERS: Final[dict[HTTPStatus, dict[str, Any]]] = {
    HTTPStatus.ACCEPTED: {**_LOCATION, **_RETRY_AFTER},
    HTTPStatus.NOT_MODIFIED: _ETAG,
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": _TEXT},
    HTTPStatus.CONFLICT: _WAITING,
    HTTPStatus.TOO_MANY_REQUESTS: _RETRY_AFTER,
    HTTPStatus.SERVICE_UNAVAILABLE: _RETRY_AFTER,
}


async def openapi(request: web.Request) -> web.Response:
    """Answer with the description of this API."""
    return web.Response(body=await request.app[OPENAPI].body(), content_type=JSON)


def described(operations: Iterable[Operation]) -> bytes:
    """Return the document that describes `operations`."""
    known = tuple(operations)
    types = list(dict.fromkeys(t for o in known for t in (o.answers, o.accepts) if t is not None))
    schemas, components = msgspec.json.schema_components(types, ref_template=SCHEMAS)
    components = _described(components, taken={o.accepts.__name__ for o in known if o.accepts})
    refs = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in known:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _path(operation, refs)
    return encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "MT5 Bridge sidecar", "version": __version__, "description": _PLACE},
            "paths": paths,
            "components": {
                "schemas": {**components, "Problem": PROBLEM},
                "securitySchemes": {
                    "apiKey": {"type": "apiKey", "in": "header", "name": KEY_HEADER},
                    "bearer": {"type": "http", "scheme": "bearer"},
                },
            },
        }
    )


def _path(operation: Operation, refs: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    scope = operation.scope
    body = refs.get(operation.accepts)
    return {
        "summary": operation.summary,
        "description": "" if scope is None else f"Needs scope `{scope.value}`.",
        "security": [] if scope is None else [{"apiKey": []}, {"bearer": []}],
        "parameters": [
            *_in_path(operation.path),
            *_in_query(operation.query),
            *([_KEY] if operation.keyed else ()),
        ],
        **({} if body is None else {"requestBody": _body(operation, body)}),
        "responses": _answers(operation, refs.get(operation.answers)),
    }


def _answers(operation: Operation, schema: dict[str, Any] | None) -> dict[str, Any]:
    answers: dict[str, Any] = {
        str(status.value): _refusal(status) for status in sorted(operation.statuses)
    }
    if operation.websocket:
        answers["101"] = {"description": "the stream begins: /asyncapi.json"}
    else:
        kept = HTTPStatus.NOT_MODIFIED in operation.statuses
        answers["200"] = _answer("OK", schema, _ETAG if kept else {})
        if operation.keyed:
            headers = _HEADERS[HTTPStatus.ACCEPTED]
            answers["202"] = _answer("not known yet; see Location", schema, headers)
    return answers | {"default": _problem(_FAULT_AMID_A_TRADE if operation.keyed else _FAULT, {})}


def _answer(
    description: str, schema: dict[str, Any] | None, headers: dict[str, Any]
) -> dict[str, Any]:
    content = {JSON: {"schema": schema or {"type": "object"}}}
    return {"description": description, "headers": _REQUEST_ID | headers, "content": content}


def _refusal(status: HTTPStatus) -> dict[str, Any]:
    headers = _HEADERS.get(status, {})
    # What has not changed has no body, and is no problem.
    if status is HTTPStatus.NOT_MODIFIED:
        return {"description": status.phrase, "headers": _REQUEST_ID | headers}
    return _problem(status.phrase, headers)


def _body(operation: Operation, schema: dict[str, Any]) -> dict[str, Any]:
    # Nothing needs to be said to close or cancel.
    return {"required": operation.method != "DELETE", "content": {JSON: {"schema": schema}}}


def _described(components: dict[str, Any], *, taken: Container[str]) -> dict[str, Any]:
    """Return schemas of what we answer, and of what we take: numbers as text too, and who asks."""
    return {
        name: _taken(schema) if name in taken else numbers(schema, ["number"])
        for name, schema in components.items()
    }


def _taken(schema: dict[str, Any]) -> dict[str, Any]:
    wide: dict[str, Any] = numbers(schema, ["number", "string"])
    return wide | {"properties": wide["properties"] | _ALSO_IN_BODY}


def numbers(schema: Any, types: list[str]) -> Any:
    """Return `schema` with decimals described as `types`, which is how they are encoded."""
    # msgspec describes decimals as text, which is how it encodes them unless told otherwise.
    if isinstance(schema, list):
        return [numbers(part, types) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        return {"type": types[0] if len(types) == 1 else types}
    return {name: numbers(part, types) for name, part in schema.items()}


def _problem(description: str, headers: dict[str, Any]) -> dict[str, Any]:
    content = {CONTENT_TYPE: {"schema": {"$ref": SCHEMAS.format(name="Problem")}}}
    return {"description": description, "headers": _REQUEST_ID | headers, "content": content}


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATH[name]}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _in_query(names: Iterable[str]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "required": False, **QUERY[name]} for name in names]

# SPDX-License-Identifier: Apache-2.0
"""OpenAPI 3.1, from the table of operations and the types that encode the answers."""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from aiohttp import web

from mt5_sidecar import __version__
from mt5_sidecar.api.operation import KEY_HEADER, Operation
from mt5_sidecar.api.problems import CONTENT_TYPE
from mt5_sidecar.api.status import JSON
from mt5_sidecar.domain.encoding import encode

OPENAPI: Final = web.AppKey("openapi", bytes)

SCHEMAS: Final = "#/components/schemas/{name}"

_QUERY: Final[dict[str, dict[str, Any]]] = {
    "max_age": {"description": "seconds: 503 if older", "schema": {"type": "number", "minimum": 0}},
    "symbols": {"description": "comma-separated", "schema": {"type": "string", "minLength": 1}},
    "channels": {"description": "comma-separated", "schema": {"type": "string"}},
    "interval_ms": {
        "description": "least time between two flushes; 0 is every change",
        "schema": {"type": "integer", "minimum": 0, "maximum": 60000},
    },
    "epoch": {"description": "resume: from the welcome", "schema": {"type": "string"}},
    "seq": {
        "description": "resume: of the last message",
        "schema": {"type": "integer", "minimum": 0, "maximum": 999999999999999},
    },
}

_PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}


async def openapi(request: web.Request) -> web.Response:
    """Answer with the description of this API."""
    return web.Response(body=request.app[OPENAPI], content_type=JSON)


def described(operations: Iterable[Operation]) -> bytes:
    """Return the document that describes `operations`."""
    known = tuple(operations)
    types = [o.answers for o in known if o.answers is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template=SCHEMAS)
    components = _numbers(components)
    answers = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in known:
        schema = answers.get(operation.answers)
        paths.setdefault(operation.path, {})[operation.method.lower()] = _path(operation, schema)
    return encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "MT5 Bridge sidecar", "version": __version__},
            "paths": paths,
            "components": {
                "schemas": {**components, "Problem": _PROBLEM},
                "securitySchemes": {
                    "apiKey": {"type": "apiKey", "in": "header", "name": KEY_HEADER},
                    "bearer": {"type": "http", "scheme": "bearer"},
                },
            },
        }
    )


def _path(operation: Operation, schema: dict[str, Any] | None) -> dict[str, Any]:
    scope = operation.scope
    answers: dict[str, Any] = {"default": _problem()}
    if operation.websocket:
        answers["101"] = {"description": "the stream begins (docs/api.md)"}
    elif schema is not None:
        answers["200"] = {"description": "OK", "content": {JSON: {"schema": schema}}}
    return {
        "summary": operation.summary,
        "description": "" if scope is None else f"Needs scope `{scope.value}`.",
        "security": [] if scope is None else [{"apiKey": []}, {"bearer": []}],
        "parameters": [*_in_path(operation.path), *_in_query(operation.query)],
        "responses": answers,
    }


def _numbers(schema: Any) -> Any:
    # msgspec describes decimals as text, which is how it encodes them unless told otherwise.
    if isinstance(schema, list):
        return [_numbers(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        return schema | {"type": "number"}
    return {name: _numbers(part) for name, part in schema.items()}


def _problem() -> dict[str, Any]:
    schema = {"$ref": SCHEMAS.format(name="Problem")}
    return {"description": "a problem (RFC 9457)", "content": {CONTENT_TYPE: {"schema": schema}}}


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _in_query(names: Iterable[str]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "required": False, **_QUERY[name]} for name in names]

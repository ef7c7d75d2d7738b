# SPDX-License-Identifier: Apache-2.0
"""Turn a pydantic model into a Kubernetes structural schema: no references, no null types."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]

_DROPPED: Final = {"title", "$defs", "additionalProperties"}


def structural(model: type[BaseModel]) -> Schema:
    """Return the structural schema of `model`."""
    schema = model.model_json_schema(by_alias=True)
    return _structural(schema, schema.get("$defs", {}))


def _structural(node: Schema, definitions: Schema) -> Schema:
    node = _without_null(_resolved(node, definitions))
    node = _resolved(node, definitions)
    kept = {key: value for key, value in node.items() if key not in _DROPPED}
    if "properties" in kept:
        kept["properties"] = {
            name: _structural(child, definitions) for name, child in kept["properties"].items()
        }
    if "items" in kept:
        kept["items"] = _structural(kept["items"], definitions)
    return _in_order(_kubernetes(kept))


def _resolved(node: Schema, definitions: Schema) -> Schema:
    if "$ref" not in node:
        return node
    target = definitions[node["$ref"].rpartition("/")[2]]
    rest = {key: value for key, value in node.items() if key != "$ref"}
    return {**target, **rest}


def _without_null(node: Schema) -> Schema:
    if "anyOf" not in node:
        return node
    (inner,) = [choice for choice in node["anyOf"] if choice.get("type") != "null"]
    return {**inner, **{key: value for key, value in node.items() if key != "anyOf"}}


def _kubernetes(node: Schema) -> Schema:
    if node.get("type", "") is None or "x-kubernetes-int-or-string" in node:
        del node["type"]
    if node.get("default", "") is None:
        del node["default"]
    if node.get("default") and node.get("type") == "object":
        node["default"] = {}  # the defaults of the properties fill it
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    return node


def _in_order(node: Schema) -> Schema:
    first = ("description", "type", "format", "enum", "default", "required", "properties")
    return {key: node[key] for key in (*first, *node) if key in node}

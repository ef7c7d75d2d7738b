# SPDX-License-Identifier: Apache-2.0
"""Validation rules that the API server evaluates."""

from __future__ import annotations

from pydantic import JsonValue


def rule(expression: str, message: str, *, field: str = "") -> JsonValue:
    """Return a CEL rule whose `message` tells a person what to do."""
    place: dict[str, JsonValue] = {"fieldPath": field} if field else {}
    return {"rule": expression, "message": message, **place}

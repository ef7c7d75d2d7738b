# SPDX-License-Identifier: Apache-2.0
"""Write quantities as the API server does, so that what we ask for equals what we read back.

Source: apimachinery pkg/api/resource/quantity.go, "canonical form".
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL: Final = {"n": -3, "u": -2, "m": -1, "": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_PARTS: Final = re.compile(r"^([0-9.]+)([KMGTPE]i|[numkMGTPE])?$")
_EXPONENT: Final = re.compile(r"^[0-9.]+[eE][+-]?[0-9]+$")


def canonical(text: str) -> str:
    """Return `text` with the largest suffix that leaves no fraction; exponents stay as they are."""
    if _EXPONENT.match(text):
        return text
    match = _PARTS.match(text)
    if match is None:
        return text
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _BINARY:
        return _binary(number * 1024 ** _BINARY[suffix])
    return _decimal(number.scaleb(3 * _DECIMAL[suffix]))


def in_bytes(text: str) -> int:
    """Return how many bytes `text` stands for, in whichever form it is written; 0 for none."""
    if _EXPONENT.match(text):
        return int(Decimal(text))
    match = _PARTS.match(text)
    return int(_value(Decimal(match[1]), match[2] or "")) if match else 0


def total(*amounts: str) -> str:
    """Return the sum of quantities; the server's canonical form is left to `canonical`."""
    parts = [match for text in amounts if (match := _PARTS.match(text))]
    binary = any((part[2] or "") in _BINARY for part in parts)
    value = sum((_value(Decimal(part[1]), part[2] or "") for part in parts), Decimal(0))
    return _binary(value) if binary else _decimal(value)


def _value(number: Decimal, suffix: str) -> Decimal:
    if suffix in _BINARY:
        return number * Decimal(1024) ** _BINARY[suffix]
    return number.scaleb(3 * _DECIMAL[suffix])


def _binary(value: Decimal) -> str:
    if value != value.to_integral_value():
        return _decimal(value)
    for suffix, power in reversed(_BINARY.items()):
        if value and value % 1024**power == 0:
            return f"{value // 1024**power}{suffix}"
    return str(int(value))


def _decimal(value: Decimal) -> str:
    for suffix, power in reversed(_DECIMAL.items()):
        scaled = value.scaleb(-3 * power)
        if value and scaled == scaled.to_integral_value():
            return f"{int(scaled)}{suffix}"
    return "0"

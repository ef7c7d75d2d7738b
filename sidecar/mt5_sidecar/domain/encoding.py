# SPDX-License-Identifier: Apache-2.0
"""The one JSON encoder: decimals are numbers, with their digits."""

from typing import Any, Final

import msgspec

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def encode(value: Any) -> bytes:
    """Return `value` as JSON."""
    return _ENCODER.encode(value)

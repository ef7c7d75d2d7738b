# SPDX-License-Identifier: Apache-2.0
"""Floats of the package to decimals with the digits that their symbol or currency has."""

import math
from decimal import Decimal
from functools import lru_cache

# Encoded as a JSON number, with its digits (domain.encoding).
Number = Decimal

# More digits than any symbol has; cuts off what binary floats add (0.30000000000000004).
MOST_DIGITS = 8


def fixed(value: float, digits: int) -> Decimal | None:
    """Return `value` with exactly `digits` decimals; None for infinity and not-a-number."""
    # Minus zero is zero: the two are one key to the cache, and no price.
    return _fixed(value + 0.0, digits)


# Of a position that moves, two numbers of seven do: the others were made at the look before.
@lru_cache(maxsize=2048)
def _fixed(value: float, digits: int) -> Decimal | None:
    if not math.isfinite(value):
        return None
    # A terminal that says what cannot be a number of digits must not spoil the whole snapshot.
    return Decimal(f"{value:.{min(max(digits, 0), MOST_DIGITS)}f}")


def plain(value: float) -> Decimal | None:
    """Return `value` with as many decimals as it needs, for when its digits are not known."""
    return fixed(value, digits_of(value)) if math.isfinite(value) else None


@lru_cache(maxsize=4096)
def digits_of(step: float) -> int:
    """Return how many decimals a step such as 0.01 has."""
    return len(f"{step:.{MOST_DIGITS}f}".rstrip("0").partition(".")[2])

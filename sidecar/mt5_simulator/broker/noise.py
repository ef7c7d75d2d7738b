# SPDX-License-Identifier: Apache-2.0
"""Repeatable randomness: each number is a hash of its name, so nothing has to be remembered."""

import zlib
from typing import Final

_MASK: Final = (1 << 64) - 1


def mixed(*parts: int) -> int:
    """Return 64 bits that depend on every one of `parts`.

    Source: the finaliser of splitmix64 (Steele, Lea, Flood 2014).
    """
    state = 0x9E3779B97F4A7C15
    for part in parts:
        state = (state ^ (part & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


def share(*parts: int) -> float:
    """Return a number in [0, 1) that depends on every one of `parts`."""
    return mixed(*parts) / (1 << 64)


def seed_of(text: str) -> int:
    """Return a seed that is the same for `text` on every machine."""
    return zlib.crc32(text.encode())


def wave(seed: int, position: float) -> float:
    """Return smooth noise in (-1, 1): random at whole positions, interpolated between."""
    whole = int(position // 1)
    part = position - whole
    bend = part * part * (3 - 2 * part)
    left = 2 * share(seed, whole) - 1
    right = 2 * share(seed, whole + 1) - 1
    return left + (right - left) * bend

# SPDX-License-Identifier: Apache-2.0
"""Keep thousands of texts that are nearly the same: each as what it differs by from one of them.

Objects of a kind differ by names, ids and times, so that deflate with another one as its
dictionary leaves a twentieth. To unpack one takes as long as to decode its JSON.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

# Raw deflate, and tables for a window of 8 KiB: larger ones cost more to set up than they save.
_LEVEL: Final = 6
_WINDOW: Final = -13
_MEMORY: Final = 5
# How often a text that is like none before may become what later ones are compared with.
_LIKES: Final = 8


class Packed(NamedTuple):
    """What a text differs by from another one, and that one."""

    rest: bytes
    like: bytes

    def text(self) -> bytes:
        """Return the text."""
        unpacker = zlib.decompressobj(_WINDOW, zdict=self.like)
        return unpacker.decompress(self.rest)


class Packer:
    """Packs the texts of one kind."""

    def __init__(self) -> None:
        self._like = b""
        self._left = _LIKES

    def pack(self, text: bytes) -> Packed:
        """Return `text` in little memory."""
        packed = self._packed(text)
        if len(packed.rest) * 4 > len(text) and self._left:
            self._left -= 1
            self._like = text
            packed = self._packed(text)
        return packed

    def _packed(self, text: bytes) -> Packed:
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zdict=self._like)
        return Packed(packer.compress(text) + packer.flush(), self._like)

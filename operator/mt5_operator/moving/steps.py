# SPDX-License-Identifier: Apache-2.0
"""What is done next. Each step is one write or one call; a crash may come after any of them."""

from __future__ import annotations

from dataclasses import dataclass

from mt5_operator.spec.status import LastMove, Move, Trader


@dataclass(frozen=True)
class Wait:
    """Nothing can be done now: `why` is for people; look again at `until_s`, if it is given."""

    why: str = ""
    until_s: float | None = None


@dataclass(frozen=True)
class SetTrader:
    """Write down who may trade from now on."""

    trader: Trader


@dataclass(frozen=True)
class SetMove:
    """Write down how far the move is; None: there is none any more, and `last` says why."""

    move: Move | None
    last: LastMove | None = None


@dataclass(frozen=True)
class Fence:
    """Tell a slot to trade no more; it answers when its last trade is on disk.

    A slot that was never told of `epoch` is activated in it first: an activation that is still on
    its way would otherwise arrive after the fence, and be taken.
    """

    slot: str
    epoch: int


@dataclass(frozen=True)
class TakeOver:
    """Give the keys of `source`, if there is one, to `slot`, then let `slot` trade."""

    slot: str
    epoch: int
    source: str | None = None


@dataclass(frozen=True)
class Confirm:
    """Ask the API server whether the trader's pod is gone for certain; a cache may be behind."""

    trader: Trader


Step = Wait | SetTrader | SetMove | Fence | TakeOver | Confirm

# SPDX-License-Identifier: Apache-2.0
"""Every knob of the order core, with unit, default and consequence."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSettings:
    """Given by the sidecar's own settings; the defaults are safe for any broker."""

    journal_file: Path = Path("/var/lib/mt5/journal/orders.sqlite")
    """A volume that outlives the pod keeps every answer across pods."""

    synchronous: Literal["FULL", "OFF"] = "FULL"
    """OFF is for simulations only: a power loss would forget orders that were sent."""

    call_timeout_s: float = 13.0
    """After this long no call that was handed to the agent runs any more: the sidecar's
    `call_timeout_s` (10), the agent's `call_patience_s` (2) before it kills a worker, and slack."""

    settle_s: float = 15.0
    """How long after that, and after the terminal was connected, an order may still appear.
    Shorter tells NotSent sooner, and wrongly where a broker is slower. Source: MT5.md 5: 5-15 s."""

    reconcile_interval_s: float = 1.0
    """Between two looks while an outcome is unknown; no look is made while none is."""

    window_before_s: float = 86_400.0
    """How far before its sending history is read: 300 would find the order (MT5.md 5), more lets
    an older order that is known to exist prove that history is whole."""

    window_after_s: float = 86_400.0
    """How far after now history is asked: the broker's clock may be ahead. Source: MT5.md 5."""

    witness_patience_s: float = 600.0
    """How long absence is not believed while history lacks an order that is known to exist."""

    newborn_s: float = 86_400.0
    """While the journal does not know all keys of this span, each new key is looked for at the
    terminal before it is sent. Longer than clients go on retrying a key."""

    compare_patience_s: float = 60.0
    """How long no new key is sent after a start while the terminal is connected and does not show
    what a journal that knows all is compared with."""

    retention_s: float = 30 * 86_400.0
    """How long an answer is kept at least; its key is free again after that."""

    compact_interval_s: float = 3600.0
    """Between two removals of what is older."""

    deviation_points: int = 10
    """Slippage allowed where the caller says nothing. Source: the package's own Buy()."""

    first_tick_timeout_s: float = 2.0
    """How long to wait for the first price of a symbol just selected. Source: MT5.md 5."""

    first_tick_interval_s: float = 0.1
    """Between two looks for that price."""

    change_shown_timeout_s: float = 2.0
    """How long the next change of a position or order waits until the terminal shows the last."""

    change_shown_interval_s: float = 0.05
    """Between two looks for that."""

    plan_max_age_s: float = 1.0
    """What a trade is planned on may be so old when its turn comes; it is read again if older:
    others trade meanwhile, and lots that are no longer held would turn a netting position round."""

    max_waiting: int = 64
    """Trades that may wait for the one before them; more are told to come back."""

    kept_ratio: float = 0.2
    """This much of `max_waiting` is kept for callers with few of them."""

    kept_keys: int = 5
    """Among so many callers what is kept is divided."""

    @property
    def proof_ms(self) -> int:
        """Return how long after sending an order's absence can be proven at the earliest."""
        return int((self.call_timeout_s + self.settle_s) * 1000)

# SPDX-License-Identifier: Apache-2.0
"""Compare what clients were told with what is in the broker's book."""

from dataclasses import dataclass, field
from typing import Any, get_args

from mt5_sidecar.orders import Ask, Outcome
from mt5_sidecar.orders.outcomes import Reason
from order_world.broker import Broker

LEAST_LOT = 0.01
MADE = ("Done", "Placed", "Partial")
# These leave a mark, and are made once in the life of their key.
MARKED = ("order", "close_position", "close_by")


@dataclass
class Trade:
    """A client's trade: its key, its tag in the book, and all it was ever told."""

    key: str
    ask: Ask
    tag: tuple[Any, ...]
    told: list[Outcome] = field(default_factory=list)
    lives: list[int] = field(default_factory=list)
    journal_lost: bool = False
    twins: list[int] = field(default_factory=list)
    """Strangers' orders that nobody can tell from it."""

    @property
    def final(self) -> Outcome | None:
        """Return the first final answer."""
        return next((outcome for outcome in self.told if outcome.final), None)


class Wrong(AssertionError):
    """The order core broke its word."""


def judge(trade: Trade, broker: Broker) -> None:
    """Raise Wrong unless what was told of `trade` is what the book says, now and for good."""
    if broker.spoilt:
        raise Wrong(f"more was changed than anybody asked for: {broker.spoilt[0]}")
    times = len(broker.executed.get(trade.tag, []))
    if times > 1 and trade.ask.operation in MARKED:
        raise Wrong(f"{trade.key} was executed {times} times")
    for outcome in trade.told:
        if outcome.reason not in get_args(Reason):
            raise Wrong(f"{trade.key} was told a reason that is no word of ours: {outcome}")
        if outcome.evidence == "person":
            _judge_word(trade, outcome, broker)
        elif outcome.final:
            _judge_final(trade, outcome, broker, made=times > 0)


def _judge_final(trade: Trade, outcome: Outcome, broker: Broker, *, made: bool) -> None:
    # Taken is no more than that: it may have been rejected since.
    taken = outcome.outcome == "Placed" and trade.tag in broker.taken
    if outcome.outcome in MADE and not (made or taken) and outcome.reason != "AlreadyClosed":
        raise Wrong(f"{trade.key} was told {outcome}, and the book has nothing")
    # A change carries no mark: of one whose journal is lost, only the new attempt can be told.
    unmarked = trade.journal_lost and trade.ask.operation not in MARKED
    if outcome.outcome in ("NotSent", "Refused") and made and not unmarked:
        raise Wrong(f"{trade.key} was told {outcome}, and the book has it")
    if outcome.outcome == "Unknown" and trade.ask.operation in MARKED:
        raise Wrong(f"{trade.key} was given up: {outcome}")
    ticket = outcome.order
    traded = trade.ask.operation in MARKED
    told_made = traded and made and outcome.outcome in MADE
    if told_made and ticket and ticket not in broker.executed[trade.tag]:
        raise Wrong(f"{trade.key} was told order {ticket}, it is {broker.executed[trade.tag]}")
    _judge_volume(trade, outcome, broker)
    first = trade.final
    if trade.tag in broker.taken and first is not None and first.outcome == "Placed":
        return
    if first is not None and (first.outcome in MADE) != (outcome.outcome in MADE):
        raise Wrong(f"{trade.key} was told {first.outcome}, then {outcome.outcome}")


def _judge_word(trade: Trade, outcome: Outcome, broker: Broker) -> None:
    """A person may be wrong, and is taken at their word: once, and of what is there."""
    own = broker.executed.get(trade.tag, [])
    it_may_be = {*trade.twins, *own}
    if outcome.outcome == "NotSent":
        fits = outcome.order is None
    elif outcome.order in own:
        fits = outcome.outcome in MADE
        _judge_volume(trade, outcome, broker)
    else:
        fits = outcome.outcome == "Done" and outcome.order in trade.twins
    if not (trade.twins and fits and outcome.final):
        raise Wrong(f"{trade.key} was told {outcome}, it is one of {it_may_be}, or none")
    if (first := trade.final) and (first.outcome, first.order) != (outcome.outcome, outcome.order):
        raise Wrong(f"{trade.key} was told {first}, then {outcome}")


def _judge_volume(trade: Trade, outcome: Outcome, broker: Broker) -> None:
    filled = broker.filled.get(trade.tag)
    if filled is None or outcome.outcome not in ("Done", "Partial") or outcome.volume is None:
        return
    if abs(float(outcome.volume) - filled) > LEAST_LOT / 2:
        raise Wrong(f"{trade.key} was told {outcome.volume} lots, it is {filled}")

# SPDX-License-Identifier: Apache-2.0
"""Does what the terminal shows make sense? Pure, and careful: a false alarm accuses a broker."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from mt5_agent.protocol import AccountInfo, Tick


def account_is_plausible(account: AccountInfo, *, login: int) -> bool:
    """Say whether `account` is the wanted one, with a currency and numbers that are numbers."""
    return account.login == login and bool(account.currency) and _finite(account)


def ticks_are_plausible(ticks: Mapping[str, Tick]) -> bool:
    """Say whether no tick has a negative price, or an ask below its bid."""
    return all(_tick_is_plausible(tick) for tick in ticks.values())


def _tick_is_plausible(tick: Tick) -> bool:
    if not _finite(tick) or tick.bid < 0 or tick.ask < 0:
        return False
    return not (tick.bid and tick.ask) or tick.ask >= tick.bid  # an exchange may show one side


def _finite(record: msgspec.Struct) -> bool:
    return all(math.isfinite(value) for value in _floats(msgspec.structs.astuple(record)))


def _floats(values: Iterable[Any]) -> Iterable[float]:
    return (value for value in values if isinstance(value, float))

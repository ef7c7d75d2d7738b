# SPDX-License-Identifier: Apache-2.0
"""Where an account runs: a pure function of the account, its broker's status, and the nodes.

What a person wrote wins: first the account's brokerCompatibility, then the broker's platform.
Then the verdict. Nothing here starts a move; it says which platform is wanted, and if it is not
the one on which the account runs, why it stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mt5_operator.brokers.matching import Broker
from mt5_operator.reasons import Reason
from mt5_operator.spec.account import AccountSpec, BrokerCompatibility, Disruption, Platform
from mt5_operator.spec.broker import Verdict

_ONLY_REPORTS: Final = (
    "the operator only reports (MT5_OPERATOR_BROKER_DRY_RUN, which several shards need): name the"
    " platform in brokerCompatibility or in the broker's spec.platform to have it otherwise"
)


@dataclass(frozen=True, slots=True)
class Where:
    """How an account runs now. `running`: its pod's platform, if it has a pod on a node.

    `known`: its sidecar was heard since we lead. `healthy`: it was steadily connected there in
    the last `broker_healthy_s`. `upgrading`: its pod is replaced anyway.
    """

    running: Platform | None = None
    known: bool = True
    healthy: bool = False
    upgrading: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Choice:
    """The platform, and what the condition Compatible says of it."""

    platform: Platform
    reason: Reason
    message: str
    compatible: bool = True
    # The account would move if there were a node: a new node makes it due.
    waits_for_node: bool = False


def choice(
    spec: AccountSpec,
    broker: Broker | None,
    where: Where,
    *,
    windows_node: Callable[[], bool],
    dry_run: bool = False,
) -> Choice:
    """Return where the account should run."""
    if spec.broker_compatibility is not BrokerCompatibility.AUTO:
        platform = Platform(spec.broker_compatibility.value)
        return Choice(
            platform, Reason.CHOSEN_BY_USER, "spec.brokerCompatibility names the platform"
        )
    wanted = _wanted(broker, where)
    if dry_run and _by_verdict(broker) and wanted.platform is not _start(where):
        return _held(wanted, _start(where), _ONLY_REPORTS)
    if where.running is None or wanted.platform is where.running:
        return wanted
    return _moved(wanted, where.running, spec, broker, where, windows_node)


def _wanted(broker: Broker | None, where: Where) -> Choice:
    if broker is None:
        return _unjudged("no MT5Broker speaks of this server", where)
    about = f"MT5Broker {broker.name}"
    if broker.pinned:
        told = f"{about} names the platform (spec.platform)"
        return Choice(broker.pinned, Reason.CHOSEN_BY_BROKER, told)
    if broker.verdict is Verdict.REQUIRES_WINDOWS:
        told = f"{about}: Linux is refused"
        return Choice(Platform.WINDOWS, Reason.BROKER_REQUIRES_WINDOWS, told)
    if broker.moved_back:
        told = f"{about}: Windows failed as Linux did"
        # Who is well on Windows stays there.
        kept = Platform.WINDOWS if where.running is Platform.WINDOWS and where.healthy else None
        return Choice(kept or Platform.LINUX, Reason.ASSUMED_COMPATIBLE, told)
    if broker.verdict is Verdict.LINUX_COMPATIBLE:
        told = f"{about}: the trial on Linux was passed"
        return Choice(_start(where), Reason.BROKER_ACCEPTS_LINUX, told)
    return _unjudged(f"{about} has no verdict yet", where)


def _unjudged(told: str, where: Where) -> Choice:
    # An account never goes back to Linux because something was forgotten.
    told = f"{told}: Linux until the broker is known to need Windows"
    return Choice(_start(where), Reason.ASSUMED_COMPATIBLE, told)


def _start(where: Where) -> Platform:
    return where.running or Platform.LINUX


def _by_verdict(broker: Broker | None) -> bool:
    return broker is not None and broker.pinned is None


def _moved(
    wanted: Choice,
    running: Platform,
    spec: AccountSpec,
    broker: Broker | None,
    where: Where,
    windows_node: Callable[[], bool],
) -> Choice:
    if not where.known:
        return _held(wanted, running, "its sidecar was not heard yet")
    if spec.disruption is Disruption.NEVER:
        return _held(wanted, running, "spec.disruption is Never")
    if spec.disruption is Disruption.ON_UPGRADE and not where.upgrading():
        return _held(wanted, running, "spec.disruption is OnUpgrade: with the next upgrade")
    if where.healthy and _by_verdict(broker):
        # Whoever is well where it is, is compatible.
        told = f"it is stable on {running.value}, so it is not moved"
        return _held(wanted, running, told, compatible=True)
    if wanted.platform is Platform.WINDOWS and not windows_node():
        told = "no node can run Windows pods: add one"
        return _held(wanted, running, told, waits_for_node=True)
    return wanted


def _held(
    wanted: Choice,
    running: Platform,
    why: str,
    *,
    compatible: bool = False,
    waits_for_node: bool = False,
) -> Choice:
    told = f"{wanted.message}; it stays on {running.value}: {why}"
    return Choice(running, Reason.MOVE_HELD, told, compatible, waits_for_node)

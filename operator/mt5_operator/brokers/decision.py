# SPDX-License-Identifier: Apache-2.0
"""Which verdict follows from what is known of a broker; docs/broker-compatibility.md draws it."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

from mt5_operator import names
from mt5_operator.brokers import blame
from mt5_operator.brokers.blame import Facts, Held
from mt5_operator.brokers.criteria import Limits, hours
from mt5_operator.reasons import Reason
from mt5_operator.settings import Settings
from mt5_operator.spec.broker import BrokerStatus, State, Verdict

ACCEPTED: Final = (Verdict.LINUX_COMPATIBLE, Verdict.REQUIRES_WINDOWS)
_NOT_THE_PLATFORM: Final = (
    "Windows failed as Linux did, so the platform is not the cause: look at the network, the"
    f" account and the broker; the annotation {names.REPROBE} allows another move"
)


class Decision(NamedTuple):
    """A verdict, and why."""

    verdict: Verdict
    reason: Reason
    message: str


def decided(
    status: BrokerStatus, held: Held, limits: Limits, facts: Facts, settings: Settings
) -> Decision:
    """Return what follows from what is held against Linux, and the trial so far."""
    if status.verdict is Verdict.REQUIRES_WINDOWS:
        return _on_windows(status, facts, settings)
    if held.proven:
        return _rejected(status, held, facts, settings)
    if status.verdict is Verdict.LINUX_COMPATIBLE:
        return Decision(status.verdict, Reason.BROKER_ACCEPTS_LINUX, status.message)
    logged_in = status.window.logins or any(t.last.evidence.logins for t in facts.linux)
    if status.verdict is Verdict.UNKNOWN and not logged_in:
        told = "no account logged in on Linux yet"
        return Decision(Verdict.UNKNOWN, Reason.NOT_TRIED_YET, told)
    return Decision(Verdict.TESTING, *_trial(status, held, limits))


def _trial(status: BrokerStatus, held: Held, limits: Limits) -> tuple[Reason, str]:
    if status.moved_back_at:
        return Reason.WINDOWS_FAILED_ALIKE, _NOT_THE_PLATFORM
    if held.words:
        reason = Reason.LINUX_SUSPECTED if held.suspect else Reason.TRIAL_RUNNING
        return reason, f"suspected on Linux: {held.words}"
    watched = f"{hours(status.window.watched_seconds)} of {hours(limits.duration_s)}"
    return Reason.TRIAL_RUNNING, f"accounts are watched on Linux: {watched}"


def _rejected(status: BrokerStatus, held: Held, facts: Facts, settings: Settings) -> Decision:
    here = status.verdict if status.verdict in ACCEPTED else Verdict.TESTING
    if status.moved_back_at:
        told = f"suspected on Linux: {held.words}; {_NOT_THE_PLATFORM}"
        return Decision(Verdict.TESTING, Reason.WINDOWS_FAILED_ALIKE, told)
    alike = blame.on_windows(status, facts, settings)
    if alike.suspect:
        told = f"Linux: {held.words}; but Windows is refused alike: {alike.words}"
        return Decision(here, Reason.WINDOWS_FAILED_ALIKE, told)
    if not facts.windows_node:
        told = f"Linux: {held.words}; accounts stay, because no node can run Windows pods: add one"
        return Decision(here, Reason.NO_WINDOWS_NODE, told)
    told = f"Linux refused: {held.words}; no other cause was found"
    return Decision(Verdict.REQUIRES_WINDOWS, Reason.BROKER_REQUIRES_WINDOWS, told)


def _on_windows(status: BrokerStatus, facts: Facts, settings: Settings) -> Decision:
    accepted = accepted_at(status)
    alike = blame.on_windows(status, facts, settings)
    if alike.proven and not accepted:
        told = f"moved back to Linux, because Windows failed alike: {alike.words}"
        return Decision(Verdict.TESTING, Reason.WINDOWS_FAILED_ALIKE, told)
    told = status.message
    if accepted and not status.windows_accepted_at:
        told = f"{told}; Windows accepted at {accepted:%Y-%m-%dT%H:%M:%SZ}"
    return Decision(status.verdict, Reason.BROKER_REQUIRES_WINDOWS, told)


def at_the_end(status: BrokerStatus) -> Decision:
    """Return what follows at the end of a trial."""
    bad = [item for item in status.criteria if item.state is not State.PASSED]
    if not bad:
        told = f"all criteria passed over {hours(status.window.watched_seconds)} on Linux"
        return Decision(Verdict.LINUX_COMPATIBLE, Reason.BROKER_ACCEPTS_LINUX, told)
    told = "; ".join(f"{item.name.value}: {item.evidence}" for item in bad)
    reason = Reason.WINDOWS_FAILED_ALIKE if status.moved_back_at else Reason.TRIAL_RUNNING
    message = f"the last trial was not passed, another one runs: {told}"
    return Decision(Verdict.TESTING, reason, message)


def accepted_at(status: BrokerStatus) -> datetime | None:
    """Return when Windows accepted an account after it was decided for; None: not yet."""
    if status.verdict is not Verdict.REQUIRES_WINDOWS or status.decided_at is None:
        return None
    at = status.healthy_on_windows
    return at if at and at >= status.decided_at else None

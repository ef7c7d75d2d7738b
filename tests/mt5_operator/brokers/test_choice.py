# SPDX-License-Identifier: Apache-2.0
"""Where an account runs: who wins, and who is not disturbed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt5_operator.brokers.choice import Choice, Where, choice
from mt5_operator.brokers.matching import Broker
from mt5_operator.reasons import Reason
from mt5_operator.spec.account import AccountSpec, Platform
from mt5_operator.spec.broker import Verdict
from operator_samples import parsed

LINUX, WINDOWS = Platform.LINUX, Platform.WINDOWS
ON_LINUX, ON_WINDOWS = Where(LINUX), Where(WINDOWS)


def spec(**fields: Any) -> AccountSpec:
    return parsed(**fields).spec


def broker(verdict: Verdict = Verdict.UNKNOWN, **fields: Any) -> Broker:
    return Broker("b", "u", "2026-11-21T10:00:00Z", ("X",), verdict=verdict, **fields)


REFUSED = broker(Verdict.REQUIRES_WINDOWS)
BACK = broker(Verdict.TESTING, moved_back=True)


def chosen(
    account: AccountSpec | None = None,
    known: Broker | None = None,
    where: Where | None = None,
    *,
    node: bool = True,
    dry_run: bool = False,
) -> Choice:
    return choice(
        account or spec(), known, where or Where(), windows_node=lambda: node, dry_run=dry_run
    )


ROWS: list[tuple[str, Choice, Platform, Reason]] = [
    ("nothing is known", chosen(), LINUX, Reason.ASSUMED_COMPATIBLE),
    ("no verdict", chosen(known=broker()), LINUX, Reason.ASSUMED_COMPATIBLE),
    (
        "no verdict moves nobody back",
        chosen(known=broker(), where=ON_WINDOWS),
        WINDOWS,
        Reason.ASSUMED_COMPATIBLE,
    ),
    (
        "the account's word wins",
        chosen(spec(brokerCompatibility="Linux"), REFUSED, ON_LINUX),
        LINUX,
        Reason.CHOSEN_BY_USER,
    ),
    (
        "over the broker's pin too",
        chosen(spec(brokerCompatibility="Linux"), broker(pinned=WINDOWS)),
        LINUX,
        Reason.CHOSEN_BY_USER,
    ),
    (
        "the pin wins over the verdict",
        chosen(known=broker(Verdict.REQUIRES_WINDOWS, pinned=LINUX), where=ON_WINDOWS),
        LINUX,
        Reason.CHOSEN_BY_BROKER,
    ),
    (
        "a pin moves even who is well",
        chosen(known=broker(pinned=WINDOWS), where=Where(LINUX, healthy=True)),
        WINDOWS,
        Reason.CHOSEN_BY_BROKER,
    ),
    ("new accounts", chosen(known=REFUSED), WINDOWS, Reason.BROKER_REQUIRES_WINDOWS),
    ("new accounts wait for a node", chosen(known=REFUSED, node=False), WINDOWS,
     Reason.BROKER_REQUIRES_WINDOWS),
    ("a refused account", chosen(known=REFUSED, where=ON_LINUX), WINDOWS,
     Reason.BROKER_REQUIRES_WINDOWS),
    ("no node", chosen(known=REFUSED, where=ON_LINUX, node=False), LINUX, Reason.MOVE_HELD),
    ("not heard yet", chosen(known=REFUSED, where=Where(LINUX, known=False)), LINUX,
     Reason.MOVE_HELD),
    ("well", chosen(known=REFUSED, where=Where(LINUX, healthy=True)), LINUX, Reason.MOVE_HELD),
    ("dry run", chosen(known=REFUSED, where=ON_LINUX, dry_run=True), LINUX, Reason.MOVE_HELD),
    ("dry run, new", chosen(known=REFUSED, dry_run=True), LINUX, Reason.MOVE_HELD),
    ("a dry run keeps who moved", chosen(known=REFUSED, where=ON_WINDOWS, dry_run=True), WINDOWS,
     Reason.BROKER_REQUIRES_WINDOWS),
    ("a dry run heeds a pin", chosen(known=broker(pinned=WINDOWS), dry_run=True), WINDOWS,
     Reason.CHOSEN_BY_BROKER),
    ("never", chosen(spec(disruption="Never"), REFUSED, ON_LINUX), LINUX, Reason.MOVE_HELD),
    ("on upgrade", chosen(spec(disruption="OnUpgrade"), REFUSED, ON_LINUX), LINUX,
     Reason.MOVE_HELD),
    (
        "with an upgrade",
        chosen(spec(disruption="OnUpgrade"), REFUSED, Where(LINUX, upgrading=lambda: True)),
        WINDOWS,
        Reason.BROKER_REQUIRES_WINDOWS,
    ),
    ("back", chosen(known=BACK, where=ON_WINDOWS), LINUX, Reason.ASSUMED_COMPATIBLE),
    (
        "not back if well there",
        chosen(known=BACK, where=Where(WINDOWS, healthy=True)),
        WINDOWS,
        Reason.ASSUMED_COMPATIBLE,
    ),
    (
        "compatible",
        chosen(known=broker(Verdict.LINUX_COMPATIBLE), where=ON_WINDOWS),
        WINDOWS,
        Reason.BROKER_ACCEPTS_LINUX,
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("got", "platform", "reason"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_one_row_per_case(got: Choice, platform: Platform, reason: Reason) -> None:
    assert (got.platform, got.reason) == (platform, reason)


def test_a_held_move_is_no_harm_to_who_is_well_and_waits_only_for_nodes() -> None:
    assert chosen(known=REFUSED, where=Where(LINUX, healthy=True)).compatible
    held = chosen(known=REFUSED, where=ON_LINUX, node=False)
    assert not held.compatible
    assert held.waits_for_node
    assert "add one" in held.message
    assert not chosen(spec(disruption="Never"), REFUSED, ON_LINUX).waits_for_node


brokers = st.one_of(
    st.none(),
    st.builds(
        Broker,
        name=st.just("b"),
        uid=st.just("u"),
        created=st.just(""),
        patterns=st.just(("X",)),
        pinned=st.none() | st.sampled_from(Platform),
        verdict=st.sampled_from(Verdict),
        moved_back=st.booleans(),
    ),
)
wheres = st.builds(
    Where,
    running=st.none() | st.sampled_from(Platform),
    known=st.booleans(),
    healthy=st.booleans(),
    upgrading=st.booleans().map(lambda value: lambda: value),
)


@given(known=brokers, where=wheres, node=st.booleans(), dry_run=st.booleans())
def test_the_promises_hold_for_every_account(
    known: Broker | None, where: Where, *, node: bool, dry_run: bool
) -> None:
    auto = chosen(known=known, where=where, node=node, dry_run=dry_run)
    never = chosen(spec(disruption="Never"), known, where, node=node, dry_run=dry_run)
    pinned = chosen(spec(brokerCompatibility="Windows"), known, where, node=node, dry_run=dry_run)
    moves = where.running is not None and auto.platform is not where.running
    by_verdict = known is None or known.pinned is None

    assert pinned.platform is WINDOWS
    assert where.running is None or never.platform is where.running
    assert not (moves and not where.known)
    assert not (moves and auto.platform is WINDOWS and not node)
    assert not (moves and by_verdict and (where.healthy or dry_run))
    assert not (moves and by_verdict and auto.platform is WINDOWS) or (
        known is not None and known.verdict is Verdict.REQUIRES_WINDOWS
    )

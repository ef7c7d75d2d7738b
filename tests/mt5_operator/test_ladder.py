# SPDX-License-Identifier: Apache-2.0
"""The healing ladder: when a step is taken, which, and above all when not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mt5_operator.desired.healed import healed
from mt5_operator.desired.stateful_set import stateful_set
from mt5_operator.healing import Budget, Step, as_status, budget, next_step, patience_s
from mt5_operator.moving.look import Look, Pod, Slot
from mt5_operator.names import Key
from mt5_operator.reasons import Reason
from mt5_operator.reconcile.context.healer import Healer
from mt5_operator.reconcile.pods.heal import may_be_replaced
from mt5_operator.settings import Settings
from mt5_operator.spec.account import Platform
from mt5_operator.spec.parse import Account
from mt5_operator.spec.status import Move, Trader
from mt5_operator.status import conditions
from mt5_operator.status.seen import OrdersSeen, PodSeen, Seen, SidecarSeen
from operator_samples import parsed

SETTINGS = Settings(heal_after_s=100, heal_jitter=0, heal_grace_s=50, heal_forget_s=1000)
NOW = "2026-11-21T10:00:00Z"
DISK = {"size": "2Gi"}
POD = PodSeen("u", ip="10.0.0.1", node="n1", phase="Running", ready=True, sidecar_started=True)
WELL = Seen(3, platform=Platform.LINUX, pod=POD, sidecar=SidecarSeen("Connected"))
FAULT = replace(
    WELL,
    pod=replace(POD, ready=False),
    sidecar=SidecarSeen("Disconnected", "TerminalFault", "it hung", "Valid"),
)
OUTAGE = replace(FAULT, sidecar=SidecarSeen("Disconnected", "BrokerUnreachable", "away"))


class World:
    """A healer with a clock of ours, and accounts whose budget is kept as their status would."""

    def __init__(self, settings: Settings = SETTINGS) -> None:
        self.now = 0.0
        self.settings = settings
        self.shared = False
        self.healer = Healer(settings, clock=lambda: self.now, shared=lambda: self.shared)
        self.budgets: dict[Key, Budget] = {}
        self.seen: dict[Key, Seen] = {}

    def look(self, seen: Seen, account: Account | None = None) -> Step | None:
        account = account or parsed(storage=DISK)
        before = replace(seen, healing=self.budgets.get(account.key, Budget()))
        after, step = self.healer.advise(account, before, now=NOW)
        told = {"healing": as_status(after.healing)}
        self.budgets[account.key] = budget(told, after.generation)
        self.seen[account.key] = after
        return step

    def until(self, at_s: float, seen: Seen, account: Account | None = None) -> list[Step]:
        found = []
        while self.now < at_s:
            if step := self.look(seen, account):
                found.append(step)
            self.now += 5
        return found


def test_the_ladder_is_climbed_ever_more_slowly_and_ends_with_a_person() -> None:
    world = World()
    times = []

    while world.now < 5000:
        if step := world.look(FAULT):
            times.append((world.now, step))
        world.now += 5

    assert times == [
        (100, Step.NEW_POD),
        (300, Step.NEW_POD),
        (700, Step.CLEAN_PROFILE),
        (1500, Step.OTHER_NODE),
    ]
    given_up = world.seen[parsed().key]
    assert given_up.exhausted
    assert given_up.healing == Budget(4, "OtherNode", NOW, 3, profile=1, avoid=("n1",))
    stalled = next(c for c in conditions.conditions(given_up) if c["type"] == "Stalled")
    assert stalled["reason"] == "HealingExhausted"
    assert "TerminalFault: it hung" in stalled["message"]


def test_without_a_volume_a_new_pod_is_a_clean_profile() -> None:
    assert World().until(5000, FAULT, parsed()) == [Step.NEW_POD, Step.NEW_POD, Step.OTHER_NODE]


def test_a_changed_spec_begins_anew_and_keeps_the_pod_as_it_is() -> None:
    told = {"healing": as_status(Budget(4, "OtherNode", NOW, 3, 1, ("n1",)))}

    assert budget(told, 3).taken == 4
    assert budget(told, 4) == Budget(profile=1, avoid=("n1",))


def test_who_is_well_for_long_has_its_budget_back_and_its_pod_stays() -> None:
    world = World()
    world.budgets[parsed().key] = Budget(2, "NewPod", NOW, 3, profile=1)

    world.until(900, WELL)
    assert world.budgets[parsed().key].taken == 2
    world.until(1100, WELL)

    assert world.budgets[parsed().key] == Budget(profile=1)


@pytest.mark.parametrize(
    "seen",
    [
        replace(FAULT, sidecar=SidecarSeen("Refused", reason, "no", "Invalid"))
        for reason in ("BadCredentials", "ServerUnknown", "NeedsInteraction", "PlatformRejected")
    ]
    + [
        replace(FAULT, suspended=True),
        replace(FAULT, conflict="another's"),
        replace(FAULT, pod=replace(POD, ready=False, ending=True)),
        replace(FAULT, pod=replace(POD, ready=False, node="")),
        replace(FAULT, pod=None),
        WELL,
    ],
)
def test_no_step_is_taken_where_none_could_help(seen: Seen) -> None:
    assert World().until(3000, seen) == []


def test_no_step_is_taken_while_redis_or_the_api_server_is_away_nor_soon_after() -> None:
    world = World()
    while world.now < 1000:
        world.healer.disturbed()
        assert world.look(FAULT) is None
        world.now += 5

    assert world.until(1040, FAULT) == []
    assert world.until(1060, FAULT) == [Step.NEW_POD]


def test_a_new_leader_knows_nothing_of_how_long_a_trouble_lasts() -> None:
    world = World()
    world.until(95, FAULT)
    world.healer = Healer(SETTINGS, clock=lambda: world.now)

    assert world.until(190, FAULT) == []
    assert world.until(200, FAULT) == [Step.NEW_POD]


def fleet(count: int, server: str = "Broker-1", space: str = "ns") -> list[Account]:
    found = (parsed(f"a{n}", server=server, storage=DISK) for n in range(count))
    return [replace(each, key=each.key._replace(namespace=space)) for each in found]


def test_a_fleet_in_trouble_is_healed_a_few_a_minute() -> None:
    world, accounts = World(), fleet(100)
    steps = []
    while world.now < 220:
        steps += [world.now for account in accounts if world.look(FAULT, account)]
        world.now += 5

    assert len(steps) <= SETTINGS.heal_fleet_per_minute * 2
    assert len([at for at in steps if at < 160]) == SETTINGS.heal_fleet_per_minute


def test_a_namespace_full_of_trouble_leaves_room_to_heal_those_of_others() -> None:
    world = World()
    world.shared = True
    greedy, lonely = fleet(1000, space="greedy"), fleet(1, space="other")[0]
    world.until(400, FAULT, lonely)  # its next step is due at 700
    steps: dict[Key, list[float]] = {}
    while world.now < 1000:
        for account in (*greedy, lonely):
            if world.look(FAULT, account):
                steps.setdefault(account.key, []).append(world.now)
        world.now += 5

    assert steps[lonely.key] == [700]
    assert world.healer.waiting > 900
    took = [at for key, found in steps.items() for at in found if key.namespace == "greedy"]
    assert max(len([at for at in took if end - 60 < at <= end]) for end in range(500, 1000)) == 3


def test_who_is_well_or_gone_waits_for_no_step() -> None:
    world, accounts = World(), fleet(8)
    for account in accounts:
        world.look(FAULT, account)
    world.now = 100
    for account in accounts:
        world.look(FAULT, account)
    assert world.healer.waiting == 2

    world.look(WELL, accounts[-1])
    assert world.healer.waiting == 1
    world.healer.forget(accounts[-2].key)

    assert world.healer.waiting == 0


def test_a_broker_that_is_down_restarts_no_pod_and_is_told_once() -> None:
    world, accounts = World(), fleet(500)
    steps, told = [], 0
    while world.now < 1000:
        for account in accounts:
            steps.append(world.look(OUTAGE, account))
            told += world.healer.began_outage("Broker-1")
        world.now += 50

    assert set(steps) == {None}
    assert told == 1
    assert world.healer.outages() == {"Broker-1": (500, 500)}
    assert not world.healer.ended_outage("Broker-1")
    over = 0
    for account in accounts:
        world.look(WELL, account)
        over += world.healer.ended_outage("Broker-1")
    assert world.healer.outages() == {}
    assert over == 1


def test_who_cuts_off_most_accounts_of_a_server_keeps_no_other_namespace_from_being_healed() -> (
    None
):
    world, (lonely, *others), cut_off = World(), fleet(4), fleet(50, space="cut-off")
    for other in others:
        world.look(WELL, other)
    for each in cut_off:
        world.look(OUTAGE, each)

    assert world.until(20000, OUTAGE, lonely) == [Step.NEW_POD, Step.NEW_POD]
    # Those that were cut off are left alone, and it is told.
    assert not any(world.look(OUTAGE, each) for each in cut_off)
    assert world.healer.outages() == {"Broker-1": (51, 54)}
    for each in cut_off:
        world.healer.forget(each.key)
    assert world.healer.outages() == {}


def test_a_namespace_with_few_accounts_of_a_server_learns_of_its_outage_from_the_others() -> None:
    world, few = World(), fleet(2)
    for each in (*few, *fleet(50, space="next-door")):
        world.look(OUTAGE, each)

    assert world.until(20000, OUTAGE, few[0]) == []


def test_one_of_many_that_cannot_reach_its_broker_gets_a_new_pod_but_keeps_its_profile() -> None:
    world, (lonely, *others) = World(), fleet(10)
    for other in others:
        world.look(WELL, other)

    assert world.until(20000, OUTAGE, lonely) == [Step.NEW_POD, Step.NEW_POD]
    assert not world.seen[lonely.key].exhausted


def test_accounts_that_fell_together_do_not_step_together() -> None:
    settings = Settings(heal_after_s=100, heal_jitter=0.25)
    waits = {patience_s(account.key, 0, settings) for account in fleet(100)}

    assert len(waits) > 90
    assert min(waits) >= 100
    assert max(waits) <= 125


def test_an_empty_ladder_takes_no_step_and_asks_no_person() -> None:
    world = World(Settings(heal_ladder=[], heal_after_s=10))

    assert world.until(1000, FAULT) == []
    assert not world.seen[parsed().key].exhausted
    assert next_step(Reason.WINE_FAULT, Budget(), storage=True, settings=world.settings) is None


def test_a_pod_that_never_fell_is_unchanged() -> None:
    plain = stateful_set(parsed(storage=DISK), Platform.LINUX, "a", SETTINGS)

    assert healed(plain, Budget(taken=3), Platform.LINUX) is plain


@pytest.mark.parametrize("platform", list(Platform))
def test_a_clean_profile_is_another_directory_and_the_journal_stays(platform: Platform) -> None:
    plain = stateful_set(parsed(storage=DISK), platform, "a", SETTINGS)
    clean = healed(plain, Budget(profile=2, avoid=("n1",)), platform)
    pod = clean["spec"]["template"]["spec"]

    assert _parts(pod["containers"][0]) == ["terminal-2"]
    assert _parts(pod["initContainers"][1]) == ["journal"]
    tidy = pod["initContainers"][0]
    assert tidy["command"][-1] == "terminal-2"
    assert ("securityContext" in tidy) is (platform is Platform.LINUX)
    [wish] = pod["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert wish["preference"]["matchExpressions"][0]["values"] == ["n1"]
    assert clean["metadata"]["annotations"] != plain["metadata"]["annotations"]


def _parts(container: dict[str, Any]) -> list[str]:
    return [mount["subPath"] for mount in container["volumeMounts"] if "subPath" in mount]


def test_tidying_removes_old_profiles_and_nothing_else(tmp_path: Path) -> None:
    for name in ("journal", "terminal", "terminal-1", "terminal-2"):
        (tmp_path / name / "inside").mkdir(parents=True)
    plain = stateful_set(parsed(storage=DISK), Platform.LINUX, "a", SETTINGS)
    clean = healed(plain, Budget(profile=2), Platform.LINUX)
    _, option, program, keep = clean["spec"]["template"]["spec"]["initContainers"][0]["command"]

    program = program.replace("/volume", str(tmp_path))
    subprocess.run([sys.executable, option, program, keep], check=True)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal", "terminal-2"]


# With two slots: no step where it could lose track of who trades.

TRADER = Trader(slot="a", epoch=3, pod="u", node="n1")
HERE = Slot(there=True, replicas=1, pod=Pod("u", node="n1"))
ALONE = Look(now_s=0, slots={"a": HERE}, template="t", trader=TRADER)
MOVE = Move(to="b", goal="g", template="t", reason="r", phase="Starting", since=NOW, started=NOW)
ACTIVE = replace(FAULT.sidecar, orders=OrdersSeen(4, active=True)) if FAULT.sidecar else None


@pytest.mark.parametrize(
    ("seen", "look", "may"),
    [
        (replace(FAULT, slot="a"), ALONE, True),
        # It never traded, or the pod after the trader's does not come up.
        (replace(FAULT, slot="a"), replace(ALONE, trader=None), True),
        (replace(FAULT, slot="a", pod=replace(POD, uid="new")), ALONE, True),
        # It trades, and is not written down yet.
        (replace(FAULT, slot="a", sidecar=ACTIVE), replace(ALONE, trader=None), False),
        (replace(FAULT, slot="a", pod=replace(POD, uid="new"), sidecar=ACTIVE), ALONE, False),
        # A move has a deadline of its own.
        (replace(FAULT, slot="a"), replace(ALONE, move=MOVE), False),
        # The other slot's pod may have keys, or be the one that trades.
        (replace(FAULT, slot="a"), replace(ALONE, slots={"a": HERE, "b": HERE}), False),
        (replace(FAULT, slot="b"), ALONE, False),
        # Nobody knows whether the pod still runs.
        (replace(FAULT, slot="a"), replace(ALONE, lost_nodes=frozenset({"n1"})), False),
        (replace(FAULT, slot="a", pod=None), ALONE, False),
    ],
)
def test_a_pod_is_ended_only_where_nobody_loses_track_of_who_trades(
    seen: Seen, look: Look, *, may: bool
) -> None:
    assert may_be_replaced(seen, look) == may


def test_while_others_wait_for_a_place_nobody_gives_its_own_up() -> None:
    world = World()
    account = parsed(storage=DISK)
    world.healer.advise(account, FAULT, now=NOW)
    world.now = 101

    assert world.healer.advise(account, FAULT, now=NOW, short=True)[1] is None
    world.now += SETTINGS.heal_grace_s + 1
    assert world.healer.advise(account, FAULT, now=NOW)[1] is Step.NEW_POD

# SPDX-License-Identifier: Apache-2.0
"""A cluster, its sidecars and a broker in a few lines, to try the machine of moves in.

Sidecars keep the rules of `mt5_sidecar.orders`: a growing epoch, a fence that lasts, a look at the
broker where a journal may miss keys. What an operator knows may be old; what it sends may arrive
late, or its answer never.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

from mt5_operator.moving.look import Limits, Look, Pod, Said, Slot
from mt5_operator.moving.machine import next_step
from mt5_operator.moving.stands import serving_slot, stands
from mt5_operator.moving.stands import unchanged as stands_unchanged
from mt5_operator.moving.steps import Confirm, Fence, SetMove, SetTrader, Step, TakeOver, Wait
from mt5_operator.names import SLOTS
from mt5_operator.reconcile.pods.slots import unchanged
from mt5_operator.spec.status import LastMove, Move, Trader

# When a node that does not answer gets its taint, and how long a pod's unknown end is waited for.
TAINTED_S = 50
VANISHED_S = 60
LIMITS = Limits(deadline_s=60, handover_s=10, drain_s=3, backoff_min_s=20, backoff_max_s=40)


class Broken(AssertionError):
    """A promise was broken."""


@dataclass
class Journal:
    """What a sidecar keeps on disk."""

    epoch: int = 0
    adopted: int = 0
    fenced: bool = False
    # Orders may have been sent of which it knows nothing.
    unsure: bool = True
    keys: set[str] = field(default_factory=set)
    # Known by a look at the broker only, which sees a day.
    looked: set[str] = field(default_factory=set)

    @property
    def active(self) -> bool:
        return self.epoch > 0 and not self.fenced


@dataclass
class Running:
    """A pod: `there` is its object, `alive` its processes, and they may differ on a lost node."""

    uid: str
    slot: str
    node: str
    template: str
    created_s: float
    journal: Journal
    there: bool = True
    alive: bool = True
    started: bool = False
    silent: bool = False
    offline: bool = False


@dataclass
class Set:
    """A StatefulSet."""

    template: str
    replicas: int = 1
    volume: Journal | None = None
    claim: int = 1


class World:
    """All that is true, and what the operator believes."""

    def __init__(self, *, volume: bool, ahead_s: float = 0) -> None:
        self.volume = volume
        # By how much the operator's clock is ahead of the API server's, which dates pods.
        self.ahead_s = ahead_s
        self.now_s = 1_000_000.0
        self.template, self.bad = "t1", set[str]()
        self.claim = 1
        self.suspended = self.misspelt = False
        self.restart_s: float | None = None
        self.sets: dict[str, Set] = {}
        self.pods: list[Running] = []
        # Nodes that do not answer, and since when; their taint comes later.
        self.lost: dict[str, float] = {}
        # What the operator's cache of pods holds, where it is behind; None: all that is true.
        self.stale: dict[str, Running | None] | None = None
        # What the operator heard of pods that ended, and asked about the others.
        self.ended: set[str] = set()
        self.missing: dict[str, float] = {}
        self.gone = ""
        self.cordoned: set[str] = set()
        self.executed: dict[str, str] = {}
        self.trader: Trader | None = None
        self.move: Move | None = None
        self.last: LastMove | None = None
        self.heard: dict[str, Said] = {}
        self.late: list[tuple[str, int]] = []
        self.route = "a"
        self.fenced_route_s = 0.0
        self._uids = itertools.count()
        self.reconcile()

    # -- what the operator sees and does -------------------------------------------------------

    def word(self, claim: int) -> str:
        """Return the word for the template, which the size of the claim is a part of."""
        return self.template if claim == 1 else f"{self.template}+{claim}"

    def look(self) -> Look:
        found = self._look()
        return unchanged(found) if self.misspelt else found

    def _look(self) -> Look:
        return Look(
            now_s=self.now_s,
            slots={name: self._slot(name) for name in SLOTS},
            template=self.word(self.claim),
            claim_bytes=self.claim,
            trader=self.trader,
            move=self.move,
            last=self.last,
            restart_s=self.restart_s,
            suspended=self.suspended,
            volume=self.volume,
            route_pending=self.route != serving_slot(self._bare()),
            lost_nodes=frozenset(node for node in self.lost if self._tainted(node)),
            gone=self.gone,
            limits=LIMITS,
        )

    def _bare(self) -> Look:
        return Look(
            now_s=self.now_s,
            slots={name: self._slot(name) for name in SLOTS},
            template=self.word(self.claim),
            trader=self.trader,
            move=self.move,
        )

    def _slot(self, name: str) -> Slot:
        found, pod = self.sets.get(name), self.seen(name)
        return Slot(
            there=found is not None,
            template=found.template if found else "",
            replicas=found.replicas if found else 0,
            platform="Linux" if found else "",
            claim_bytes=found.claim if found else 0,
            pod=self._pod(pod) if pod else None,
            said=self.heard.get(pod.uid) if pod else None,
        )

    def _pod(self, pod: Running) -> Pod:
        return Pod(
            uid=pod.uid,
            node=pod.node,
            created_s=pod.created_s,
            template=pod.template,
            ready=self._connected(pod),
            leaving=pod.node in self.cordoned,
        )

    def pod(self, slot: str) -> Running | None:
        return next((p for p in self.pods if p.slot == slot and p.there), None)

    def seen(self, slot: str) -> Running | None:
        """Return a slot's pod as the operator's cache has it."""
        return self.pod(slot) if self.stale is None else self.stale[slot]

    def freeze(self) -> None:
        """Let the operator's cache of pods stay behind from now on."""
        self.stale = {name: self.pod(name) for name in SLOTS}

    def hear(self) -> None:
        """Ask the sidecars."""
        for name in SLOTS:
            pod = self.seen(name)
            if pod and self._answers(pod):
                journal = pod.journal
                self.heard[pod.uid] = Said(journal.epoch, journal.active, self._connected(pod))
            elif pod:
                self.heard.pop(pod.uid, None)

    def reconcile(self, *, steps: int = 20, fate: str = "well", stand: bool = True) -> None:
        """Take up to `steps` steps; the last one may be lost, late, or its answer lost."""
        for number in range(steps):
            self.route = serving_slot(self.look())
            step = next_step(self.look())
            if isinstance(step, Wait):
                break
            last = number == steps - 1
            self._take(step, fate if last else "well")
            if isinstance(step, Confirm) and not self.gone:
                break
        if stand:
            self._stand()
            self.route = serving_slot(self.look())

    def crash(self) -> None:
        """Forget all that is not written; the next leader asks every sidecar before it judges."""
        self.heard.clear()
        self.ended.clear()
        self.missing.clear()
        self.gone = ""
        self.hear()

    def _take(self, step: Step, fate: str) -> None:
        if fate == "lost":
            return
        match step:
            case SetTrader():
                self._check_trader(step.trader)
                self.trader = step.trader
            case SetMove():
                self.move, self.last = step.move, step.last
            case Fence():
                self._fence(step, fate)
            case TakeOver():
                self._take_over(step, fate)
            case Confirm():
                self._confirm(step.trader)

    def _confirm(self, trader: Trader) -> None:
        """As `reconcile.pods.certainty`: what is asked here is true, whatever the cache holds."""
        pod = self.pod(trader.slot)
        if self.stale is not None:
            self.stale[trader.slot] = pod
        if pod and pod.uid == trader.pod:
            return
        since_s = self.missing.setdefault(trader.pod, self.now_s)
        answers = not self._tainted(trader.node)
        if trader.pod in self.ended or (answers and self.now_s - since_s >= VANISHED_S):
            self.gone = trader.pod

    def _tainted(self, node: str) -> bool:
        return node in self.lost and self.now_s - self.lost[node] >= TAINTED_S

    def _fence(self, step: Fence, fate: str) -> None:
        pod = self._reach(step.slot)
        if pod is None:
            return
        heard = self.heard.get(pod.uid)
        if heard and heard.epoch < step.epoch:
            self.activate(pod, step.epoch)
        pod.journal.fenced = True
        self._answer(pod, fate)

    def _take_over(self, step: TakeOver, fate: str) -> None:
        pod = self._reach(step.slot)
        if pod is None:
            return
        if step.source:
            source = self._reach(step.source)
            if source is None or source.journal.active or pod.journal.active:
                return
            pod.journal.keys |= source.journal.keys
            pod.journal.adopted = max(pod.journal.adopted, source.journal.epoch)
            pod.journal.unsure = source.journal.unsure
        if fate == "late":
            self.late.append((pod.uid, step.epoch))
            return
        self.activate(pod, step.epoch)
        self._answer(pod, fate)

    def _answer(self, pod: Running, fate: str) -> None:
        if fate != "unanswered":
            journal = pod.journal
            self.heard[pod.uid] = Said(journal.epoch, journal.active, self._connected(pod))

    def _reach(self, slot: str) -> Running | None:
        pod = self.seen(slot)
        return pod if pod and self._answers(pod) else None

    def _answers(self, pod: Running) -> bool:
        return pod.alive and pod.started and not pod.silent and pod.node not in self.lost

    def _connected(self, pod: Running) -> bool:
        well = not pod.offline and pod.template.partition("+")[0] not in self.bad
        return self._answers(pod) and well

    def activate(self, pod: Running, epoch: int) -> None:
        """As `Gate.admit` and `Activation.activate`."""
        journal = pod.journal
        if epoch < max(1, journal.epoch) or (journal.fenced and epoch == journal.epoch):
            return
        if journal.active and epoch == journal.epoch:
            return
        gap = max(journal.epoch, journal.adopted) != epoch - 1
        journal.epoch, journal.fenced = epoch, False
        journal.unsure = journal.unsure or gap
        if journal.unsure:
            journal.looked |= set(self.executed)  # it looks before it trades
            journal.unsure = bool(self.executed)  # nothing was ever sent: it knows all

    def _stand(self) -> None:
        how = stands_unchanged if self.misspelt else stands
        for name, stand in how(self.look()).items():
            found = self.sets.get(name)
            if not stand.there:
                self.sets.pop(name, None)
            elif found is None:
                if stand.renewed:
                    made = self.word(self.claim)
                    self.sets[name] = Set(made, stand.replicas, claim=self.claim)
            else:
                found.replicas = stand.replicas
                found.template = self.word(found.claim) if stand.renewed else found.template
        if self.misspelt:
            return
        move, pod = self.move, self.pod(self.move.to) if self.move else None
        mine = self.trader is not None and move is not None and self.trader.slot == move.to
        if move and move.phase == "Starting" and pod and not mine and pod.template != move.template:
            self.end(pod)

    # -- what the cluster does -----------------------------------------------------------------

    def kubelet(self) -> None:
        """Make, start and end pods."""
        for name in SLOTS:
            found, pod = self.sets.get(name), self.pod(name)
            if pod and (found is None or found.replicas == 0):
                self.end(pod)
            elif pod is None and found and found.replicas:
                self._make(name, found)
        for pod in self.pods:
            pod.started = pod.started or (pod.there and pod.alive)

    def _make(self, name: str, found: Set) -> None:
        journal = Journal()
        if self.volume:
            zombies = [p for p in self.pods if p.slot == name and p.alive and not p.there]
            if zombies:
                return  # the volume is still attached there
            found.volume = journal = found.volume or Journal()
        number = next(self._uids)
        free = [n for n in ("n1", "n2", "n3", "n4") if n not in self.lost.keys() | self.cordoned]
        node = free[number % len(free)] if free else "n0"
        created_s = self.now_s - self.ahead_s
        self.pods.append(Running(f"p{number}", name, node, found.template, created_s, journal))

    def end(self, pod: Running) -> None:
        """End a pod as the kubelet does; on a lost node nobody can."""
        if pod.node in self.lost:
            return
        pod.there = pod.alive = False
        self.ended.add(pod.uid)
        self.heard.pop(pod.uid, None)

    def lose(self, node: str) -> None:
        """Let a node answer no more."""
        self.lost.setdefault(node, self.now_s)

    def force(self, pod: Running) -> None:
        """Delete a pod's object by force; on a lost node its processes live on."""
        pod.there = False
        pod.alive = pod.alive and pod.node in self.lost
        self.heard.pop(pod.uid, None)

    def found_again(self, node: str) -> None:
        """Bring a node back: it ends what was deleted in the meantime."""
        self.lost.pop(node, None)
        for pod in self.pods:
            if pod.node == node and not pod.there:
                pod.alive = False

    def out_of_service(self, node: str) -> None:
        """A person says that the node is off, and it is."""
        for pod in self.pods:
            if pod.node == node:
                pod.alive = pod.there = False
                self.ended.add(pod.uid)
                self.heard.pop(pod.uid, None)
        self.lost.pop(node, None)

    # -- the promises --------------------------------------------------------------------------

    def trade(self, slot: str, key: str) -> None:
        """Send an order to every pod of a slot that runs; retries have the same key."""
        for pod in [p for p in self.pods if p.slot == slot and p.alive and p.started]:
            journal = pod.journal
            if not journal.active or key in journal.keys | journal.looked:
                continue
            if key in self.executed:
                raise Broken(f"{key} was executed by {self.executed[key]} and again by {pod.uid}")
            self.executed[key] = pod.uid
            journal.keys.add(key)

    def check(self) -> None:
        """Check what must hold at any moment."""
        active = [p.uid for p in self.pods if p.alive and p.started and p.journal.active]
        if len(active) > 1:
            raise Broken(f"{active} trade at once")
        if active and self.trader and active[0] != self.trader.pod:
            pod = next(p for p in self.pods if p.uid == active[0])
            # A volume's journal trades on in the slot's next pod, before it is written down.
            if not (self.volume and pod.slot == self.trader.slot):
                raise Broken(f"{active[0]} trades, and {self.trader.pod} is written down")

    def _check_trader(self, new: Trader) -> None:
        if self.trader and new.epoch < self.trader.epoch:
            raise Broken(f"the epoch shrinks: {self.trader} {new}")

    def settle(self) -> None:
        """Let all faults end, and time pass."""
        for node in list(self.lost):
            self.found_again(node)
        self.cordoned.clear()
        self.stale = None
        self.suspended = self.misspelt = False
        for pod in self.pods:
            pod.silent = pod.offline = False
        for _ in range(400):
            self.kubelet()
            self.hear()
            self.reconcile()
            self.check()
            if self._settled():
                return
            self.now_s += 1

    def _settled(self) -> bool:
        try:
            self.check_settled()
        except Broken:
            return False
        return True

    def check_settled(self) -> None:
        """Check where an undisturbed account ends."""
        trader = self.trader
        if trader is None:
            raise Broken("nobody trades")
        pod = self.pod(trader.slot)
        if pod is None or pod.uid != trader.pod or not pod.journal.active:
            raise Broken(f"{trader} does not trade: {pod}")
        if self.route != trader.slot:
            raise Broken(f"the route is at {self.route}, and {trader} trades")
        if self.template not in self.bad:
            if pod.template != (wanted := self.word(self.claim)) or self.move:
                raise Broken(f"{pod.template} is not {wanted}: {self.move} {self.last}")
            if set(self.sets) != {trader.slot}:
                raise Broken(f"left behind: {self.sets}")
        # A volume forgets nothing; without one, keys may go with their pod, and are looked for.
        looked = set() if self.volume else pod.journal.looked
        missing = set(self.executed) - pod.journal.keys - looked
        if missing:
            raise Broken(f"keys were lost: {missing}")

    def replaced(self, **changes: object) -> Look:
        """Return the look with other values, for single cases."""
        return replace(self.look(), **changes)  # type: ignore[arg-type]

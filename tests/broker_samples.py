# SPDX-License-Identifier: Apache-2.0
"""What sidecars tell, look by look, for tests of brokers without a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from mt5_operator.brokers.blame import Facts
from mt5_operator.brokers.evidence import Evidence
from mt5_operator.brokers.review import Reviewed, review
from mt5_operator.brokers.tally import Sample, Tally, after
from mt5_operator.names import Key
from mt5_operator.settings import Settings
from mt5_operator.spec.account import Platform
from mt5_operator.spec.broker import BrokerSpec, BrokerStatus

BEGIN = datetime(2026, 11, 21, 10, tzinfo=UTC)
SETTINGS = Settings()
_COUNTED = (
    "connected_s",
    "authorised_then_lost",
    "drops",
    "never_synchronised_s",
    "BrokerUnreachable",
)


@dataclass
class Terminal:
    """One account on one platform, as its sidecar counts it; `pass_s` lets time pass."""

    name: str = "demo"
    platform: Platform = Platform.LINUX
    kicks_per_min: float = 0
    drops_per_min: float | None = None
    """Lost links; as many as kicks unless said."""
    unsynchronised: float = 0
    """Share of the time in which it is let in and never synchronised."""
    tries_per_min: float = 0
    """Tries that never reach the broker."""
    uptime: float = 1.0
    healthy: bool = False
    reason: str = ""
    words: dict[str, float] = field(default_factory=dict)
    """Other reasons, each so often in a minute."""
    pod: int = 1
    flagged: bool = False
    valid: bool | None = True
    logins: float = 1
    tally: Tally | None = None
    told: dict[str, float] = field(default_factory=dict)
    spells: dict[str, float] = field(default_factory=dict)
    begun: datetime | None = None
    healthy_at: datetime | None = None
    starts: int = 1
    starts_for_s: float = 0
    """So long nothing is connected after each start."""

    def fresh(self) -> None:
        """Begin anew in another pod, which remembers nothing."""
        self.pod += 1
        self.told, self.spells, self.begun, self.healthy_at = {}, {}, None, None

    def passed(self, now: datetime, seconds: float) -> None:
        """Let `seconds` pass until `now`, and be looked at."""
        self.begun = self.begun or now - timedelta(seconds=seconds)
        if self.told.get("observed_s", 0) < self.starts_for_s:
            self._grow({"observed_s": seconds} | dict.fromkeys(_COUNTED, 0))
        else:
            self._grow(self._grown(seconds))
        if self.healthy:
            self.healthy_at = now
        self.tally = after(self.tally, self._sample(now), SETTINGS)

    def _grown(self, seconds: float) -> dict[str, float]:
        drops = self.kicks_per_min if self.drops_per_min is None else self.drops_per_min
        return {
            "observed_s": seconds,
            "connected_s": seconds * self.uptime,
            "authorised_then_lost": self.kicks_per_min * seconds / 60,
            "drops": drops * seconds / 60,
            "never_synchronised_s": self.unsynchronised * seconds,
            "BrokerUnreachable": (self.tries_per_min + drops) * seconds / 60,
        } | {word: n * seconds / 60 for word, n in self.words.items()}

    def _grow(self, grown: dict[str, float]) -> None:
        for name, by in grown.items():
            self.told[name] = self.told.get(name, 0) + by

    @property
    def _is_up(self) -> bool:
        return self.told["observed_s"] > self.starts_for_s

    def _sample(self, now: datetime) -> Sample:
        told = self.told
        words = ("BrokerUnreachable", *self.words)
        evidence = Evidence(
            platform=self.platform.value,
            since=self.begun,
            observed_s=told["observed_s"],
            uptime_ratio=told["connected_s"] / told["observed_s"],
            fresh_starts=self.starts,
            logins=int(self.logins + told["authorised_then_lost"]) if self._is_up else 0,
            drops=int(told["drops"]),
            authorised_then_lost=int(told["authorised_then_lost"]),
            never_synchronised_s=told["never_synchronised_s"],
            reasons={w: int(told[w]) for w in words if w in told and int(told[w])},
            account_flagged=self.flagged,
            valid_data=self.valid,
            last_healthy=self.healthy_at,
        )
        connected = self.healthy or (self.uptime > 0.9 and not self.reason)
        uid = f"{self.name}-{self.platform}-{self.pod}"
        return Sample(Key("ns", self.name), uid, now, evidence, connected, self.reason)


def kicked(name: str = "demo", **how: Any) -> Terminal:
    """Return an account that is let in and thrown out."""
    return Terminal(
        name, **({"kicks_per_min": 2, "uptime": 0.4, "reason": "PlatformRejected"} | how)
    )


def well(name: str = "demo", **how: Any) -> Terminal:
    """Return an account that is steadily connected."""
    return Terminal(name, **({"healthy": True} | how))


@dataclass
class Desk:
    """An operator that reviews one broker, with a clock of its own. Obeys what reviews ask for."""

    terminals: list[Terminal]
    settings: Settings = SETTINGS
    spec: BrokerSpec = field(default_factory=lambda: BrokerSpec(servers=["X-*"]))
    status: BrokerStatus = field(default_factory=BrokerStatus)
    windows_node: bool = True
    bad_network: bool = False
    obeys: bool = True
    reprobe: str = ""
    now: datetime = BEGIN
    last: Reviewed | None = None
    started: datetime = BEGIN

    def watch(self, hours: float, step_s: float = 60) -> Reviewed:
        """Watch for so long."""
        for _ in self.watching(hours, step_s):
            pass
        assert self.last is not None
        return self.last

    def watching(self, hours: float, step_s: float = 60) -> Iterator[Reviewed]:
        """Watch for so long; yield each review."""
        until = self.now + timedelta(hours=hours)
        while self.now < until:
            self.now += timedelta(seconds=step_s)
            for terminal in self.terminals:
                terminal.passed(self.now, step_s)
            yield self.review()

    def review(self) -> Reviewed:
        """Review once."""
        found = review(self.status, self.spec, self._facts(), self.settings)
        self.status, self.last = found.status, found
        for terminal in self.terminals:
            if terminal.tally:
                terminal.tally = replace(terminal.tally, news=type(terminal.tally.news)())
        if found.try_again and self.obeys and self._pause_is_over():
            [chosen] = [t for t in self.terminals if self._same(t, found.try_again[0])]
            chosen.fresh()
            self.started = self.now
        return found

    def restart(self) -> None:
        """Begin anew with what was written, and nothing else."""
        text = self.status.model_dump_json(by_alias=True, exclude_none=True)
        self.status = BrokerStatus.model_validate(msgspec.json.decode(text))
        for terminal in self.terminals:
            terminal.tally = None

    def _facts(self) -> Facts:
        def on(platform: Platform) -> list[Tally]:
            return [t.tally for t in self.terminals if t.tally and t.platform is platform]

        return Facts(
            now=self.now,
            linux=on(Platform.LINUX),
            windows=on(Platform.WINDOWS),
            windows_node=self.windows_node,
            bad_node=lambda _: self.bad_network,
            reprobe=self.reprobe,
        )

    def _pause_is_over(self) -> bool:
        pause = timedelta(seconds=self.settings.broker_fresh_start_pause_s)
        return self.now - self.started >= pause

    def _same(self, terminal: Terminal, tally: Tally) -> bool:
        return terminal.tally is not None and terminal.tally.last is tally.last

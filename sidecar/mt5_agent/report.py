# SPDX-License-Identifier: Apache-2.0
"""What the agent says of itself: one State, rebuilt from what it knows."""

import time
from collections import defaultdict, deque
from collections.abc import Callable
from platform import python_version
from typing import Any, Final

import msgspec

from mt5_agent import __version__
from mt5_agent.classify import DROPS_WINDOW_S, Finding
from mt5_agent.milestones import Milestones
from mt5_agent.protocol import State, StateName, Versions
from mt5_agent.reasons import Reason

JOURNAL_LINES: Final = 20
"""So many last lines of the terminal's journal go with a State."""

_REFUSALS: Final = frozenset(
    {Reason.BAD_CREDENTIALS, Reason.NEEDS_INTERACTION, Reason.TERMINAL_OUTDATED}
)


POLLS_KEPT: Final = 256
"""So many looks of a kind are remembered until a State takes them: minutes without a sidecar."""


def utc_ms() -> int:
    """Return the machine's UTC milliseconds."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Return milliseconds of a clock that nobody sets: what lasts is measured by it."""
    return time.monotonic_ns() // 1_000_000


class Report:
    """The newest State. A reason stays until the account is connected or another reason is
    found."""

    def __init__(self, *, backend: str, platform: str, changed: Callable[[], None]) -> None:
        """Call `changed` whenever the State means something new."""
        self._changed = changed
        versions = Versions(
            agent=__version__, backend=backend, platform=platform, python=python_version()
        )
        self._state = State(state="TerminalStarting", versions=versions, since_ms=utc_ms())
        self._journal: deque[str] = deque(maxlen=JOURNAL_LINES)
        self._drops_s: deque[float] = deque()
        self._ends_s: deque[float] = deque()
        self._milestones = Milestones()
        self._last_healthy_ms = 0
        self.contact_s = 0.0
        """When the terminal answered last, on the monotonic clock."""
        self._beside = ""
        self._polls: defaultdict[str, deque[int]] = defaultdict(lambda: deque(maxlen=POLLS_KEPT))

    @property
    def state(self) -> State:
        """Return it as it is now."""
        evidence = msgspec.structs.replace(
            self._state.evidence,
            last_healthy_ms=self._last_healthy_ms,
            authorised_then_lost=self._milestones.authorised_then_lost,
            unsynchronised_ms=self._milestones.unsynchronised_ms(monotonic_ms()),
        )
        return msgspec.structs.replace(self._state, evidence=evidence, journal=tuple(self._journal))

    @property
    def drops(self) -> int:
        """Return how many links were lost within the last `DROPS_WINDOW_S`."""
        return _recent(self._drops_s)

    @property
    def ends(self) -> int:
        """Return how often the terminal ended by itself within the last `DROPS_WINDOW_S`."""
        return _recent(self._ends_s)

    @property
    def unsynchronised_s(self) -> float:
        """Return for how long the account has been authorised and not synchronised."""
        return self._milestones.waits_ms(monotonic_ms()) / 1000

    def distrust(self, image_fault: str) -> Finding:
        """Say with every reason from now on what the image found wrong about itself."""
        self._beside = f" (The self-test of this image failed: {image_fault}.)"
        self.set(selftest=image_fault)
        return Finding(Reason.TERMINAL_FAULT, "The terminal may not work in this image.")

    def show(self, state: StateName, finding: Finding | None = None) -> None:
        """Be in `state`, for the reason of `finding`."""
        reason, message = self._state.reason, self._state.message
        if finding is not None:
            reason, message = finding.reason.value, finding.message + self._beside
        elif state in {"Connected", "WaitingForLogin"}:
            reason, message = "", ""
        since = self._state.since_ms if state == self._state.state else utc_ms()
        self.set(state=state, reason=reason, message=message, since_ms=since)

    def set(self, **fields: Any) -> None:
        """Change fields of the State, and say so if any differs."""
        new = msgspec.structs.replace(self._state, **fields)
        if new != self._state:
            self._state = new
            self._changed()

    def versions(self, **fields: Any) -> None:
        """Note what runs."""
        self.set(versions=msgspec.structs.replace(self._state.versions, **fields))

    def count(self, name: str) -> None:
        """Add one to a count of the evidence."""
        evidence = self._state.evidence
        self.set(evidence=msgspec.structs.replace(evidence, **{name: getattr(evidence, name) + 1}))

    def attempted(self, finding: Finding) -> None:
        """Count a failed attempt, or a lost link, by its reason."""
        evidence, reason = self._state.evidence, finding.reason
        reasons = {**evidence.reasons, reason.value: evidence.reasons.get(reason.value, 0) + 1}
        refused = evidence.logins_refused + (reason in _REFUSALS)
        self.set(
            evidence=msgspec.structs.replace(evidence, reasons=reasons, logins_refused=refused)
        )

    def dropped(self) -> None:
        """Count a lost link."""
        self._drops_s.append(time.monotonic())
        self.count("drops")

    def terminal_ended(self, *, asked: bool) -> None:
        """Note that whatever was logged in is so no more; `asked`: we ended it."""
        self._milestones.ended(monotonic_ms())
        if not asked:
            self._ends_s.append(time.monotonic())

    def contact(self) -> None:
        """Note that the terminal answered just now; told with the next State."""
        now, self.contact_s = utc_ms(), time.monotonic()
        self._state = msgspec.structs.replace(self._state, last_contact_ms=now)
        if self._state.state == "Connected":
            self._last_healthy_ms = now

    def polled(self, call: str, *, took_s: float) -> None:
        """Note how long a look took; told with the next State."""
        self._polls[call].append(int(took_s * 1_000_000))

    def take_polls(self) -> dict[str, tuple[int, ...]]:
        """Return the microseconds of each look since the last time, by what was asked."""
        taken = {call: tuple(times_us) for call, times_us in self._polls.items()}
        self._polls.clear()
        return taken

    def heard(self, line: str, shown: str) -> None:
        """Count what a line of the terminal's journal means, and keep it as it may be shown."""
        self._journal.append(shown)
        lost = self._milestones.authorised_then_lost
        self._milestones.heard(line, monotonic_ms())
        if self._milestones.authorised_then_lost != lost:
            self._changed()


def _recent(moments_s: deque[float]) -> int:
    while moments_s and time.monotonic() - moments_s[0] > DROPS_WINDOW_S:
        moments_s.popleft()
    return len(moments_s)

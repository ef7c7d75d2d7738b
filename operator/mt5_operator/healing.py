# SPDX-License-Identifier: Apache-2.0
"""Which step to take for an account that does not come back by itself. Pure.

The agent logs in again, starts its worker again and starts the terminal again. Where all that did
not help, the operator goes up its own ladder: a new pod, a clean profile, another node, and then
a person. What was tried is kept in the account's status, outside everything that it replaces.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from mt5_operator.names import Key
from mt5_operator.reasons import Reason
from mt5_operator.settings import Settings
from mt5_operator.spec.parse import Manifest

# Of the eight that a status may hold; the pod only keeps off them if it can.
_NODES_REMEMBERED: Final = 3


class Step(StrEnum):
    """A rung of the ladder."""

    NEW_POD = "NewPod"
    CLEAN_PROFILE = "CleanProfile"
    OTHER_NODE = "OtherNode"


# Something in or around the pod is broken, and a new one may mend it.
LOCAL: Final = frozenset(
    {
        Reason.POD_STARTING,
        Reason.POD_CRASHING,
        Reason.SIDECAR_UNREACHABLE,
        Reason.AGENT_MISSING,
        Reason.CONNECTING,
        Reason.TERMINAL_FAULT,
        Reason.WINE_FAULT,
        Reason.UNKNOWN,
    }
)
# The other end may be the broken one: a new pod is worth a try, a lost profile is not.
REMOTE: Final = frozenset({Reason.DISCONNECTED, Reason.BROKER_UNREACHABLE})


@dataclass(frozen=True)
class Budget:
    """What was tried for an account; `profile` and `avoid` outlive the trouble."""

    taken: int = 0
    step: str = ""
    at: str = ""
    generation: int = 0
    profile: int = 0
    avoid: tuple[str, ...] = ()


def budget(status: Manifest, generation: int) -> Budget:
    """Return what the status remembers; another spec is another try."""
    told = status.get("healing") or {}
    found = Budget(
        taken=told.get("taken", 0),
        step=told.get("step", ""),
        at=told.get("at", ""),
        generation=told.get("generation", 0),
        profile=told.get("profile", 0),
        avoid=tuple(told.get("avoid", ())),
    )
    return found if found.generation == generation else forgotten(found)


def forgotten(before: Budget) -> Budget:
    """Return the budget of an account that is well again: its pod stays as it was made."""
    return Budget(profile=before.profile, avoid=before.avoid)


def as_status(what: Budget) -> dict[str, Any] | None:
    """Return the budget as the status keeps it; None if there is nothing to keep."""
    if what == Budget():
        return None
    told = {"taken": what.taken, "generation": what.generation, "profile": what.profile}
    words = {"step": what.step, "at": what.at, "avoid": list(what.avoid)}
    return told | {name: value for name, value in words.items() if value}


def next_step(reason: Reason, spent: Budget, *, storage: bool, settings: Settings) -> Step | None:
    """Return the next rung; None if there is none left that could help."""
    left = [Step(rung) for rung in settings.heal_ladder[spent.taken :]]
    if reason in REMOTE:
        return Step.NEW_POD if left[:1] == [Step.NEW_POD] else None
    # Without storage a new pod has a clean profile already.
    fits = [step for step in left if storage or step is not Step.CLEAN_PROFILE]
    return next(iter(fits), None)


def exhausted(reason: Reason, spent: Budget, *, storage: bool, settings: Settings) -> bool:
    """Tell whether everything was tried, so that a person must look."""
    tried = spent.taken > 0 or not settings.heal_ladder
    over = next_step(reason, spent, storage=storage, settings=settings) is None
    return reason in LOCAL and tried and over and bool(settings.heal_ladder)


def paid(
    spent: Budget, step: Step, *, node: str, generation: int, now: str, settings: Settings
) -> Budget:
    """Return the budget after a step, rungs that were left out included."""
    ladder = settings.heal_ladder
    rung = ladder.index(step.value, spent.taken) + 1
    avoid = (*(name for name in spent.avoid if name != node), node)[-_NODES_REMEMBERED:]
    return replace(
        spent,
        taken=rung,
        step=step.value,
        at=now,
        generation=generation,
        profile=spent.profile + (step is Step.CLEAN_PROFILE),
        avoid=avoid if step is Step.OTHER_NODE and node else spent.avoid,
    )


def patience_s(key: Key, taken: int, settings: Settings) -> float:
    """Return how long a trouble may last before the next step; twice as long after each.

    The jitter is an account's own, so that accounts that fell together do not step together.
    """
    share = zlib.crc32(f"{key} {taken}".encode()) / 2**32
    doubled: float = settings.heal_after_s * 2**taken
    return min(settings.heal_after_max_s, doubled) * (1 + share * settings.heal_jitter)

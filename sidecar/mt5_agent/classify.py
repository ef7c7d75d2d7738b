# SPDX-License-Identifier: Apache-2.0
"""Why an account is not connected: a pure function of last_error, journal lines and timings.

The ladder is MT5.md 4. A failed log-in alone never says that a platform is refused.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from mt5_agent.journal_lines import (
    AUTHORIZED,
    CRASH,
    FAILED,
    LOST,
    NETWORK,
    NO_CONNECTION,
    NO_SYNCHRONISATION,
    WINE,
)
from mt5_agent.reasons import Reason

DROPS_OF_A_KICK: Final = 5
"""So many lost links within `DROPS_WINDOW_S` look like being kicked. Source: MT5.md 4, row 8."""
DROPS_WINDOW_S: Final = 600
"""No knob: with these an account is said not to get on with its platform, which moves accounts."""
ENDS_OF_A_FAULT: Final = 3
"""A terminal that ended so often within `DROPS_WINDOW_S` does not get on with this image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is known of a log-in, or of a session that broke."""

    server: str
    platform: str
    code: int = 0
    """last_error's code; 0 while the log-in still runs."""
    text: str = ""
    lines: tuple[str, ...] = ()
    """Messages of the journal since the log-in began, oldest first."""
    silent: bool = False
    """Nothing was written for as long as a known server never takes."""
    known_server: bool = False
    """This agent has logged in there: that the terminal says nothing is another matter."""
    terminal_runs: bool = True
    drops: int = 0
    """Links lost within the last `DROPS_WINDOW_S`."""
    ends: int = 0
    """Ends of the terminal process within the last `DROPS_WINDOW_S` that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A reason of the closed list, and a sentence that says what to do."""

    reason: Reason
    message: str
    final: bool = False
    """Trying again could lock the account: wait for another log-in."""


_Make = Callable[[Sight, re.Match[str]], Finding]


def finding(sight: Sight) -> Finding | None:
    """Return why `sight` is not a connected account; None while nothing says so."""
    for look in (_local_fault, _kicked, _from_journal, _from_error, _from_silence):
        found = look(sight)
        if found is not None:
            return found
    return None


def _local_fault(sight: Sight) -> Finding | None:
    if any(WINE.search(line) for line in sight.lines):
        return Finding(
            Reason.WINE_FAULT,
            "The terminal refuses to run on this image's Wine: use an image with Wine 10.0.",
        )
    if sight.platform == "Linux" and (_crashed(sight) or _keeps_ending(sight)):
        return Finding(
            Reason.WINE_FAULT,
            f"The terminal crashed under Wine ({sight.ends} ends in {DROPS_WINDOW_S // 60} min): "
            "it is started again; if this goes on, use another terminal image.",
        )
    return None


def _crashed(sight: Sight) -> bool:
    return not sight.terminal_runs and any(CRASH.search(line) for line in sight.lines)


def _keeps_ending(sight: Sight) -> bool:
    return not sight.terminal_runs and sight.ends >= ENDS_OF_A_FAULT


def _kicked(sight: Sight) -> Finding | None:
    if sight.drops < DROPS_OF_A_KICK or not sight.lines or not LOST.search(sight.lines[-1]):
        return None
    return Finding(
        Reason.PLATFORM_REJECTED,
        f"{sight.server} accepts the log-in and then drops it ({sight.drops} times in "
        f"{DROPS_WINDOW_S // 60} min) on {sight.platform}: if other accounts on this node are "
        "stable, move it to the other platform with spec.brokerCompatibility.",
    )


def _from_journal(sight: Sight) -> Finding | None:
    for line in reversed(sight.lines):
        if AUTHORIZED.search(line):
            return None
        for pattern, make in _RULES:
            if match := pattern.search(line):
                return make(sight, match)
    return None


def _from_error(sight: Sight) -> Finding | None:
    match sight.code:
        case -6:
            return _bad_credentials(sight, sight.text)
        case -7:
            return _NEEDS_INTERACTION
        case -5:
            return _OUTDATED
        case -10003 if _MISSING.search(sight.text):
            return missing()
        case -10001 | -10002 | -10003 | -10004:
            return _unanswered(sight)
        case _:
            return None


def _from_silence(sight: Sight) -> Finding | None:
    if not sight.terminal_runs:
        return Finding(Reason.TERMINAL_FAULT, "The terminal ended; it is started again.")
    silent = not _spoke_of_network(sight.lines)
    if sight.code == -10005 and silent and sight.known_server:
        return _unanswered(sight)
    if (sight.silent or sight.code == -10005) and silent and not sight.known_server:
        return Finding(
            Reason.SERVER_UNKNOWN,
            f"The terminal does not know the server {sight.server}: check spec.server against the "
            "broker's list, or use an image with the broker's own terminal.",
        )
    if sight.code == -10005:
        return _unreachable(sight, "authorised but never synchronised")
    return None


def no_worker(platform: str, backend: str) -> Finding:
    """Return what is said when no worker can be started: the package cannot be imported."""
    if platform == "Linux" and backend == "metatrader5":
        return Finding(
            Reason.WINE_FAULT,
            "Windows Python does not run under this image's Wine, or cannot import MetaTrader5: "
            "read the agent's log, and use another terminal image.",
        )
    return Finding(
        Reason.TERMINAL_FAULT, "The agent's worker cannot be started: read the agent's log."
    )


def missing(hint: str = "") -> Finding:
    """Return what is said when there is no terminal to start; `hint` is the image's own advice."""
    return Finding(Reason.TERMINAL_MISSING, hint or _MISSING_HINT)


def _unanswered(sight: Sight) -> Finding:
    return Finding(
        Reason.TERMINAL_FAULT,
        f"The terminal does not answer (last_error {sight.code} {sight.text}): it is asked again, "
        "and started afresh when it stays silent; if this goes on, read its journal.",
    )


def _spoke_of_network(lines: Iterable[str]) -> bool:
    return any(NETWORK.search(line) for line in lines)


def _bad_credentials(sight: Sight, words: str) -> Finding:
    return Finding(
        Reason.BAD_CREDENTIALS,
        f"{sight.server} refused login or password ({words}): put the right password into the "
        "account's Secret, or check that the account has not expired. It is not tried again until "
        "the Secret changes.",
        final=True,
    )


def _unreachable(sight: Sight, words: str) -> Finding:
    return Finding(
        Reason.BROKER_UNREACHABLE,
        f"{sight.server} cannot be reached ({words}): check egress to the broker and its status; "
        "it is tried again.",
    )


def _failed(sight: Sight, match: re.Match[str]) -> Finding:
    words = match["why"]
    if _TRANSIENT.search(words):
        return _unreachable(sight, words)
    if _ONE_TIME.search(words):
        return _NEEDS_INTERACTION
    if _VERSION.search(words):
        return _OUTDATED
    return _bad_credentials(sight, words)


_MISSING_HINT: Final = (
    "This pod has no terminal: build the image with one, or mount one (docs/wine.md). It is looked "
    "for again."
)
_NEEDS_INTERACTION: Final = Finding(
    Reason.NEEDS_INTERACTION,
    "The broker asks for a one-time password or a certificate, which only a person can give: turn "
    "that off for this account, or log in once in the terminal.",
    final=True,
)
_OUTDATED: Final = Finding(
    Reason.TERMINAL_OUTDATED,
    "The broker no longer accepts this terminal's build: update the terminal image.",
)

_TRANSIENT: Final = re.compile(r"service is not available|common error|no connection|timeout", re.I)
_ONE_TIME: Final = re.compile(r"\botp\b|one.time|certificate", re.IGNORECASE)
_VERSION: Final = re.compile(r"version|old build", re.IGNORECASE)
_MISSING: Final = re.compile(r"process create failed|not found", re.IGNORECASE)
_RULES: Final[tuple[tuple[re.Pattern[str], _Make], ...]] = (
    (FAILED, _failed),
    (NO_CONNECTION, lambda sight, _: _unreachable(sight, "no connection")),
    (NO_SYNCHRONISATION, lambda sight, _: _unreachable(sight, "no synchronisation")),
    (LOST, lambda sight, _: _unreachable(sight, "connection lost")),
)

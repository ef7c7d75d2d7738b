# SPDX-License-Identifier: Apache-2.0
"""The closed list of reasons that conditions and routes may carry.

`docs/reasons.md` tells for each what it means and what to do; a test compares the two.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a condition is as it is."""

    # It works, or is on its way.
    CONNECTED = "Connected"
    POD_STARTING = "PodStarting"
    CONNECTING = "Connecting"
    DISCONNECTED = "Disconnected"
    SUSPENDED = "Suspended"
    POD_READY = "PodReady"
    CREDENTIALS_ACCEPTED = "CredentialsAccepted"
    CREDENTIALS_UNTRIED = "CredentialsUntried"
    ROUTE_PUBLISHED = "RoutePublished"
    NO_ACTIVE_SLOT = "NoActiveSlot"
    ASSUMED_COMPATIBLE = "AssumedCompatible"
    CHOSEN_BY_USER = "ChosenByUser"
    # Updates (docs/updates.md).
    MOVING = "Moving"
    RESIZING = "Resizing"
    UPDATE_QUEUED = "UpdateQueued"
    UPDATE_HELD = "UpdateHeld"
    MOVE_FAILED = "MoveFailed"
    INVALID_RESTART_AT = "InvalidRestartAt"
    # Where an account runs, and what is known of its broker.
    CHOSEN_BY_BROKER = "ChosenByBroker"
    BROKER_ACCEPTS_LINUX = "BrokerAcceptsLinux"
    BROKER_REQUIRES_WINDOWS = "BrokerRequiresWindows"
    MOVE_HELD = "MoveHeld"
    NOT_TRIED_YET = "NotTriedYet"
    TRIAL_RUNNING = "TrialRunning"
    LINUX_SUSPECTED = "LinuxSuspected"
    NO_WINDOWS_NODE = "NoWindowsNode"
    WINDOWS_FAILED_ALIKE = "WindowsFailedAlike"
    SAME_PATTERN = "SamePattern"
    BROKER_OUTAGE = "BrokerOutage"
    TOO_MANY_BROKERS = "TooManyBrokers"
    # Events of a move.
    MOVED_TO_WINDOWS = "MovedToWindows"
    MOVED_TO_LINUX = "MovedToLinux"
    FRESH_START = "FreshStart"
    MOVED = "Moved"
    MOVE_CANCELLED = "MoveCancelled"
    TRADER_VANISHED = "TraderVanished"
    LOST_AFTER_MOVE = "LostAfterMove"
    # Events of resources that change in place, of the ladder, and of keys.
    RESIZED = "Resized"
    NOT_RESIZED = "NotResized"
    HEALING = "Healing"
    INVALID_API_KEY = "InvalidApiKey"
    # The account's object asks for something that cannot be.
    INVALID_SPEC = "InvalidSpec"
    UNKNOWN_FIELD = "UnknownField"
    ACCOUNT_ID_CONFLICT = "AccountIdConflict"
    QUOTA_EXCEEDED = "QuotaExceeded"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason
    # The cluster.
    NO_CAPACITY = "NoCapacity"
    VOLUME_UNAVAILABLE = "VolumeUnavailable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    POD_CRASHING = "PodCrashing"
    WORKLOAD_REFUSED = "WorkloadRefused"
    NAME_TAKEN = "NameTaken"
    ROUTE_STORE_UNAVAILABLE = "RouteStoreUnavailable"
    SIDECAR_UNREACHABLE = "SidecarUnreachable"
    NODE_LOST = "NodeLost"
    HEALING_EXHAUSTED = "HealingExhausted"
    # Told by the sidecar.
    AGENT_MISSING = "AgentMissing"
    BAD_CREDENTIALS = "BadCredentials"
    SERVER_UNKNOWN = "ServerUnknown"
    BROKER_UNREACHABLE = "BrokerUnreachable"
    NEEDS_INTERACTION = "NeedsInteraction"
    TERMINAL_OUTDATED = "TerminalOutdated"
    TERMINAL_MISSING = "TerminalMissing"
    TERMINAL_FAULT = "TerminalFault"
    ALGO_TRADING_DISABLED = "AlgoTradingDisabled"
    SELF_TEST_FAILED = "SelfTestFailed"
    JOURNAL_FAULT = "JournalFault"
    WINE_FAULT = "WineFault"
    PLATFORM_REJECTED = "PlatformRejected"
    UNKNOWN = "Unknown"


# Nothing gets better here until a person acts; all other troubles may pass by themselves.
NEEDS_A_PERSON: Final = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.UNKNOWN_FIELD,
        Reason.ACCOUNT_ID_CONFLICT,
        Reason.QUOTA_EXCEEDED,
        Reason.HEALING_EXHAUSTED,
        Reason.SECRET_MISSING,
        Reason.WORKLOAD_REFUSED,
        Reason.BAD_CREDENTIALS,
        Reason.SERVER_UNKNOWN,
        Reason.NEEDS_INTERACTION,
        Reason.TERMINAL_OUTDATED,
        Reason.ALGO_TRADING_DISABLED,
        Reason.PLATFORM_REJECTED,
    }
)

# A normal start: no Event is worth it.
ON_ITS_WAY: Final = frozenset({Reason.POD_STARTING, Reason.CONNECTING})


def known(word: str) -> Reason | None:
    """Return the reason that `word` names; None if it is not in the list."""
    return Reason(word) if word in Reason.__members__.values() else None

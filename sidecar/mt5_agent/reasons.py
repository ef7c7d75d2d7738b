# SPDX-License-Identifier: Apache-2.0
"""The agent's part of the closed list of reasons; `docs/reasons.md` says what to do for each."""

from enum import StrEnum


class Reason(StrEnum):
    """Why an account is not connected, as far as the agent can see."""

    BAD_CREDENTIALS = "BadCredentials"
    SERVER_UNKNOWN = "ServerUnknown"
    BROKER_UNREACHABLE = "BrokerUnreachable"
    NEEDS_INTERACTION = "NeedsInteraction"
    TERMINAL_OUTDATED = "TerminalOutdated"
    TERMINAL_MISSING = "TerminalMissing"
    TERMINAL_FAULT = "TerminalFault"
    WINE_FAULT = "WineFault"
    PLATFORM_REJECTED = "PlatformRejected"

# SPDX-License-Identifier: Apache-2.0
"""Why we close a WebSocket. 1xxx are RFC 6455's, 4xxx ours (docs/api.md)."""

from enum import IntEnum


class Close(IntEnum):
    """The codes that clients may meet."""

    NOT_A_FRAME = 1002
    NOT_TEXT = 1007
    TOO_BIG = 1009
    INTERNAL = 1011
    RESTART = 1012
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    TOO_SLOW = 4008
    TOO_MANY_MESSAGES = 4029

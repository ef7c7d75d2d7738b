# SPDX-License-Identifier: Apache-2.0
"""Everything that can go wrong, by what the caller can do about it.

BridgeError
    CallerError                 change the request
        InvalidRequest
        UnknownPath
        UnknownMethod
        BodyTooLarge
        UnknownSymbol
        Misdirected             this pod is not that account
    Denied                      change who asks, or what they may do
        Unauthenticated
        Forbidden
        TradingDisabled
        OriginRefused           a web page of an origin that is not listed
    Unavailable                 come back later
        AccessUnavailable       no key table has been published yet
        TerminalUnavailable     no agent, or not logged in
        TerminalTimeout         the terminal did not answer in time
        TerminalRefused         the terminal answered with an error of its own
        SnapshotTooOld          older than the caller accepts
        TooManyRequests         of this key, or of the account
        TooManySockets
        TooManySymbols          of all clients of this account together
        Draining
    TradeEnded                  the trade's key has its last word, and it is not yes
        OrderRefused
        OrderNotSent
        OutcomeUnknowable
    Unexpected                  our fault
"""

import contextlib
from collections.abc import Iterator
from typing import Any, Final

# Codes at and below are about the terminal, not about what it was asked. Source: MT5.md 3.6.
FIRST_INTERNAL_FAIL: Final = -10000


class BridgeError(Exception):
    """The root: what a client may be told, and nothing it may not."""

    def __init__(self, detail: str = "", **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class CallerError(BridgeError):
    """The request cannot be right, whoever sends it and whenever."""


class InvalidRequest(CallerError):
    """A parameter, header or body has no meaning here."""


class UnknownPath(CallerError):
    """No operation lives at this path."""


class UnknownMethod(CallerError):
    """The path exists, but not with this method."""


class BodyTooLarge(CallerError):
    """The body is longer than the sidecar reads."""


class UnknownSymbol(CallerError):
    """The broker has no such symbol."""


class Misdirected(CallerError):
    """The request was routed for another account than this pod's."""


class Denied(BridgeError):
    """Who asks may not have it."""


class Unauthenticated(Denied):
    """No key, an unknown one, or one that has ended."""


class Forbidden(Denied):
    """The key is good, but not for this account or scope."""


class TradingDisabled(Denied):
    """`spec.trading.enabled` of the account is false."""


class OriginRefused(Denied):
    """Pages of this origin may not open a stream: `cors_origins` lists those that may."""


class Unavailable(BridgeError):
    """Nothing is wrong with the request; now is not the time."""


class AccessUnavailable(Unavailable):
    """No readable key table is mounted, so nobody can be let in."""


class TerminalUnavailable(Unavailable):
    """The account is not connected; `reason` in the problem says why."""


class TerminalTimeout(Unavailable):
    """The terminal gave no answer before the deadline: the outcome is unknown."""


class TerminalRefused(Unavailable):
    """The package answered None or False; `code` in the problem is its last_error."""

    @property
    def of_terminal(self) -> bool:
        """The terminal itself failed: this says nothing of what it was asked."""
        return int(self.extra.get("code", 0)) <= FIRST_INTERNAL_FAIL

    @classmethod
    @contextlib.contextmanager
    def of_symbol(cls, detail: str) -> Iterator[None]:
        """Tell a refusal inside as the symbol's, in these words, unless the terminal failed.

        Raises:
            UnknownSymbol: it was refused for what was asked.
        """
        try:
            yield
        except cls as error:
            if error.of_terminal:
                raise
            raise UnknownSymbol(detail) from error


class SnapshotTooOld(Unavailable):
    """What is known is older than the `max_age` that was asked for."""


class TooManyRequests(Unavailable):
    """The key, or all callers together, ask for more than this account answers."""


class TooManySockets(Unavailable):
    """Every WebSocket place of this account is taken."""


class TooManySymbols(Unavailable):
    """All streams of this account together would have more symbols watched than are polled."""


class Draining(Unavailable):
    """The pod is going away; connect again and reach its successor."""


class TradeEnded(BridgeError):
    """What became of a trade that was not carried out; `extra` is its whole outcome."""


class OrderRefused(TradeEnded):
    """The broker said no: nothing was made; `retcode_name` says why."""


class OrderNotSent(TradeEnded):
    """The trade was proven not to have been made; asking again takes a new key."""


class OutcomeUnknowable(TradeEnded):
    """Whether the change was made cannot be known any more: look at its target."""


class Unexpected(BridgeError):
    """A fault of ours; the log has it under the request id."""

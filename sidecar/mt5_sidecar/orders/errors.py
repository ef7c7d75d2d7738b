# SPDX-License-Identifier: Apache-2.0
"""Everything that keeps a trade from being made, by what the caller can do about it.

Each class carries the problem `slug` and HTTP `status` under which the API tells it.

OrderError
    BadTrade                    422  change the request; its key is still free
        BadKey                  400
        BadBody                 400
        BrokenLimit             422  the symbol does not take it; `limit` names which rule
        UnknownTarget           404  no such position or order is open
    OverLimit                   403  the account's own limits; `limit` names which
    TooManyOrders               429  orders per minute
    KeyConflict
        KeyReused               422  the key was used with another body
        KeyInFlight             409  the same request is being carried out now
        KeyUnknown              404  no request with this key is remembered
        KeyOfEarlierLife        409  it was carried out, and the journal that knew how is lost
        NotAmbiguous            409  a person's word on its outcome is not needed (any more)
        NotACandidate           422  that order cannot be what became of it
    LookalikeUnknown            409  a trade just like this one has an unknown outcome
    NotTrading                       now is not the time; the key is still free
        Fenced                  503  another slot trades for this account
        Reconciling             503  open outcomes are being looked for first
        Settling                503  the terminal may not have its whole history yet
        NoPrice                 503  the symbol has no price yet
        BrokerTimeUnknown       503  a time cannot be put on the broker's clock yet
        Busy                    503  too many trades wait for their turn
        Stopping                503  the sidecar is going away
    JournalError
        JournalUnreadable       503  the file is not a journal, or is damaged
        JournalForeign          503  the file is another account's
        JournalTooNew           503  the file was written by a later version
        JournalBusy             503  another process has it open
        JournalFailed           503  a write failed: disk full, I/O error
    HandoverUnreadable          503  another slot's journal came damaged; the operator is told
"""

from typing import Any, ClassVar


class OrderError(Exception):
    """The root. `extra` holds what a program needs beside the words of `detail`."""

    slug: ClassVar[str] = "order-error"
    status: ClassVar[int] = 500

    def __init__(self, detail: str = "", **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra


class BadTrade(OrderError):
    """The request cannot be right now, for this symbol. Problem `bad-trade`, 422."""

    slug = "bad-trade"
    status = 422


class BadKey(BadTrade):
    """No idempotency key, or one of other characters. Problem `bad-key`, 400."""

    slug = "bad-key"
    status = 400


class BadBody(BadTrade):
    """The body has no meaning here. Problem `bad-body`, 400."""

    slug = "bad-body"
    status = 400


class BrokenLimit(BadTrade):
    """The symbol does not take it. Problem `broken-limit`, 422.

    `limit` is the rule's name, `value` what was asked, `allowed` what would have been taken, and
    `retcode` what the broker would have said.
    """

    slug = "broken-limit"

    def __init__(self, limit: str, *, value: object, allowed: object, retcode: int) -> None:
        super().__init__(
            f"{limit}: {value} is not allowed, {allowed} is",
            limit=limit,
            value=str(value),
            allowed=str(allowed),
            retcode=retcode,
        )
        self.limit = limit
        self.retcode = retcode


class UnknownTarget(BadTrade):
    """No such position or order is open. Problem `unknown-target`, 404."""

    slug = "unknown-target"
    status = 404


class OverLimit(OrderError):
    """The account's own limits forbid it (`spec.trading`). Problem `over-limit`, 403."""

    slug = "over-limit"
    status = 403


class TooManyOrders(OrderError):
    """`spec.trading.ordersPerMinute` is used up. Problem `too-many-orders`, 429 + Retry-After."""

    slug = "too-many-orders"
    status = 429


class KeyConflict(OrderError):
    """The key says something else than the caller thinks."""

    slug = "key-conflict"
    status = 409


class KeyReused(KeyConflict):
    """The key was used with another body: nothing was sent now. Problem `key-reused`, 422."""

    slug = "key-reused"
    status = 422


class KeyInFlight(KeyConflict):
    """The same request is being carried out now; ask again. Problem `key-in-flight`, 409."""

    slug = "key-in-flight"


class KeyUnknown(KeyConflict):
    """No request with this key is remembered. Problem `key-unknown`, 404."""

    slug = "key-unknown"
    status = 404


class KeyOfEarlierLife(KeyConflict):
    """A trade of this key was made, and the journal that knew which is lost.

    The same request with the same key is answered with what became of it, and sends nothing.
    Problem `key-of-earlier-life`, 409.
    """

    slug = "key-of-earlier-life"


class NotAmbiguous(KeyConflict):
    """No person need say what became of the key: a look tells it. Problem `not-ambiguous`, 409."""

    slug = "not-ambiguous"


class NotACandidate(KeyConflict):
    """The order is none of `candidates`, which could be the key's. `not-a-candidate`, 422."""

    slug = "not-a-candidate"
    status = 422


class LookalikeUnknown(OrderError):
    """A trade just like this one, of another key, has an unknown outcome.

    Nothing was sent and the key is still free: wait until the other is resolved. Problem
    `lookalike-unknown`, 409; `other_key` names it.
    """

    slug = "lookalike-unknown"
    status = 409


class NotTrading(OrderError):
    """Nothing is wrong with the request, nothing was sent, the key is free. 503 + Retry-After."""

    slug = "not-trading"
    status = 503


class Fenced(NotTrading):
    """Another slot trades for this account, or none was activated. Problem `fenced`, 503."""

    slug = "fenced"


class Reconciling(NotTrading):
    """What was open when the sidecar ended is looked for first. Problem `reconciling`, 503."""

    slug = "reconciling"


class Settling(NotTrading):
    """The terminal may not have its whole history yet. Problem `settling`, 503."""

    slug = "settling"


class NoPrice(NotTrading):
    """The symbol has no price yet. Problem `no-price`, 503."""

    slug = "no-price"


class BrokerTimeUnknown(NotTrading):
    """A time cannot be put on the broker's clock yet. Problem `broker-time-unknown`, 503."""

    slug = "broker-time-unknown"


class Busy(NotTrading):
    """Too many trades wait for their turn at the terminal. Problem `busy`, 503."""

    slug = "busy"


class Stopping(NotTrading):
    """The sidecar is going away; its successor will trade. Problem `stopping`, 503."""

    slug = "stopping"


class JournalError(OrderError):
    """Without a journal nothing is sent. Problem `journal`, 503; an operator must look."""

    slug = "journal"
    status = 503


class JournalUnreadable(JournalError):
    """The file is not a journal, or is damaged. Problem `journal-unreadable`, 503."""

    slug = "journal-unreadable"


class JournalForeign(JournalError):
    """The file is another account's. Problem `journal-foreign`, 503."""

    slug = "journal-foreign"


class JournalTooNew(JournalError):
    """The file was written by a later version. Problem `journal-too-new`, 503."""

    slug = "journal-too-new"


class JournalBusy(JournalError):
    """Another process has the file open. Problem `journal-busy`, 503."""

    slug = "journal-busy"


class JournalFailed(JournalError):
    """A write failed: disk full, I/O error. Problem `journal-failed`, 503."""

    slug = "journal-failed"


class HandoverUnreadable(OrderError):
    """What another slot handed over is damaged; our file is well. `handover-unreadable`, 503."""

    slug = "handover-unreadable"
    status = 503

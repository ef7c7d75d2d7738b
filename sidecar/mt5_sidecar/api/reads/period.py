# SPDX-License-Identifier: Apache-2.0
"""The period that history is asked for, on both clocks."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from mt5_sidecar.api.requests.parameters import moment_s, whole
from mt5_sidecar.domain.clock import broker_time_iso, now_ms
from mt5_sidecar.errors import InvalidRequest
from mt5_sidecar.orders.errors import BrokerTimeUnknown

DAY_S: Final = 86_400
DEFAULT_DAYS: Final = 7
# Part of the API (OpenAPI tells it), and no setting: one client works with every account.
MOST_DAYS: Final = 3660
# Clocks of brokers are less than this from UTC.
WIDEST_ZONE_S: Final = 14 * 3600
# The package cuts dates to 32 bits, which end in 2038 (MT5.md 3.5); nothing is later.
LATEST_S: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Period:
    """Seconds of the broker's clock, both ends included; `zone_s` leads back to UTC."""

    from_s: int
    to_s: int
    zone_s: int | None

    def has(self, broker_ms: int) -> bool:
        """Say whether a moment is within."""
        return self.from_s * 1000 <= broker_ms < (self.to_s + 1) * 1000

    @property
    def utc(self) -> tuple[str | None, str | None]:
        """The ends as UTC text; None while the zone is unknown."""
        first, last = (broker_time_iso(s * 1000, self.zone_s) for s in (self.from_s, self.to_s))
        return first, last


def period(request: web.Request, zone_s: int | None) -> Period:
    """Return what `?days=`, or `?from=` and `?to=`, mean.

    Raises:
        InvalidRequest: They mean nothing.
        BrokerTimeUnknown: Moments cannot be put on the broker's clock yet; days can.
    """
    from_s, to_s = moment_s(request, "from"), moment_s(request, "to")
    if from_s is None and to_s is None:
        return _days(whole(request, "days", default=DEFAULT_DAYS, most=MOST_DAYS), zone_s)
    if "days" in request.query or from_s is None:
        raise InvalidRequest("send days, or from and perhaps to")
    return between(from_s, now_ms() // 1000 if to_s is None else to_s, zone_s)


def between(from_s: int, to_s: int, zone_s: int | None) -> Period:
    """Return the period between two moments of UTC.

    Raises:
        InvalidRequest, BrokerTimeUnknown: As `period`.
    """
    if zone_s is None:
        detail = "the broker's clock is not known yet: ask for days"
        raise BrokerTimeUnknown(detail, retry_after_s=5)
    if from_s > to_s:
        raise InvalidRequest("from is later than to")
    return Period(_within(from_s + zone_s), _within(to_s + zone_s), zone_s)


def _within(broker_s: int) -> int:
    return min(max(0, broker_s), LATEST_S)


def _days(days: int, zone_s: int | None) -> Period:
    now_s = now_ms() // 1000
    early_s = -WIDEST_ZONE_S if zone_s is None else zone_s
    # A day more than now: the broker's clock may be ahead (MT5.md 5).
    return Period(now_s + early_s - days * DAY_S, now_s + (zone_s or 0) + DAY_S, zone_s)

# SPDX-License-Identifier: Apache-2.0
"""How much one caller, and all together, may ask of this account."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from mt5_sidecar.api.limits.bucket import Bucket
from mt5_sidecar.errors import TooManyRequests
from mt5_sidecar.settings import Settings

# A caller who is forgotten begins with a full bucket; it takes as many others to be forgotten.
MOST_CALLERS: Final = 4096


class Limits:
    """One bucket a caller, one for the account; a rate of 0 is no limit."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._callers: OrderedDict[str, Bucket] = OrderedDict()
        self._account = self._new(settings.account_requests_per_s, settings.account_request_burst)

    def take(self, subject: str, *, refused: bool = False) -> None:
        """Count one request of `subject`; one that is `refused` costs the account nothing.

        Raises:
            TooManyRequests: It is one too many; `retry_after_s` says for how long.
        """
        now_s, settings = self._clock(), self._settings
        if settings.key_requests_per_s:
            self._take(self._caller(subject), "key", now_s)
        if settings.account_requests_per_s and not refused:
            self._take(self._account, "account", now_s)

    def renew(self) -> None:
        """Begin anew with full buckets, as the settings are now."""
        settings = self._settings
        self._callers.clear()
        self._account = self._new(settings.account_requests_per_s, settings.account_request_burst)

    def _take(self, bucket: Bucket, limit: str, now_s: float) -> None:
        if not bucket.take(now_s):
            raise TooManyRequests(
                f"too many requests of this {limit}", limit=limit, retry_after_s=bucket.wait_s
            )

    def _caller(self, subject: str) -> Bucket:
        bucket = self._callers.get(subject)
        if bucket is not None:
            self._callers.move_to_end(subject)
            return bucket
        settings = self._settings
        bucket = self._new(settings.key_requests_per_s, settings.key_request_burst)
        self._callers[subject] = bucket
        if len(self._callers) > MOST_CALLERS:
            self._callers.popitem(last=False)
        return bucket

    def _new(self, per_s: float, burst: float) -> Bucket:
        return Bucket(per_s, burst, burst, self._clock())

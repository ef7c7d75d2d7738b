# SPDX-License-Identifier: Apache-2.0
"""Terminals say what is no time and no number: it is shown as far as it can be."""

from decimal import Decimal

import pytest

from mt5_sidecar.domain.clock import LATEST_MS, broker_time_iso, utc_iso
from mt5_sidecar.domain.numbers import fixed


@pytest.mark.parametrize("raw_ms", [2**62, -(2**62), -1, LATEST_MS + 7_200_001, 7_199_999])
def test_a_broker_time_that_is_none_is_shown_raw_only(raw_ms: int) -> None:
    assert broker_time_iso(raw_ms, 7200) is None


def test_the_last_moment_that_can_be_written_is_written() -> None:
    assert broker_time_iso(LATEST_MS + 7_200_000, 7200) == "9999-12-31T23:59:59.999Z"


def test_a_clock_beyond_all_bounds_is_shown_at_its_bound() -> None:
    assert utc_iso(2**62) == "9999-12-31T23:59:59.999Z"
    assert utc_iso(-(2**62)) == "1970-01-01T00:00:00.000Z"


@pytest.mark.parametrize(("digits", "shown"), [(-3, "1"), (2**31, "1.23456789")])
def test_digits_that_no_symbol_has_are_the_nearest_that_one_has(digits: int, shown: str) -> None:
    assert fixed(1.23456789, digits) == Decimal(shown)

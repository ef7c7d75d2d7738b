# SPDX-License-Identifier: Apache-2.0
from typing import Any

import msgspec
import pytest

from mt5_sidecar.api.ws.commands import Incoming
from mt5_sidecar.domain.decoding import why_not
from mt5_sidecar.orders import NewOrder

ORDER = {"symbol": "EURUSD", "side": "buy", "type": "market", "volume": "1"}


def refused(sent: Any, kind: Any) -> str:
    with pytest.raises(msgspec.DecodeError) as caught:
        msgspec.json.decode(msgspec.json.encode(sent), type=kind)
    return why_not(caught.value, kind)


@pytest.mark.parametrize(
    ("sent", "kind", "told"),
    [
        (
            ORDER | {"side": "by"},
            NewOrder,
            "Invalid enum value 'by' - at `$.side`: use one of buy, sell",
        ),
        (
            ORDER | {"filling": "all"},
            NewOrder,
            "Invalid enum value 'all' - at `$.filling`: use one of boc, fok, ioc, return",
        ),
        (
            {"type": "subscribe", "data": {"channels": ["prices"]}},
            Incoming,
            "Invalid enum value 'prices' - at `$.data.channels[0]`: use one of account_info, ",
        ),
        (
            {"type": "hello"},
            Incoming,
            "Invalid value 'hello' - at `$.type`: use one of subscribe, unsubscribe, heartbeat, ",
        ),
        (
            ORDER | {"stop_loss": 1},
            NewOrder,
            "Object contains unknown field `stop_loss`: use one of symbol, side, type, volume, ",
        ),
    ],
)
def test_a_word_that_is_not_known_is_answered_with_those_that_are(
    sent: Any, kind: Any, told: str
) -> None:
    assert refused(sent, kind).startswith(told)


@pytest.mark.parametrize(
    ("sent", "kind", "told"),
    [
        ({"symbol": "EURUSD"}, NewOrder, "Object missing required field `side`"),
        (ORDER | {"side": 1}, NewOrder, "Expected `str`, got `int` - at `$.side`"),
        ([], NewOrder, "Expected `object`, got `array`"),
    ],
)
def test_what_is_no_question_of_words_is_told_as_it_is(sent: Any, kind: Any, told: str) -> None:
    assert refused(sent, kind) == told


def test_a_value_that_looks_like_a_place_is_none() -> None:
    told = refused(ORDER | {"side": "x' - at `$.type`"}, NewOrder)

    assert told.endswith(" - at `$.side`: use one of buy, sell")


def test_of_a_long_value_only_the_beginning_comes_back() -> None:
    told = refused(ORDER | {"side": "x" * 10_000}, NewOrder)

    assert len(told) < 300
    assert told.endswith("`$.side`: use one of buy, sell")


def test_of_a_long_field_only_the_beginning_comes_back() -> None:
    assert len(refused(ORDER | {" - at `$." + "x" * 10_000: 1}, NewOrder)) < 300

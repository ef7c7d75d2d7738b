# SPDX-License-Identifier: Apache-2.0
from decimal import Decimal

import pytest

from mt5_sidecar.orders import Ask, CancelOrder, ModifyOrder, ModifyPosition, NewOrder, parse
from mt5_sidecar.orders.bodies import fingerprint
from mt5_sidecar.orders.errors import BadBody


def body(volume: str) -> bytes:
    return f'{{"symbol":"EURUSD","side":"buy","type":"market","volume":{volume}}}'.encode()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0.1", "0.1"),
        ('"0.10"', "0.10"),
        ("1e-2", "0.01"),
        ("100", "100"),
        ("0.1234567891", "0.1234567891"),
        ('"123456789.0123456789"', "123456789.0123456789"),
    ],
)
def test_numbers_keep_every_digit_as_number_and_as_text(written: str, meant: str) -> None:
    assert parse(body(written), NewOrder).volume == Decimal(meant)


@pytest.mark.parametrize(
    "written",
    ['"1_0"', '" 1"', '"NaN"', '"Infinity"', "-1", '"+1"', "true", '""', '"1e999"', "1e99", "[1]",
     "0.12345678901", '"\\u0661"'],
)  # fmt: skip
def test_what_is_not_a_plain_number_is_no_volume(written: str) -> None:
    with pytest.raises(BadBody):
        parse(body(written), NewOrder)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b'{"symbol":"EURUSD"}',
        b'{"symbol":"EURUSD","side":"buy","type":"market","volume":1,"stoploss":1.0}',
        b'{"symbol":"","side":"buy","type":"market","volume":1}',
        b'{"symbol":"EURUSD","side":"long","type":"market","volume":1}',
        b'{"symbol":"EURUSD","side":"buy","type":"market","volume":1,"magic":4503599627370496}',
        b"[" * 5000,
    ],
)
def test_a_body_that_is_not_understood_whole_is_refused(raw: bytes) -> None:
    with pytest.raises(BadBody):
        parse(raw, NewOrder)


def test_the_same_request_written_otherwise_has_the_same_fingerprint() -> None:
    texts = ("0.1", '"0.10"', "1e-1", "0.100")

    prints = {fingerprint(Ask("order", parse(body(text), NewOrder))) for text in texts}

    assert len(prints) == 1


def test_what_is_left_out_and_what_is_null_are_different_requests() -> None:
    asks = [
        Ask("modify_position", parse(raw, ModifyPosition), 7)
        for raw in (b'{"tp":1}', b'{"tp":1,"sl":null}', b'{"tp":1,"sl":0.5}')
    ]

    assert len({fingerprint(ask) for ask in asks}) == 3


def test_the_target_belongs_to_the_fingerprint() -> None:
    body = ModifyPosition(sl=Decimal(1))

    assert fingerprint(Ask("modify_position", body, 1)) != fingerprint(
        Ask("modify_position", body, 2)
    )


def test_the_operation_belongs_to_the_fingerprint() -> None:
    """A change of nothing and a removal have the same fields: none."""
    assert fingerprint(Ask("modify_order", ModifyOrder(), 1)) != fingerprint(
        Ask("cancel_order", CancelOrder(), 1)
    )

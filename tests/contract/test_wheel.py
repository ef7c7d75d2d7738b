# SPDX-License-Identifier: Apache-2.0
"""The simulator and the wire keep the contract of the real wheel (MT5.md 3.7)."""

import inspect
import json

import pytest

import mt5_simulator
from contract import wheel
from mt5_agent import protocol
from mt5_simulator import structs

INVENTORY = json.loads(wheel.INVENTORY.read_text())
NOT_SIMULATED_YET = {
    "copy_rates_from",
    "copy_rates_from_pos",
    "copy_rates_range",
    "copy_ticks_from",
    "copy_ticks_range",
    "market_book_add",
    "market_book_get",
    "market_book_release",
}
RECORDS = {
    "AccountInfo": protocol.AccountInfo,
    "TerminalInfo": protocol.TerminalInfo,
    "SymbolInfo": protocol.SymbolInfo,
    "Tick": protocol.Tick,
    "TradePosition": protocol.Position,
    "TradeOrder": protocol.Order,
    "TradeDeal": protocol.Deal,
    "TradeRequest": protocol.TradeRequest,
    "OrderSendResult": protocol.OrderSendResult,
    "OrderCheckResult": protocol.OrderCheckResult,
}


@pytest.mark.contract
def test_the_inventory_is_that_of_the_pinned_wheel():
    assert wheel.inventory(wheel.download()) == INVENTORY


def test_the_inventory_is_whole():
    assert len(INVENTORY["functions"]) == 32
    assert len(INVENTORY["structs"]) == 11
    assert mt5_simulator.__version__ == wheel.VERSION


def test_every_constant_has_the_packages_value_and_there_are_no_others():
    ours = {name: value for name, value in vars(mt5_simulator).items() if name.isupper()}

    assert ours == INVENTORY["constants"]


@pytest.mark.parametrize("struct", structs.STRUCTS, ids=lambda struct: struct.__name__)
def test_every_struct_has_the_packages_fields_in_order(struct):
    assert list(struct.fields) == INVENTORY["structs"][struct.__name__]


def test_no_struct_is_missing():
    assert {struct.__name__ for struct in structs.STRUCTS} == INVENTORY["structs"].keys()


@pytest.mark.parametrize("name", RECORDS)
def test_the_wire_keeps_the_packages_order(name):
    assert list(RECORDS[name].__struct_fields__) == INVENTORY["structs"][name]


def test_what_is_not_simulated_yet_is_known():
    missing = {name for name in INVENTORY["functions"] if not hasattr(mt5_simulator, name)}

    assert missing == NOT_SIMULATED_YET


@pytest.mark.parametrize(
    ("name", "call"),
    [(n, c) for n, c in INVENTORY["functions"].items() if n not in NOT_SIMULATED_YET],
)
def test_functions_take_arguments_as_the_package_does(name, call):
    kinds = {p.kind for p in inspect.signature(getattr(mt5_simulator, name)).parameters.values()}
    positional = {inspect.Parameter.POSITIONAL_ONLY}

    if call == "no arguments":
        assert not kinds
    elif call == "positional":
        assert kinds == positional
    else:
        assert inspect.Parameter.VAR_KEYWORD in kinds


@pytest.mark.parametrize(("name", "signature"), INVENTORY["python_functions"].items())
def test_the_shortcuts_have_the_packages_signatures(name, signature):
    ours = inspect.signature(getattr(mt5_simulator, name))
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in ours.parameters.values()]
    bare = ours.replace(parameters=plain, return_annotation=inspect.Signature.empty)

    assert str(bare) == f"({signature})"


def test_every_call_of_the_wire_is_a_function_of_the_package():
    assert protocol.PRIORITY_OF.keys() <= INVENTORY["functions"].keys()

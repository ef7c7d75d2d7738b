# SPDX-License-Identifier: Apache-2.0
"""The simulator and the wire keep the contract of the real wheel (MT5.md 3.7)."""

import inspect
import json

import pytest

import mt5_simulator
from contract import wheel
from mt5_agent import protocol
from mt5_simulator import arrays, structs

INVENTORY = json.loads(wheel.INVENTORY.read_text())
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


def test_no_function_is_missing():
    missing = {name for name in INVENTORY["functions"] if not hasattr(mt5_simulator, name)}

    assert not missing


@pytest.mark.parametrize(("name", "call"), INVENTORY["functions"].items())
def test_functions_take_arguments_as_the_package_does(name, call):
    kinds = {p.kind for p in inspect.signature(getattr(mt5_simulator, name)).parameters.values()}
    in_c = {
        "no arguments": set(),
        "positional": {inspect.Parameter.VAR_POSITIONAL},
        "keywords": {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD},
    }

    assert kinds == in_c[call]


@pytest.mark.parametrize("fields", [arrays.RATES, arrays.TICKS], ids=["rates", "ticks"])
def test_rows_of_arrays_are_packed_into_60_bytes(fields):
    assert arrays.array([], fields).dtype.itemsize == 60


@pytest.mark.parametrize(("name", "signature"), INVENTORY["python_functions"].items())
def test_the_shortcuts_have_the_packages_signatures(name, signature):
    ours = inspect.signature(getattr(mt5_simulator, name))
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in ours.parameters.values()]
    bare = ours.replace(parameters=plain, return_annotation=inspect.Signature.empty)

    assert str(bare) == f"({signature})"


def test_every_call_of_the_wire_is_a_function_of_the_package():
    assert protocol.PRIORITY_OF.keys() <= INVENTORY["functions"].keys()

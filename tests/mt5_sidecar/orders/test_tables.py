# SPDX-License-Identifier: Apache-2.0
"""Our numbers and words against the package's, and against the documents."""

import inspect
import re
from pathlib import Path
from typing import get_args

import pytest

from mt5_agent.protocol import TradeRequest
from mt5_sidecar.orders import constants, errors
from mt5_sidecar.orders.outcomes import Evidence, Reason
from mt5_sidecar.orders.requests import EMPTY, request
from mt5_sidecar.orders.retcodes import NOT_SENT_FAULTS, RETCODES
from mt5_simulator import constants as package

DOC = (Path(__file__).parents[3] / "docs" / "orders.md").read_text()
ORDERS = Path(errors.__file__).parent
ERRORS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.OrderError)
]


def test_every_retcode_of_the_package_has_its_name_and_a_class() -> None:
    theirs = {
        value: name.removeprefix("TRADE_RETCODE_")
        for name, value in vars(package).items()
        if name.startswith("TRADE_RETCODE_")
    }

    ours = {code: name for code, (name, _) in RETCODES.items()}

    assert {code: ours.get(code) for code in theirs} == theirs
    assert set(ours) - set(theirs) == {10046}


def test_constants_are_the_packages() -> None:
    ours = {name: value for name, value in vars(constants).items() if name.isupper()}
    theirs = vars(package)

    shared = {name: value for name, value in ours.items() if name in theirs}

    assert len(shared) > 30
    assert shared == {name: theirs[name] for name in shared}


def test_a_request_has_the_17_names_and_no_other() -> None:
    assert list(EMPTY) == list(TradeRequest.__struct_fields__)
    with pytest.raises(KeyError):
        request(stoploss=1)


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_has_a_status_and_a_slug_of_its_own_and_is_in_the_tree(
    kind: type[errors.OrderError],
) -> None:
    same = [other for other in ERRORS if other.slug == kind.slug]

    assert same == [kind]
    assert 400 <= kind.status < 600
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.__doc__


@pytest.mark.parametrize("kind", [k for k in ERRORS if not k.__subclasses__()])
def test_every_error_is_documented(kind: type[errors.OrderError]) -> None:
    assert f"`{kind.slug}`" in DOC


def test_every_limit_of_a_symbol_is_documented_and_no_other() -> None:
    source = "".join(file.read_text() for file in ORDERS.glob("**/*.py"))
    (row,) = (line for line in DOC.splitlines() if line.startswith("| `broken-limit` |"))
    (named,) = re.findall(r"does not take it: `([\w ]+)`", row)

    limits = re.findall(r'(?:_broken|BrokenLimit)\(\s*"(\w+)"', source)

    assert len(set(limits)) > 10
    assert sorted(named.split()) == sorted(set(limits))


def test_every_fault_that_proves_nothing_was_sent_is_documented() -> None:
    assert all(str(code) in DOC for code in NOT_SENT_FAULTS)


def test_every_reason_and_kind_of_evidence_is_documented_and_no_other() -> None:
    words = DOC.split("### What an outcome says of itself")[1].split("\n## ")[0]
    documented = [
        name
        for row in re.findall(r"^\| (.+?) \|", words, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    ]

    assert sorted(documented) == sorted({*get_args(Reason), *get_args(Evidence)} - {""})

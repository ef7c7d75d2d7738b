# SPDX-License-Identifier: Apache-2.0
"""The same calls on the real package, in Windows Python under Wine, and on the simulator.

`behaviour.json` holds what the real package said (`python -m contract_wine.record` writes it anew).
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.paths import REPOSITORY
from contract_wine import cases
from contract_wine.wine import Pod

HERE = Path(__file__).parent
TABLE: dict[str, Any] = json.loads((HERE / "behaviour.json").read_text())
INVENTORY = json.loads((HERE.parent / "contract" / "inventory.json").read_text())
CALLS = list(cases.cases())
# Rows that the simulator does not keep yet; a row that holds is taken off the list.
DIFFERS: list[str] = json.loads((HERE / "simulator_differs.json").read_text())


def simulated_call(name: str) -> Any:
    """Return the row as a parameter; known differences may fail."""
    known = pytest.mark.xfail(reason="Python cannot see an empty ** in a call", strict=True)
    return pytest.param(name, marks=known if name in DIFFERS else ())


@pytest.fixture(scope="session")
def real(pod: Pod) -> dict[str, Any]:
    """Return what the real package says."""
    facts: dict[str, Any] = json.loads(pod.python((HERE / "cases.py").read_text(), "MetaTrader5"))
    return facts


@pytest.fixture(scope="session")
def simulated() -> dict[str, Any]:
    """Return what the simulator says, in a process of its own as the package has one."""
    done = subprocess.run(
        [sys.executable, HERE / "cases.py", "mt5_simulator"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "sidecar")},
    )
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def test_the_table_has_every_call_and_no_other() -> None:
    assert list(TABLE["outcomes"]) == CALLS


@pytest.mark.contract
@pytest.mark.timeout(900)  # the first run builds the image
def test_the_real_package_is_the_pinned_one_and_has_the_inventorys_names(
    real: dict[str, Any],
) -> None:
    names = {*INVENTORY["constants"], *INVENTORY["functions"], *INVENTORY["structs"]}

    assert real["version"] == TABLE["version"]
    assert set(real["names"]) == names | INVENTORY["python_functions"].keys()


@pytest.mark.contract
@pytest.mark.timeout(900)
def test_the_real_structs_have_the_inventorys_fields(real: dict[str, Any]) -> None:
    fields = {name: len(given) for name, given in INVENTORY["structs"].items()}

    assert real["fields"] == fields


@pytest.mark.contract
@pytest.mark.timeout(900)
@pytest.mark.parametrize("call", CALLS)
def test_the_real_package_answers_as_the_table_says(call: str, real: dict[str, Any]) -> None:
    assert real["outcomes"][call] == TABLE["outcomes"][call]


def test_known_differences_are_rows_of_the_table() -> None:
    assert set(DIFFERS) <= set(CALLS)


@pytest.mark.contract
@pytest.mark.parametrize("call", [simulated_call(name) for name in CALLS])
def test_the_simulator_answers_as_the_real_package_does(
    call: str, simulated: dict[str, Any]
) -> None:
    assert simulated["outcomes"][call] == TABLE["outcomes"][call]

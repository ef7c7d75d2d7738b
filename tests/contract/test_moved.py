# SPDX-License-Identifier: Apache-2.0
"""What a newer wheel changed is said by name."""

import json

from contract import wheel
from contract.moved import differences

INVENTORY = json.loads(wheel.INVENTORY.read_text())


def test_the_same_wheel_changed_nothing():
    assert differences(INVENTORY, INVENTORY) == []


def test_each_change_has_a_line():
    new = json.loads(json.dumps(INVENTORY))
    new["constants"]["RES_S_OK"] = 2
    new["constants"]["TIMEFRAME_M7"] = 7
    del new["functions"]["login"]
    new["structs"]["Tick"] = [*new["structs"]["Tick"], "session"]
    new["structs"]["BookInfo"].reverse()

    assert differences(INVENTORY, new) == [
        "constants: RES_S_OK was 1, is 2",
        "constants: TIMEFRAME_M7 is new: 7",
        "functions: login is gone",
        "structs: BookInfo: new order",
        "structs: Tick has new fields ['session'], lost []",
    ]

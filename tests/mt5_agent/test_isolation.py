# SPDX-License-Identifier: Apache-2.0
"""The supervisor must never load the package: a blocked call there would freeze everything."""

import subprocess
import sys

PROGRAM = """
import sys, mt5_agent.run
print(sorted({"MetaTrader5", "mt5_simulator", "numpy", "mt5_agent.worker"} & set(sys.modules)))
"""


def test_the_supervisor_loads_neither_package_nor_worker():
    shown = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)

    assert shown.stdout.strip() == b"[]"

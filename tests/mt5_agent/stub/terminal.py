# SPDX-License-Identifier: Apache-2.0
"""Stands for a real terminal: notes how it was started, and goes on as the simulated one.

`python terminal.py DATA_DIR WORDS...`
"""

import json
import sys
from pathlib import Path

from mt5_simulator.terminal.__main__ import main

data_dir, *words = sys.argv[1:]
ini = next((word.removeprefix("/config:") for word in words if word.startswith("/config:")), "")
told = {"words": words, "ini": Path(ini).read_text() if ini else ""}
with (Path(data_dir) / "starts.jsonl").open("a") as file:
    file.write(json.dumps(told) + "\n")
sys.argv = ["terminal64.exe", "--data-dir", data_dir]
sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""The terminal's journal: `<data>/logs/YYYYMMDD.log`, UTF-16LE, the real terminal's wording (MT5.md
4)."""

import codecs
from datetime import UTC, datetime
from pathlib import Path

from mt5_simulator.broker.clock import Clock


class Journal:
    """Appends lines; whoever tails the file sees each one whole."""

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        """Write under `data_dir`, with times of `clock`."""
        self._folder = data_dir / "logs"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._clock = clock

    def write(self, source: str, message: str) -> None:
        """Append one line from `source` (Terminal, Network, Experts)."""
        now = datetime.fromtimestamp(self._clock() / 1000, UTC)
        path = self._folder / f"{now:%Y%m%d}.log"
        stamp = f"{now:%H:%M:%S}.{now.microsecond // 1000:03d}"
        line = f"MB\t0\t{stamp}\t{source}\t{message}\r\n".encode("utf-16-le")
        with path.open("ab") as file:
            file.write(line if file.tell() else codecs.BOM_UTF16_LE + line)

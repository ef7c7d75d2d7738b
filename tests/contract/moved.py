# SPDX-License-Identifier: Apache-2.0
"""`python -m contract.moved [VERSION]` (with `tests` on the path): what another wheel, by default
the newest, changed against the pinned inventory. Exit code 1 when it changed anything."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from contract import wheel


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return one line for each name that came, went, or means something else."""
    lines: list[str] = []
    for part in sorted(old.keys() | new.keys()):
        before, after = old.get(part, {}), new.get(part, {})
        changed = [n for n in before.keys() | after.keys() if before.get(n) != after.get(n)]
        lines += [f"{part}: {_changed(n, before.get(n), after.get(n))}" for n in sorted(changed)]
    return lines


def _changed(name: str, before: Any, after: Any) -> str:
    if before is None:
        return f"{name} is new: {after}"
    if after is None:
        return f"{name} is gone"
    if isinstance(before, list):
        came = [field for field in after if field not in before]
        went = [field for field in before if field not in after]
        return (
            f"{name} has new fields {came}, lost {went}" if came or went else f"{name}: new order"
        )
    return f"{name} was {before}, is {after}"


def main() -> int:
    """Print the differences."""
    found = wheel.download(sys.argv[1] if len(sys.argv) > 1 else "")
    lines = differences(json.loads(wheel.INVENTORY.read_text()), wheel.inventory(found))
    print("\n".join([found.name, *(lines or ["no difference"])]))  # noqa: T201  (its one output)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())

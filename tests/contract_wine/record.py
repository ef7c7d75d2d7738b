# SPDX-License-Identifier: Apache-2.0
"""`python -m contract_wine.record`: ask the real package under Wine, and write `behaviour.json`."""

import json
from pathlib import Path

from contract_wine import wine

HERE = Path(__file__).parent


def main() -> None:
    """Write the table anew; the difference is for a person to read."""
    with wine.unpacked(wine.build()) as root:
        facts = json.loads(wine.Pod(root).python((HERE / "cases.py").read_text(), "MetaTrader5"))
    rows = {name: json.dumps(row, ensure_ascii=False) for name, row in facts["outcomes"].items()}
    lines = ",\n".join(
        f"  {json.dumps(name, ensure_ascii=False)}: {row}" for name, row in rows.items()
    )
    text = f'{{\n "version": {json.dumps(facts["version"])},\n "outcomes": {{\n{lines}\n }}\n}}\n'
    (HERE / "behaviour.json").write_text(text)


if __name__ == "__main__":
    main()

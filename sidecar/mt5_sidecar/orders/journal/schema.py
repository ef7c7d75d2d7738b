# SPDX-License-Identifier: Apache-2.0
"""The journal's tables. Raise VERSION with a step in STEPS; `docs/orders.md` describes them."""

from typing import Final

# "MT5J": tells a journal from any other SQLite file.
APPLICATION_ID: Final = 0x4D54354A
VERSION: Final = 1

_FIRST: Final = (
    """
    CREATE TABLE fact (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE trade (
        key TEXT PRIMARY KEY,
        operation TEXT NOT NULL,
        ticket INTEGER NOT NULL,
        body TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        token TEXT NOT NULL,
        magic INTEGER NOT NULL,
        request TEXT NOT NULL,
        context TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('intent', 'sent', 'outcome')),
        created_ms INTEGER NOT NULL,
        sent_ms INTEGER NOT NULL,
        ended_ms INTEGER NOT NULL,
        settled INTEGER NOT NULL CHECK (settled IN (0, 1)),
        order_ticket INTEGER NOT NULL,
        verdict TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX trade_open ON trade (created_ms) WHERE settled = 0",
    "CREATE INDEX trade_created ON trade (created_ms)",
)

STEPS: Final[dict[int, tuple[str, ...]]] = {1: _FIRST}
"""What brings a journal of the version before to this version."""

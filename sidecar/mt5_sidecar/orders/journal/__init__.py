# SPDX-License-Identifier: Apache-2.0
"""What is remembered of each key, on disk before anything is sent. `docs/orders.md` has the schema.

`Store` is SQLite and nothing else; `Journal` gives it a thread of its own and measures it.
"""

from mt5_sidecar.orders.journal.journal import Journal
from mt5_sidecar.orders.journal.store import Store

__all__ = ["Journal", "Store"]

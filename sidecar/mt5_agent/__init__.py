# SPDX-License-Identifier: Apache-2.0
"""The agent: what runs beside the terminal and drives it.

A *supervisor* (asyncio, never imports MetaTrader5) starts and ends the terminal and a *worker*, the
one process that imports the package. Only `mt5_agent.protocol` is for others to import.
"""

__version__ = "0.1.0"

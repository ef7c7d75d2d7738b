# SPDX-License-Identifier: Apache-2.0
"""Trades: from what a client sends to the desk, and back; by HTTP here, by WebSocket in `ws`."""

# SPDX-License-Identifier: Apache-2.0
"""The door: HTTP and WebSocket on one side, board and terminal on the other."""

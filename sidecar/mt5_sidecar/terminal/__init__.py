# SPDX-License-Identifier: Apache-2.0
"""The port behind which the agent lives: calls go in, states and snapshots come out.

Knows the agent's protocol and nothing of HTTP, WebSockets or who asks.
"""

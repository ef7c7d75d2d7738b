# SPDX-License-Identifier: Apache-2.0
"""The door: HTTP and WebSocket on one side, board and terminal on the other.

The table of `operations`, and port 8081 (`ops`), stand at the top; under them the `schemas` that
describe it, the streams (`ws`), then `trading` and `reads`, which do not know each other, what
every request passes (`requests`), what all share (`context`) and the `limits`. Imports point down:
pyproject.toml has the order, and import-linter holds it.
"""

# SPDX-License-Identifier: Apache-2.0
"""The only door to an account: HTTP and WebSocket in front, the agent behind."""

from typing import Final

__version__: Final = "0.1.0"

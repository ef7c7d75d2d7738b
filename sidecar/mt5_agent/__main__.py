# SPDX-License-Identifier: Apache-2.0
"""`python -m mt5_agent`: the supervisor, until SIGTERM."""

import sys
from importlib import import_module

if __name__ == "__main__":
    # asyncio works without ssl, whose libraries cost 5 MB in every account's pod; the agent speaks
    # on loopback only. msgspec works without typing_extensions, 1.4 MB. Hence the late import.
    for optional in ("ssl", "typing_extensions"):
        sys.modules[optional] = None  # type: ignore[assignment]
    sys.exit(import_module("mt5_agent.run").main())

# SPDX-License-Identifier: Apache-2.0
"""What lines of the terminal's journal say: the patterns that classifier and milestones share.

Sources: MT5.md 1.1 and 4; builds 4885 to 6090.
"""

import re
from typing import Final

WINE: Final = re.compile(r"debugger has been found|unsupported Wine", re.IGNORECASE)
CRASH: Final = re.compile(r"page fault|access violation|unhandled exception", re.IGNORECASE)
AUTHORIZED: Final = re.compile(r": authorized on .+ through ")
SYNCHRONIZED: Final = re.compile(r"terminal synchronized with ")
FAILED: Final = re.compile(r"authorization on .+ failed \((?P<why>[^)]*)\)")
NO_CONNECTION: Final = re.compile(r"no connection to ")
NO_SYNCHRONISATION: Final = re.compile(r"error sending synchronization command")
LOST: Final = re.compile(r"connection to .+ lost")
NETWORK: Final = re.compile(
    r"^'\d+': |no connection to|authorization on|connection to|authorized on"
)

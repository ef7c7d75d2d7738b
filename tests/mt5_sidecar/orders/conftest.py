# SPDX-License-Identifier: Apache-2.0
"""Make `order_world`, the broker of these tests, importable: `tests/` has no packages."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from order_world.shop import shop  # noqa: F401  a fixture is had by its name

# SPDX-License-Identifier: Apache-2.0
"""Stands for a package that repeats in its errors what it was given."""

import mt5_simulator


def initialize(*_args: object, **settings: object) -> bool:
    """Refuse, and quote."""
    raise TypeError(f"not understood: {settings}")


def __getattr__(name: str) -> object:
    return getattr(mt5_simulator, name)

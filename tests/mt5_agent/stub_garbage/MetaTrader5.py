# SPDX-License-Identifier: Apache-2.0
"""Stands for a package that says of its account one field and no more."""

import collections

import mt5_simulator

Account = collections.namedtuple("Account", ["login"])


def account_info() -> Account | None:
    """Say less than the package is known to say."""
    account = mt5_simulator.account_info()
    return account and Account(account.login)


def __getattr__(name: str) -> object:
    return getattr(mt5_simulator, name)

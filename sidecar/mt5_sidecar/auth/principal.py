# SPDX-License-Identifier: Apache-2.0
"""Who asks: the one shape that every way of signing in ends in."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

ANY_ACCOUNT: Final = "*"


class Scope(StrEnum):
    """What an operation needs. Scopes do not contain each other: `trade` alone cannot read."""

    READ = "read"
    TRADE = "trade"
    RESOLVE = "resolve"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller who has proved who they are."""

    subject: str
    """What logs and limits call them: `key:<id>`. Never the key."""
    accounts: Collection[str]
    scopes: Collection[str]
    expires: datetime | None
    proof: str = ""
    """What the proof is checked against (a hash, a token's id): another one ends this sign-in."""

    def may(self, scope: Scope, *, account_id: str) -> bool:
        """Say whether the grant covers `scope` on the account."""
        if scope not in self.scopes:
            return False
        return account_id in self.accounts or ANY_ACCOUNT in self.accounts

    def ended(self, now: datetime) -> bool:
        """Say whether the grant's time is over."""
        return self.expires is not None and now >= self.expires

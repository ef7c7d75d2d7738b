# SPDX-License-Identifier: Apache-2.0
"""`account.json`: what may change about an account without a new pod."""

import msgspec


class Trading(msgspec.Struct, frozen=True, kw_only=True):
    """What the account may trade; off until asked for."""

    enabled: bool = False
    max_volume: str | float | None = None
    symbols: list[str] | None = None
    orders_per_minute: int | None = None


class AccountFile(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's ConfigMap; unknown fields are of a newer operator and ignored."""

    version: int = 1
    symbols: list[str] = []
    trading: Trading = Trading()


def parse_account_file(content: bytes | None) -> AccountFile:
    """Return the file's content; reads only and no symbols where there is none.

    Raises:
        msgspec.MsgspecError: the file is there and not what the operator writes.
    """
    if content is None:
        return AccountFile()
    return msgspec.json.decode(content, type=AccountFile)

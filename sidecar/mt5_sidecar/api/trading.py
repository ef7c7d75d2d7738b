# SPDX-License-Identifier: Apache-2.0
"""What is not built yet, said honestly: nothing here reaches the terminal."""

from aiohttp import web

from mt5_sidecar.api.context import CONTEXT, Context
from mt5_sidecar.errors import NotBuilt, TradingDisabled


def demand_trading(context: Context) -> None:
    """Return if the account may trade at all; raise `TradingDisabled` if not."""
    if not context.terminal.account_file.trading.enabled:
        raise TradingDisabled("spec.trading.enabled of this account is false")


async def trade(request: web.Request) -> web.Response:
    """Refuse: trading is off for this account, or not built yet."""
    demand_trading(request.app[CONTEXT])
    raise NotBuilt("orders come with a later version; nothing was sent")


async def not_built(_: web.Request) -> web.Response:
    """Refuse: not built yet."""
    raise NotBuilt("this operation comes with a later version")

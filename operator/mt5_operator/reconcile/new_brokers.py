# SPDX-License-Identifier: Apache-2.0
"""Make an `MT5Broker` for each server that no broker speaks of."""

from __future__ import annotations

import structlog

from mt5_operator import names
from mt5_operator.brokers.matching import ANY
from mt5_operator.cluster.kinds import BROKER
from mt5_operator.errors import Conflict
from mt5_operator.reconcile.broker_feed import fed
from mt5_operator.reconcile.context import Context

_log = structlog.get_logger()


async def make_missing(context: Context) -> None:
    """Make the brokers that are missing.

    Raises:
        ApiError, ApiUnavailable: some are not made; try again.
    """
    world = context.world
    for server in world.directory.unknown_servers():
        taken = world.directory.names()
        if ANY in server:
            continue  # no server is called so, and the object would speak for every server
        if len(taken) >= world.settings.brokers_max:
            _log.warning("no MT5Broker is made: there are too many", server=server)
            return
        name = names.broker(server, taken=taken)
        body = {"metadata": {"name": name}, "spec": {"servers": [server]}}
        try:
            made = await world.api.create(BROKER, body)
        except Conflict:
            continue  # its event is on the way
        world.caches[BROKER].feed(made)
        fed(world, made)
        _log.info("broker seen for the first time", broker=name, server=server)

# SPDX-License-Identifier: Apache-2.0
"""Log the account in or out by hand. The answer is the status; the streams tell what follows."""

from aiohttp import web

from mt5_sidecar.api.context import CONTEXT
from mt5_sidecar.api.reads.status import status
from mt5_sidecar.api.requests.middleware import named
from mt5_sidecar.api.requests.operation import caller
from mt5_sidecar.logs import bound, logger


async def connect(request: web.Request) -> web.Response:
    """Log in, again if need be."""
    with bound(**named(request)):
        logger.info("login_asked", subject=caller(request).subject)
        request.app[CONTEXT].terminal.log_in()
    return await status(request)


async def disconnect(request: web.Request) -> web.Response:
    """Log out; the trade in the call has its outcome looked for, as after any lost connection."""
    with bound(**named(request)):
        logger.info("logout_asked", subject=caller(request).subject)
        request.app[CONTEXT].terminal.log_out()
    return await status(request)

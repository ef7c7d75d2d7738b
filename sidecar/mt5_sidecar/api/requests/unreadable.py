# SPDX-License-Identifier: Apache-2.0
"""What is logged of requests that are no HTTP: that there was one, never a byte of it."""

import logging
from typing import Final

from aiohttp import http_exceptions, web

from mt5_sidecar.logs import logger

_KINDS: Final = (http_exceptions.HttpProcessingError, web.RequestPayloadError)


class Unreadable(logging.Filter):
    """Keeps aiohttp's own words out of the log: they quote the request, API key and all."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether `record` may be logged as it is."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, _KINDS):
            return True
        logger.info("request_unreadable", problem=type(error).__name__)
        return False


UNREADABLE: Final = Unreadable()

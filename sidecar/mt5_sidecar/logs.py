# SPDX-License-Identifier: Apache-2.0
"""One JSON object a line on stdout; the request id comes along by itself."""

import logging
import sys
from typing import Any, Final

import msgspec
import structlog

from mt5_sidecar.domain.secret import Secret

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}

logger: Final[structlog.stdlib.BoundLogger] = structlog.get_logger()

bound = structlog.contextvars.bound_contextvars


def configure_logs(level: str) -> None:
    """Send our lines and those of the libraries to stdout as JSON."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        # The level may change while loggers are in use.
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Forward()], level=logging.WARNING, force=True)


class _Forward(logging.Handler):
    """Hand a library's record to structlog, so that stdout has one form."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.log(record.levelno, record.getMessage(), exc_info=record.exc_info, of=record.name)


def _json(event: Any, **_: Any) -> str:
    return msgspec.json.encode(event, enc_hook=_plain).decode()


def _plain(value: object) -> str:
    return "***" if isinstance(value, Secret) else repr(value)

# SPDX-License-Identifier: Apache-2.0
"""`python -m mt5_operator`: run the operator."""

from __future__ import annotations

import logging
import sys

import structlog
import uvloop
from pydantic import ValidationError

from mt5_operator.app import run
from mt5_operator.errors import LeaseLost, faults
from mt5_operator.handlers import watch
from mt5_operator.settings import Settings


def configure_logs(level: str) -> None:
    """Write one JSON object per line to standard output; libraries only speak of trouble."""
    logging.basicConfig(
        level=logging.WARNING,
        format='{"level": "%(levelname)s", "logger": "%(name)s", "event": "%(message)s"}',
    )
    # kopf tells of every try of a watch; the audit tells of those that matter, once.
    logging.getLogger("kopf._cogs.clients.watching").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level.lower()),
    )


def main() -> int:
    """Run until told to stop; the kubelet starts again what ends with an error."""
    try:
        settings = Settings()
    except ValidationError as error:
        configure_logs("ERROR")
        told = faults(error)
        structlog.get_logger().error("bad settings", prefix="MT5_OPERATOR_", faults=told)
        return 2
    configure_logs(settings.log_level)
    try:
        uvloop.run(run(settings, watch))
    except LeaseLost as error:
        structlog.get_logger().error("lease lost", error=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Take over from the settings' files what may change while the sidecar runs.

The rest is told and waits for the next pod: half of a setting must never be in use.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from mt5_sidecar.api.context import Context
from mt5_sidecar.files import file_version
from mt5_sidecar.logs import configure_logs, logger
from mt5_sidecar.settings import LIVE, BadSettings, Settings


class Reloading:
    """Looks at the files; `again` reads all layers anew."""

    def __init__(self, context: Context, again: Callable[[], Awaitable[Settings]]) -> None:
        self._context = context
        self._again = again
        self._versions = _versions(context.settings.files)
        self._reading: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Begin to read the settings again if one of their files is another one than last time."""
        versions = _versions(self._context.settings.files)
        if versions == self._versions or self._reading is not None:
            return
        self._versions = versions
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def finished(self) -> None:
        """Return once nothing is being read."""
        if self._reading is not None:
            await self._reading

    async def stop(self) -> None:
        """Read no more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        try:
            self._take_over(await self._again())
        except BadSettings as error:
            self._told("refused")
            logger.error("settings_refused", faults=error.faults)
        except Exception:  # noqa: BLE001  no process, no pipe: the next change is read all the same
            self._told("refused")
            logger.exception("settings_not_read")
        finally:
            self._reading = None

    def _take_over(self, later: Settings) -> None:
        changed = self._context.settings.differences(later)
        now, then = changed & LIVE, changed - LIVE
        self._context.settings.adopt(later, now)
        if now & {"log_level"}:
            configure_logs(later.log_level)
        if now:
            self._context.limits.renew()
            self._told("applied")
            logger.info("settings_applied", names=sorted(now))
        if then:
            self._told("waiting")
            logger.warning("settings_need_new_pod", names=sorted(then))

    def _told(self, outcome: str) -> None:
        self._context.metrics.files.settings_reloads.labels(outcome).inc()


def _versions(files: tuple[Path, ...]) -> list[str]:
    return [file_version(path) for path in files]

# SPDX-License-Identifier: Apache-2.0
"""Which account the sidecar wants logged in. The only place that keeps the password, in memory
alone."""

import asyncio

from mt5_agent.protocol import Login


class Wanted:
    """The newest `Login`, and the symbols to watch."""

    def __init__(self) -> None:
        """Want nothing."""
        self.login: Login | None = None
        self.symbols: tuple[str, ...] = ()
        self._changed = asyncio.Event()
        self._some = asyncio.Event()

    def want(self, login: Login) -> bool:
        """Want `login`; tell whether that is another account or password than before."""
        before, self.login, self.symbols = self.login, login, login.symbols
        self._some.set()
        if before is not None and _credentials(before) == _credentials(login):
            return False
        self._changed.set()
        return True

    def forget(self) -> None:
        """Want nothing any more."""
        self.login = None
        self._some.clear()
        self._changed.set()

    async def some(self) -> Login:
        """Wait until something is wanted; `changed` is not touched."""
        while self.login is None:
            await self._some.wait()
        return self.login

    async def known(self) -> Login:
        """Wait until something is wanted; from here on `changed` speaks of what comes later."""
        while self.login is None:
            self._changed.clear()
            await self._changed.wait()
        self._changed.clear()
        return self.login

    @property
    def has_changed(self) -> bool:
        """Tell whether `changed` would not wait."""
        return self._changed.is_set()

    async def changed(self) -> None:
        """Wait until other credentials, or none, are wanted."""
        await self._changed.wait()


def _credentials(login: Login) -> tuple[int, str, str]:
    return login.login, login.server, login.password

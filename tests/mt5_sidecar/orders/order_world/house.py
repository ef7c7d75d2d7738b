# SPDX-License-Identifier: Apache-2.0
"""A sidecar's order desk that can be killed at any point and started again on its file."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from mt5_sidecar.domain.account_file import Trading
from mt5_sidecar.orders import Journal, OrderDesk, OrderSettings, Store
from mt5_sidecar.orders.errors import JournalFailed
from order_world.terminal import Killed, Terminal, World

ACCOUNT_ID = "10001"
ACCOUNT = "10001@Simulator-Demo"


class Inline(Executor):
    """Does the journal's work in the caller's thread: one order of events for one seed."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  Killed too
            future.set_exception(error)
        return future


class MortalStore(Store):
    """A store in a process that dies before or after its next writes, on a disk that may fail."""

    dead = False
    kill_at = 0
    kill_before = True
    fail_at = 0
    fail_before = True

    def _step(self, write: Callable[..., None], *args: Any) -> None:
        if self.dead:
            raise Killed
        self.fail_at -= 1
        if self.fail_at == 0:
            if not self.fail_before:
                # A write that is told to have failed may be on disk all the same.
                write(*args)
            raise JournalFailed("disk full")
        self.kill_at -= 1
        if self.kill_at == 0 and self.kill_before:
            self.dead = True
            raise Killed
        write(*args)
        if self.kill_at == 0:
            self.dead = True
            raise Killed

    def insert(self, record: Any) -> None:
        self._step(super().insert, record)

    def update(self, record: Any) -> None:
        self._step(super().update, record)

    def get(self, key: str) -> Any:
        if self.dead:
            raise Killed
        return super().get(key)


class House:
    """The pod: one life of a desk after another, on one journal file unless it is lost."""

    def __init__(self, world: World, folder: Path, *, name: str = "a", **settings: Any) -> None:
        self.world = world
        usual: dict[str, Any] = {"synchronous": "OFF", "newborn_s": 3600.0, "call_timeout_s": 10.0}
        self.settings = OrderSettings(
            journal_file=folder / f"{name}.sqlite", **{**usual, **settings}
        )
        self.trading = Trading(enabled=True)
        self.epoch = 1
        self.waits = False

    async def begin(self, *, adopt: bytes | None = None) -> None:
        """Start a life, or end a wait, with what another slot handed over."""
        if not self.waits:
            await self.wait()
        self.waits = False
        if adopt is not None:
            await self.desk.activation.adopt(adopt)
        if not self.desk.activation.active:
            await self.desk.activation.activate(self.epoch)

    async def wait(self) -> None:
        """Start a life as the slot that does not trade yet."""
        self.waits = True
        self.terminal = Terminal(self.world)
        self.store: MortalStore | None = None
        self.desk = OrderDesk(
            Journal(self._open, executor=Inline()),
            self.terminal,
            account_id=ACCOUNT_ID,
            trading=lambda: self.trading,
            settings=self.settings,
            clock=self.world.clock,
            steady=lambda: self.world.now_ms,
            sleep=self._sleep,
        )
        await self.desk.start()

    @property
    def dead(self) -> bool:
        """Tell whether this life has ended."""
        return self.terminal.dead or bool(self.store and self.store.dead)

    async def kill(self) -> None:
        """End this life: whatever it was at stops here."""
        self.terminal.dead = True
        if self.store is not None:
            self.store.dead = True
            self.store.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def lose_journal(self) -> None:
        """Come back on another disk."""
        for end in ("", "-wal", "-shm"):
            Path(f"{self.settings.journal_file}{end}").unlink(missing_ok=True)

    def put_back_journal(self, backup: bytes) -> None:
        """Come back with the journal of an earlier day."""
        self.lose_journal()
        self.settings.journal_file.write_bytes(backup)

    async def _sleep(self, seconds: float) -> None:
        self.world.advance(int(seconds * 1000))

    def _open(self) -> MortalStore:
        self.store = MortalStore(self.settings, account=ACCOUNT, now_ms=self.world.now_ms)
        return self.store

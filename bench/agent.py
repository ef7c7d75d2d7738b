# SPDX-License-Identifier: Apache-2.0
"""An agent that speaks the real protocol and shows `bench.account`: no terminal's noise."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from bench import account
from mt5_agent import protocol

PASSWORD: Final = "bench"  # noqa: S105  its own reader is the agent below
_HEARTBEAT_S: Final = 5.0
_VERSIONS: Final = protocol.Versions(agent="bench", backend="bench")


class Agent:
    """Connected to one sidecar until `stop`."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._token = token
        self._version = 0
        self._login_id = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.asked: set[str] = set()

    async def start(self) -> None:
        """Connect; the account is shown once the sidecar logs in."""
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._send(
            protocol.Hello(
                version=protocol.VERSION,
                oldest_version=protocol.OLDEST_VERSION,
                token=self._token,
                epoch="bench",
                versions=_VERSIONS,
                max_in_flight=64,
            )
        )
        self._tasks = [asyncio.create_task(self._read(reader)), asyncio.create_task(self._beat())]

    async def stop(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def moved_positions(self, step: int) -> Callable[[], None]:
        """Have every position change; what is returned tells the sidecar of it."""
        return partial(self._show, "positions", account.positions(step))

    def _send(self, message: protocol.FromAgent) -> None:
        self._writer.write(protocol.encode(message))

    def _show(self, kind: protocol.SnapshotKind, data: Any) -> None:
        self._version += 1
        raw = msgspec.Raw(msgspec.msgpack.encode(data))
        self._send(
            protocol.Snapshot(
                kind=kind,
                version=self._version,
                utc_ms=_now_ms(),
                monotonic_ns=time.monotonic_ns(),
                data=raw,
            )
        )

    def _say_connected(self) -> None:
        self._send(
            protocol.State(
                state="Connected",
                login_id=self._login_id,
                last_contact_ms=_now_ms(),
                versions=_VERSIONS,
                utc_offset_s=7200,
                trade_allowed=True,
            )
        )

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            if self._login_id:
                self._say_connected()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        frames = protocol.Frames()
        while data := await reader.read(65536):
            for body in frames.feed(data):
                self._take(protocol.decode_from_sidecar(body))

    def _take(self, message: protocol.FromSidecar) -> None:
        if isinstance(message, protocol.Login):
            self._login_id = message.login_id
            self._say_connected()
            self._show("account", account.ACCOUNT)
            self._show("positions", account.positions())
            self._show("orders", [])
            self._show("ticks", {"EURUSD": account.tick()})
        elif isinstance(message, protocol.Request):
            self._answer(message)

    def _answer(self, request: protocol.Request) -> None:
        result: Any = True
        if request.call == "symbol_info":
            result = account.symbol_info(request.args[0])
            self.asked.add(request.args[0])
        raw = msgspec.Raw(msgspec.msgpack.encode(result))
        self._send(protocol.Answer(id=request.id, outcome="done", result=raw))


def _now_ms() -> int:
    return int(time.time() * 1000)

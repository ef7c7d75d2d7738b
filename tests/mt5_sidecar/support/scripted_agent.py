# SPDX-License-Identifier: Apache-2.0
"""An agent that does as it is told, over a real connection and in the real protocol."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from account_records import ACCOUNT, EURUSD, symbol_info, tick

from mt5_agent import protocol
from mt5_agent.protocol import records

PASSWORD = "canary-9f3e-right"
UTC_MS = 1_795_000_000_000

Reply = Callable[[protocol.Request], protocol.Answer | None]


class ScriptedAgent:
    """Logs in whoever knows PASSWORD, and shows the account that the test sets up."""

    def __init__(self, port: int, token: str) -> None:
        self.port = port
        self.socket: Path | None = None
        """Used instead of the port."""
        self.token = token
        self.heard: list[protocol.FromSidecar] = []
        self.account = ACCOUNT
        self.positions: list[records.Position] = []
        self.orders: list[records.Order] = []
        self.ticks = {"EURUSD": tick(1.085, 1.0852)}
        self.symbols = {"EURUSD": EURUSD}
        self.replies: dict[str, Reply] = {}
        self.login_id = 0
        self.shown = 0
        """So many Snapshots were sent."""
        self._kept_back: tuple[protocol.SnapshotKind, ...] = ()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self.closed = asyncio.Event()

    async def connect(self, *, version: int = protocol.VERSION, oldest: int = 1) -> None:
        """Connect and say hello; whether it is welcome shows in `heard`."""
        if self.socket is None:
            reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        else:
            reader, self._writer = await asyncio.open_unix_connection(str(self.socket))
        self.send(
            protocol.Hello(
                version=version,
                oldest_version=oldest,
                token=self.token,
                epoch="e1",
                versions=protocol.Versions(agent="0.1.0", backend="scripted"),
                max_in_flight=8,
            )
        )
        self._reading = asyncio.create_task(self._read(reader))

    async def stop(self) -> None:
        """Hang up."""
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    def send(self, message: protocol.FromAgent) -> None:
        assert self._writer is not None
        self._writer.write(protocol.encode(message))

    def send_bytes(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)

    def heard_of(self, kind: type) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    def says(
        self,
        state: protocol.StateName,
        reason: str = "",
        message: str = "",
        *,
        last_contact_ms: int = UTC_MS,
        utc_offset_s: int | None = 7200,
        since_ms: int = 0,
        unshown: tuple[protocol.SnapshotKind, ...] = (),
    ) -> None:
        self.send(
            protocol.State(
                state=state,
                reason=reason,
                message=message,
                login_id=self.login_id,
                last_contact_ms=last_contact_ms,
                since_ms=since_ms,
                versions=protocol.Versions(
                    agent="0.1.0", backend="scripted", package="5.0.1", python="3.9.13"
                ),
                evidence=protocol.Evidence(logins=1),
                utc_offset_s=utc_offset_s,
                trade_allowed=True,
                unshown=unshown,
            )
        )

    def shows(self, kind: protocol.SnapshotKind, data: Any) -> None:
        self.shown += 1
        self.send(
            protocol.Snapshot(
                kind=kind,
                version=self.shown,
                utc_ms=UTC_MS,
                monotonic_ns=0,
                data=msgspec.Raw(msgspec.msgpack.encode(data)),
            )
        )

    def keeps_back(self, *kinds: protocol.SnapshotKind) -> None:
        """Show no such part by itself."""
        self._kept_back = kinds

    def shows_everything(self) -> None:
        everything: dict[protocol.SnapshotKind, Any] = {
            "account": self.account, "positions": self.positions,
            "orders": self.orders, "ticks": self.ticks,
        }  # fmt: skip
        for kind, data in everything.items():
            if kind not in self._kept_back:
                self.shows(kind, data)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        frames = protocol.Frames()
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                for body in frames.feed(data):
                    self._take(protocol.decode_from_sidecar(body))
        self.closed.set()

    def _take(self, message: protocol.FromSidecar) -> None:
        self.heard.append(message)
        if isinstance(message, protocol.Login):
            self._log_in(message)
        elif isinstance(message, protocol.Logout):
            self.says("WaitingForLogin")
        elif isinstance(message, protocol.Request):
            answer = self.replies.get(message.call, self._reply)(message)
            if answer is not None:
                self.send(answer)

    def _log_in(self, login: protocol.Login) -> None:
        self.login_id = login.login_id
        if login.password != PASSWORD:
            self.says("Refused", "BadCredentials", "the broker refused login or password")
            return
        self.says("Connected")
        self.shows_everything()

    def _reply(self, request: protocol.Request) -> protocol.Answer:
        if request.call == "symbol_info" and request.args[0] in self.symbols:
            return done(request, self.symbols[request.args[0]])
        if request.call == "symbol_select":
            return done(request, result=True)
        if request.call == "symbol_info_tick":
            return done(request, tick(1.5, 1.6))
        return failed(request, -4, "not found")


def done(request: protocol.Request, result: Any) -> protocol.Answer:
    raw = msgspec.Raw(msgspec.msgpack.encode(result))
    return protocol.Answer(id=request.id, outcome="done", result=raw)


def failed(request: protocol.Request, code: int, text: str) -> protocol.Answer:
    return protocol.Answer(id=request.id, outcome="failed", fault=protocol.Fault(code, text))


__all__ = ["PASSWORD", "UTC_MS", "ScriptedAgent", "done", "failed", "symbol_info"]

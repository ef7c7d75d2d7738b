# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a sidecar: records what arrives and answers as told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

# More than the sockets on the way hold.
LARGE_BYTES = 64 * 1024 * 1024
PIECE_BYTES = 64 * 1024


@dataclass
class Upstream:
    """One stub on loopback. `behave` decides how it answers."""

    name: str = "stub"
    behave: str = "normal"  # normal | misdirected | die | silent | problem-504 | large
    requests: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, list[str]]] = field(default_factory=list)
    connections: set[tuple[str, int]] = field(default_factory=set)
    port: int = 0
    written: asyncio.Event = field(default_factory=asyncio.Event)
    """The large answer has left."""

    @property
    def address(self) -> str:
        """Return the address that a route names."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> Upstream:
        """Listen."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def close(self) -> None:
        """Stop listening and close all connections."""
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.raw_path))
        names = set(request.headers.keys())
        self.headers.append({name.lower(): request.headers.getall(name) for name in names})
        assert request.transport is not None
        self.connections.add(request.transport.get_extra_info("peername"))
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        return await self._behaviour(request)

    async def _behaviour(self, request: web.Request) -> web.StreamResponse:
        match self.behave:
            case "die":
                await request.read()
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case "large":
                answer = web.StreamResponse()
                await answer.prepare(request)
                for _ in range(LARGE_BYTES // PIECE_BYTES):
                    await answer.write(b"x" * PIECE_BYTES)
                self.written.set()
                return answer
            case "silent":
                await asyncio.Event().wait()
            case "misdirected":
                headers = {"Content-Type": "application/problem+json", "ETag": '"secret"'}
                return web.Response(status=421, text='{"whose": "another"}', headers=headers)
            case "problem-504":
                return web.json_response(
                    {"type": "/problems/outcome-unknown", "sidecar": True},
                    status=504,
                    content_type="application/problem+json",
                )
        body = await request.text()
        return web.json_response({"stub": self.name, "path": request.raw_path, "body": body})

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.behave == "misdirected":
            return web.Response(status=421)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(f"welcome to {self.name} at {request.raw_path}")
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                await socket.send_str(f"echo {message.data}")
        return socket

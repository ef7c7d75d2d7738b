# SPDX-License-Identifier: Apache-2.0
"""The usual fan-out, on our own stack: for each client `await ws.send_json(snapshot)`.

A line on the control port, and everybody gets the snapshot. It is there already: nothing has to be
taken over from an agent. Arguments: the port, the control port, a JSON file with the snapshot; and
`as-it-comes` for aiohttp's defaults: asyncio's own loop, and compression for who offers it.
"""

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web


class Naive:
    """All clients of one snapshot."""

    def __init__(self, snapshot: Any, *, compress: bool) -> None:
        self._snapshot = snapshot
        self._compress = compress
        self._clients: set[web.WebSocketResponse] = set()

    async def listen(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one client until it goes."""
        ws = web.WebSocketResponse(compress=self._compress)
        await ws.prepare(request)
        self._clients.add(ws)
        try:
            async for _ in ws:
                pass
        finally:
            self._clients.discard(ws)
        return ws

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send the snapshot once for each line."""
        while await reader.readline():
            for ws in tuple(self._clients):
                with suppress(ConnectionError):
                    await ws.send_json(self._snapshot)
        writer.close()


async def health(request: web.Request) -> web.Response:
    """Answer at once, if the loop can."""
    del request
    return web.json_response({"status": "ok"})


async def serve(port: int, control_port: int, file: str, *, compress: bool) -> None:
    """Listen on both ports until ended."""
    snapshot = json.loads(Path(file).read_text())
    naive = Naive(snapshot, compress=compress)
    app = web.Application()
    app.add_routes([web.get("/ws", naive.listen), web.get("/api/health", health)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.start_server(naive.control, "127.0.0.1", control_port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    as_it_comes = "as-it-comes" in sys.argv
    run = asyncio.run if as_it_comes else uvloop.run
    run(serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], compress=as_it_comes))

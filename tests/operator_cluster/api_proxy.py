# SPDX-License-Identifier: Apache-2.0
"""Stand between the operator and the API server, and be as bad as a test wants."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

from operator_cluster.redis_process import free_port

_HOP = ("host", "content-length", "transfer-encoding", "connection", "accept-encoding")
_GONE = {
    "type": "ERROR",
    "object": {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": "Expired",
        "code": 410,
        "message": "too old resource version",
    },
}


class ApiProxy:
    """Forwards everything until told otherwise; Leases always, so that leading goes on."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self._server = config["clusters"][0]["cluster"]["server"]
        self._tls = _tls(config, directory)
        self._port = free_port()
        self._loop = asyncio.new_event_loop()
        self._watches: set[web.StreamResponse] = set()
        self.kubeconfig = directory / "proxied"
        self.kubeconfig.write_text(yaml.safe_dump(_plain(f"http://127.0.0.1:{self._port}")))
        self.answer_with = 0
        self.only_writes = False
        self.delay_s = 0.0
        self.refused = 0
        # Writes to such a path get no answer, as where an admission webhook has none.
        self.hangs = ""
        self.hung = 0
        # Called when a write is done, and whoever asked for it not told yet.
        self.done: Callable[[str], None] = lambda path: None
        # Of every write: its verb and its path.
        self.writes: list[tuple[str, str]] = []

    def start(self) -> None:
        """Forward from now on."""
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        assert started.wait(10)

    def stop(self) -> None:
        """Forward no more."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def end_watches(self, *, gone: bool) -> None:
        """End every open watch, with a 410 as the API server tells it, or without a word."""

        async def end() -> None:
            for response in list(self._watches):
                if gone:
                    with suppress(ConnectionError):  # its reader went by itself
                        await response.write(json.dumps(_GONE).encode() + b"\n")
                response.force_close()
                if response._req is not None and response._req.transport is not None:
                    response._req.transport.close()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        started.set()
        self._loop.run_forever()

    async def _serve(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def _close(self) -> None:
        await self._runner.cleanup()
        await self._session.close()
        await asyncio.sleep(0.1)  # TLS connections say goodbye
        # Watches wait for ever; left in a closed loop, they complain at the interpreter's end.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _trouble(self, request: web.Request) -> web.Response | None:
        reads = request.method == "GET"
        if self.hangs and self.hangs in request.path and not reads:
            self.hung += 1
            await asyncio.sleep(60)  # whoever asked has gone by then
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.answer_with and not (self.only_writes and reads):
            self.refused += 1
            return web.json_response({"kind": "Status"}, status=self.answer_with)
        return None

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            self.writes.append((request.method, request.path))
        if "/leases" not in request.path and (trouble := await self._trouble(request)):
            return trouble
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        async with self._session.request(
            request.method,
            self._server + request.path_qs,
            headers=headers,
            data=await request.read() or None,
            skip_auto_headers=["Content-Type"],
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:
            if request.method != "GET":
                self.done(request.path)
            content = {"Content-Type": answer.headers.get("Content-Type", "application/json")}
            response = web.StreamResponse(status=answer.status, headers=content)
            try:
                await response.prepare(request)
                if watches := "watch" in request.query:
                    self._watches.add(response)
                async for part in _events(answer) if watches else answer.content.iter_any():
                    await response.write(part)
            except (ConnectionError, aiohttp.ClientError):
                return response
            finally:
                self._watches.discard(response)
            return response


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Return whole lines: a 410 is an event of its own and stands within no other."""
    begun = b""
    async for chunk in answer.content.iter_any():
        whole, end, begun = (begun + chunk).rpartition(b"\n")
        if end:
            yield whole + end


def _tls(config: dict[str, Any], directory: Path) -> ssl.SSLContext:
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    files = {}
    for part, name in (
        (cluster, "certificate-authority"),
        (user, "client-certificate"),
        (user, "client-key"),
    ):
        path = directory / name
        path.write_bytes(base64.b64decode(part[f"{name}-data"]))
        files[name] = path
    context = ssl.create_default_context(cafile=files["certificate-authority"])
    context.load_cert_chain(files["client-certificate"], files["client-key"])
    return context


def _plain(server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "proxied",
        "clusters": [{"name": "proxied", "cluster": {"server": server}}],
        "users": [{"name": "proxied", "user": {"token": "nobody-asks"}}],
        "contexts": [{"name": "proxied", "context": {"cluster": "proxied", "user": "proxied"}}],
    }

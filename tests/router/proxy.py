# SPDX-License-Identifier: Apache-2.0
"""The router as a process: the real entrypoint, nginx and Lua, not root, on loopback."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from cluster.contained import DIES_WITH_US
from cluster.paths import REPOSITORY
from cluster.ports import free_port
from cluster.waiting import patience_s
from router.programs import NOBODY, end, ensure, install_router
from router.redis_server import INSTALLATION, route
from router.waiting import STARTS_S, until


@dataclass(frozen=True)
class Answer:
    """A response, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """Return the slug of a problem document; anything else fails."""
        kind = self.headers.get("Content-Type", "").partition(";")[0]
        assert kind == "application/problem+json", self
        assert self.json["status"] == self.status
        return str(self.json["type"]).removeprefix("/problems/")


class Router:
    """One router; `settings` are its MT5_ROUTER_* variables without the prefix.

    `open_files`: how many it may open at first, and how many at most.
    """

    def __init__(self, *, open_files: tuple[int, int] | None = None, **settings: Any) -> None:
        ensure()
        self._limits = (
            ["prlimit", f"--nofile={open_files[0]}:{open_files[1]}"] if open_files else []
        )
        self.port, self.ops_port = free_port(), free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="mt5-router-test-"))
        self.directory.chmod(0o755)
        self.routes = self._own("routes")
        self._home = install_router(REPOSITORY / "images/router", self.directory / "home")
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._session: aiohttp.ClientSession | None = None

    def _own(self, name: str) -> Path:
        place = self.directory / name
        place.mkdir()
        if os.geteuid() == 0:
            os.chown(place, NOBODY, NOBODY)
        return place

    @property
    def url(self) -> str:
        """Return the public address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Return the entrypoint's process id."""
        assert self._process is not None
        return self._process.pid

    def configure(self, name: str, value: object) -> None:
        """Change a setting before the start."""
        self._settings[name] = value

    def _environment(self) -> dict[str, str]:
        settings = {
            "BIND_ADDRESS": "127.0.0.1",
            "PORT": self.port,
            "OPS_PORT": self.ops_port,
            "RUN_DIR": self._own("run") / "nginx",
            "CONFIGMAP_DIR": self.routes,
            "WORKERS": 2,
            "DRAIN_TIMEOUT_S": 20,
        } | self._settings
        given = {f"MT5_ROUTER_{name}": str(value) for name, value in settings.items()}
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | given

    async def start(self) -> Router:
        """Start, and wait until it is alive."""
        self.launch()
        self._session = aiohttp.ClientSession(auto_decompress=False)
        await until(self.alive, what="the router to live", timeout_s=STARTS_S, hint=self.errors)
        return self

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process, without waiting for anything."""
        root = os.geteuid() == 0
        with (
            (self.directory / "stdout").open("wb") as output,
            (self.directory / "stderr").open("wb") as errors,
        ):
            if root:
                os.chown(self.directory / "stdout", NOBODY, NOBODY)
            self._process = subprocess.Popen(
                [*DIES_WITH_US, *self._limits, self._home / "entrypoint.sh"],
                env=self._environment(),
                stdout=output,
                stderr=errors,
                user=NOBODY if root else None,
                group=NOBODY if root else None,
                extra_groups=[] if root else None,
            )
        return self._process

    async def close(self) -> None:
        """End it and remove its files."""
        if self._session is not None:
            await self._session.close()
        if self._process is not None and self._process.poll() is None:
            # nginx itself, which then drops everything: a drain takes a second that tests save.
            os.kill(self._master(), signal.SIGTERM)
            end(self._process)
        shutil.rmtree(self.directory, ignore_errors=True)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the entrypoint."""
        os.kill(self.pid, number)

    async def ended(self) -> int:
        """Wait for the end and return the exit status."""
        assert self._process is not None
        process = self._process
        await until(lambda: process.poll() is not None, what="the router to end", timeout_s=30)
        return int(process.returncode)

    def errors(self) -> str:
        """Return what it wrote to standard error."""
        file = self.directory / "stderr"
        return file.read_text() if file.exists() else ""

    def output(self) -> str:
        """Return the access log."""
        return (self.directory / "stdout").read_text()

    async def logged(self, request_id: str) -> dict[str, Any]:
        """Return the access log's line about one request."""

        def line() -> dict[str, Any] | None:
            for text in self.output().splitlines():
                if request_id in text:
                    return dict(json.loads(text))
            return None

        return dict(await until(line, what=f"a log line about {request_id}"))

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return the client that asks it."""
        assert self._session is not None
        return self._session

    def _master(self) -> int:
        return int((self.directory / "run/nginx/nginx.pid").read_text())

    def workers(self) -> list[int]:
        """Return the process ids of nginx's workers."""
        master = self._master()
        children = Path(f"/proc/{master}/task/{master}/children").read_text()
        return [int(pid) for pid in children.split()]

    def kill_worker(self, pid: int) -> None:
        """Kill one worker as a crash would."""
        assert pid in self.workers()
        os.kill(pid, signal.SIGKILL)

    def opened_for_writing(self) -> set[Path]:
        """Return the regular files that its workers may write to, run directory aside."""
        found = set()
        for pid in self.workers():
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):  # closed meanwhile
                    target = link.readlink()
                    flags = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().split()[3]
                    if int(flags, 8) & os.O_ACCMODE and target.is_file():
                        found.add(target)
        return {file for file in found if (self.directory / "run") not in file.parents}

    # -- asking -----------------------------------------------------------------------------

    async def ask(
        self, path: str, method: str = "GET", *, ops: bool = False, **more: Any
    ) -> Answer:
        """Return the answer to a request."""
        assert self._session is not None
        port = self.ops_port if ops else self.port
        url = f"http://127.0.0.1:{port}{path}"
        async with self._session.request(method, url, **more) as response:
            return Answer(response.status, response.headers, await response.read())

    async def raw(self, *lines: bytes) -> Answer:
        """Return the answer to these very bytes: a request line and headers."""
        return await self.wire(
            b"\r\n".join([*lines, b"Host: router", b"Connection: close", b"", b""])
        )

    async def wire(self, data: bytes) -> Answer:
        """Return the answer to these very bytes, after which the connection ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        try:
            answer = await asyncio.wait_for(reader.read(), patience_s(10))
        finally:
            writer.close()
            await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *headers = head.decode("latin-1").split("\r\n")
        pairs = dict(header.split(": ", 1) for header in headers)
        return Answer(int(status.split()[1]), pairs, body)

    def files(self) -> list[str]:
        """Return what nginx buffers in files: they have no name as soon as they are open."""
        kept = [str(self.directory / "run/nginx" / name) for name in ("body", "proxy")]
        found = []
        for handle in Path("/proc").glob("[0-9]*/fd/*"):
            with suppress(OSError):  # it ended, or is somebody else's
                found.append(str(handle.readlink()))
        return [name for name in found if name.startswith(tuple(kept))]

    async def alive(self) -> bool:
        """Tell whether /healthz answers well."""
        return await self._good("/healthz")

    async def ready(self) -> bool:
        """Tell whether /readyz answers well."""
        return await self._good("/readyz")

    async def _good(self, path: str) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.errors()
        try:
            return (await self.ask(path, ops=True)).status == 200
        except aiohttp.ClientError:
            return False

    async def metric(self, name: str) -> float:
        """Return the value of a metric, labels included in its name; 0 if there is none."""
        text = (await self.ask("/metrics", ops=True)).body.decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0

    async def knows(self, account: str) -> bool:
        """Tell whether the account has a route, with or without an address."""
        answer = await self.ask(f"/accounts/{account}/api/status")
        # 429: it was asked for too often while it was unknown.
        return answer.status not in (404, 429) and b"routes-loading" not in answer.body

    # -- ConfigMaps -------------------------------------------------------------------------

    def write_shard(
        self,
        number: int,
        routes: Mapping[str, str],
        *,
        shards: int = 1,
        installation: str = INSTALLATION,
    ) -> None:
        """Write a shard as the kubelet does: a new file takes the old one's place."""
        table = {
            "installation": installation,
            "shard": number,
            "shards": shards,
            "routes": {account: route(address) for account, address in routes.items()},
        }
        place = self.routes / str(number)
        place.mkdir(exist_ok=True)
        draft = place / ".draft"
        draft.write_text(json.dumps(table))
        draft.rename(place / "routes.json")

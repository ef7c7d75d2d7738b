# SPDX-License-Identifier: Apache-2.0
"""A real agent (supervisor, worker, simulated terminal as processes) and a sidecar's end of its
protocol."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.waiting import patience_s
from mt5_agent import protocol

ANY_PASSWORD = "x"  # what Simulator-Demo accepts
PATIENCE_S = 20.0
LOG_SHOWN = 10_000
TOKEN = "token-of-this-test"


class SidecarEnd:
    """Listens as a sidecar does, and waits for messages instead of sleeping."""

    def __init__(self, token_file: Path) -> None:
        self.token_file = token_file
        self.patience_s = PATIENCE_S
        self.port = 0
        self.version = protocol.VERSION
        self.bodies: list[bytes] = []
        self.parts: list[protocol.Part] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self._assembly = protocol.Assembly()
        self.refuses = ""
        self.hellos: list[protocol.Hello] = []
        self.state: protocol.State | None = None
        self.states: list[protocol.State] = []
        self.snapshots: dict[str, protocol.Snapshot] = {}
        self.accounts: list[Any] = []
        self.answers: dict[int, protocol.Answer] = {}
        self.goodbye: protocol.Goodbye | None = None
        self._changed = asyncio.Condition()
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._nearer: asyncio.Server | None = None
        self._count = 0

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        self.token_file.write_text(TOKEN)

    async def listen_nearer(self) -> None:
        """Listen on the socket beside the token as well."""
        path = self.token_file.with_name(protocol.SOCKET_NAME)
        self._nearer = await asyncio.start_unix_server(self._serve, str(path))

    async def leave_the_socket(self) -> None:
        """Be there by the port only; the socket's file stays, as after a kill."""
        path = self.token_file.with_name(protocol.SOCKET_NAME)
        if self._nearer:
            self._nearer.close()
        path.unlink(missing_ok=True)  # Python 3.13 removes it by itself
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(path))

    async def close(self) -> None:
        servers = [server for server in (self._server, self._nearer) if server]
        for server in servers:
            server.close()
        self.hang_up()
        for server in servers:
            await server.wait_closed()

    def hang_up(self) -> None:
        """Close the connection and forget what came over it."""
        if self._writer:
            self._writer.close()
        self._writer, self.state = None, None
        self.snapshots.clear()

    async def joined(self) -> None:
        await self.until(lambda: self._writer is not None and self.state is not None)

    def send(self, message: object) -> None:
        assert self._writer
        self._writer.write(protocol.encode(message))

    async def drain(self) -> None:
        """Wait until the agent has read enough of what was sent."""
        assert self._writer
        await self._writer.drain()

    def login(
        self, login: int = 10001, server: str = "Simulator-Demo", password: str = ANY_PASSWORD
    ) -> None:
        self.send(
            protocol.Login(
                login_id=1, login=login, server=server, password=password, symbols=("EURUSD",)
            )
        )

    async def becomes(self, state: str, reason: str | None = None) -> protocol.State:
        """Wait until the agent says `state`, and `reason` if one is given."""

        def so() -> bool:
            now = self.state
            return now is not None and now.state == state and reason in {None, now.reason}

        await self.until(so)
        assert self.state
        return self.state

    async def serves(self, login: int = 10001) -> None:
        """Wait until the agent is connected and answers a call."""
        await self.becomes("Connected")
        answer = await self.ask("account_info")
        assert protocol.decode_result("account_info", answer).login == login

    def request(self, call: str, *args: Any, within_s: float = 10, **kwargs: Any) -> int:
        self._count += 1
        self.send(
            protocol.Request(
                id=self._count,
                call=call,
                args=args,
                kwargs=kwargs,
                deadline_ms=int(within_s * 1000),
            )
        )
        return self._count

    async def answer(self, number: int) -> protocol.Answer:
        await self.until(lambda: number in self.answers)
        return self.answers[number]

    async def ask(self, call: str, *args: Any, within_s: float = 10, **kwargs: Any) -> Any:
        return await self.answer(self.request(call, *args, within_s=within_s, **kwargs))

    async def until(self, claim: Callable[[], bool]) -> None:
        async with asyncio.timeout(patience_s(self.patience_s)), self._changed:
            await self._changed.wait_for(claim)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = protocol.Frames()
        while data := await self._read(reader):
            for body in frames.feed(data):
                self.bodies.append(body)
                await self._take(protocol.decode_from_agent(body), writer)
        writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        await self.reads.wait()
        return await reader.read(65_536)

    async def _take(self, message: protocol.FromAgent, writer: asyncio.StreamWriter) -> None:
        async with self._changed:
            match message:
                case protocol.Hello():
                    self.hellos.append(message)
                    self._greet(message, writer)
                case protocol.State():
                    self.state = message
                    self.states.append(message)
                case protocol.Snapshot():
                    self.snapshots[message.kind] = message
                    if message.kind == "account":
                        self.accounts.append(protocol.decode_snapshot(message))
                case protocol.Answer():
                    self.answers[message.id] = self._assembly.whole(message)
                case protocol.Part():
                    self.parts.append(message)
                    self._assembly.add(message)
                case protocol.Goodbye():
                    self.goodbye = message
            self._changed.notify_all()

    def _greet(self, hello: protocol.Hello, writer: asyncio.StreamWriter) -> None:
        if self.refuses or hello.token != TOKEN:
            writer.write(protocol.encode(protocol.Goodbye(reason=self.refuses or "token")))
            writer.close()
            return
        self._writer = writer
        writer.write(protocol.encode(protocol.Welcome(version=self.version)))


class Agent:
    """The process `python -m mt5_agent`, its children and its logs."""

    def __init__(self, folder: Path, sidecar: SidecarEnd) -> None:
        self.data_dir = folder / "data"
        self.log = ""
        self.environment = {
            **os.environ,
            "MT5_AGENT_BACKEND": "simulator",
            "MT5_AGENT_DATA_DIR": str(self.data_dir),
            "MT5_AGENT_SIDECAR_ADDRESS": f"127.0.0.1:{sidecar.port}",
            "MT5_AGENT_TOKEN_FILE": str(sidecar.token_file),
            "MT5_AGENT_POLL_INTERVAL_S": "0.1",
            "MT5_AGENT_TICK_INTERVAL_S": "0.1",
            "MT5_AGENT_LOGIN_TIMEOUT_S": "2",
            "MT5_AGENT_SILENCE_S": "1",
            "MT5_AGENT_BACKOFF_S": "0.1",
            "MT5_AGENT_HEARTBEAT_S": "0.5",
            "MT5_AGENT_CALL_PATIENCE_S": "0.2",
        }
        self.process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mt5_agent"),
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def journal(self) -> str:
        return "".join(p.read_text("utf-16") for p in (self.data_dir / "logs").glob("*.log"))

    def children(self) -> dict[str, int]:
        """Return the pids of `worker` and `terminal`."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        found = {}
        for pid in map(int, path.read_text().split()):
            words = argv(pid)
            found["worker" if "mt5_agent.worker" in words else "terminal"] = pid
        return found

    def descendants(self) -> list[int]:
        """Return all processes of this agent, whoever is their parent by now."""
        mark = f"MT5_AGENT_DATA_DIR={self.data_dir}\0".encode()
        return [pid for pid in _pids() if mark in _environment(pid)]

    def kill_child(self, name: str) -> None:
        os.kill(self.children()[name], signal.SIGKILL)

    async def says(self, words: str) -> None:
        """Wait until its log holds `words`."""
        async with asyncio.timeout(patience_s(PATIENCE_S)):
            while words not in self.log:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def end(self) -> int:
        """Send SIGTERM and wait."""
        if self.process is None or self._reading is None:
            return 0
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(patience_s(PATIENCE_S)):
            code = await self.process.wait()
            await self._reading
        sys.stdout.write(self.log[-LOG_SHOWN:])  # shown when the test fails
        return code

    async def _read(self) -> None:
        assert self.process
        assert self.process.stdout
        while data := await self.process.stdout.read(65_536):
            self.log += data.decode()


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""  # it ended


def argv(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


@pytest.fixture
async def sidecar(tmp_path: Path) -> AsyncIterator[SidecarEnd]:
    """A sidecar's end that listens."""
    end = SidecarEnd(tmp_path / "token")
    await end.listen()
    yield end
    await end.close()


@pytest.fixture
async def made_agent(tmp_path: Path, sidecar: SidecarEnd) -> AsyncIterator[Agent]:
    """An agent that is not started yet; it is ended whatever happens."""
    made = Agent(tmp_path, sidecar)
    yield made
    await made.end()


@pytest.fixture
async def agent(made_agent: Agent, sidecar: SidecarEnd) -> Agent:
    """An agent that was started and has joined `sidecar`."""
    await made_agent.start()
    await sidecar.joined()
    return made_agent


@pytest.fixture
def ended() -> Callable[..., Awaitable[None]]:
    """Return a function that waits for the end of processes that are not our children."""

    async def wait(*pids: int) -> None:
        async with asyncio.timeout(patience_s(PATIENCE_S)):
            while any(Path(f"/proc/{pid}").exists() for pid in pids):  # noqa: ASYNC110, ASYNC240
                await asyncio.sleep(0.01)

    return wait

# SPDX-License-Identifier: Apache-2.0
"""A whole sidecar in the test's process, its files in a temporary folder, looked at on demand."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import websockets.asyncio.client
from scripted_agent import PASSWORD, ScriptedAgent
from scripted_broker import ScriptedBroker
from stream_schema import Checked

from cluster.waiting import patience_s
from mt5_sidecar.app import Sidecar
from mt5_sidecar.settings_model import Settings, load

POD_UID = "0b0f6c9e-pod"
NEVER_S = 3600.0


def api_key(id_: str) -> str:
    """Return a key that is well-formed, and random enough for a test."""
    return f"mt5_{id_}_{hashlib.sha256(id_.encode()).hexdigest()[:43]}"


def key_record(
    id_: str, *, accounts: list[str], scopes: list[str], expires: str | None = None
) -> dict[str, Any]:
    """Return the operator's record of `api_key(id_)`."""
    digest = hashlib.sha256(api_key(id_).encode()).hexdigest()
    record = {"id": id_, "sha256": digest, "accounts": accounts, "scopes": scopes}
    return record | {"expires": expires}


OWN = key_record("own", accounts=["10001"], scopes=["read"])
KEY = api_key("own")
TRADER = key_record("trader", accounts=["10001"], scopes=["read", "trade"])


@dataclass
class Answer:
    """An HTTP answer, read."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        assert self.headers["Content-Type"] == "application/problem+json"
        return str(self.json["type"])


class Rig:
    """A sidecar of account 10001, its agents and its clients."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.put("credentials/password", PASSWORD)
        self.put_keys([OWN])
        self.put_account(enabled=False)
        given = self._defaults() | settings
        self.settings = Settings(**given)

        async def again() -> Settings:
            return load(**given)

        self.sidecar = Sidecar(self.settings, again=again)
        self.agents: list[ScriptedAgent] = []
        self._sockets: list[Any] = []

    @property
    def context(self) -> Any:
        return self.sidecar.context

    @property
    def agent(self) -> ScriptedAgent:
        return self.agents[-1]

    async def start(self) -> None:
        await self.sidecar.start()

    async def stop(self) -> None:
        for socket in self._sockets:
            socket.transport.abort()
        await self.sidecar.stop()
        for agent in self.agents:
            await agent.stop()

    def look(self) -> None:
        """Do what the sidecar does every second."""
        self.sidecar.housekeeping.look()

    async def reloads(self) -> None:
        """Look, and wait until changed settings are in use or refused."""
        self.look()
        await self.sidecar.housekeeping.reloading.finished()

    def put(self, name: str, content: str | bytes) -> None:
        """Swap a file in, as the kubelet does: a new file under the old name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        part.replace(path)

    def put_keys(self, keys: list[dict[str, Any]]) -> None:
        self.put("access/keys.json", json.dumps({"version": 1, "keys": keys}))

    def put_account(
        self, *, enabled: bool, symbols: tuple[str, ...] = ("EURUSD",), **limits: Any
    ) -> None:
        trading = {"enabled": enabled, "max_volume": None, "symbols": None} | limits
        body = {"version": 1, "symbols": list(symbols), "trading": trading}
        self.put("account/account.json", json.dumps(body))

    def new_agent(self) -> ScriptedAgent:
        return self.new_agent_on(self.context.terminal.agent_port)

    def new_agent_on(self, port: int, *, token: str | None = None) -> ScriptedAgent:
        own = self.settings.agent_token_file.read_text()
        self.agents.append(ScriptedAgent(port, own if token is None else token))
        return self.agents[-1]

    async def connected(self, agent: ScriptedAgent | None = None) -> ScriptedAgent:
        """Connect an agent, and return once the whole account is on the board."""
        agent = agent or self.new_agent()
        await agent.connect()
        board, terminal = self.context.board, self.context.terminal
        await eventually(lambda: agent.login_id and terminal.connection.connected)
        await eventually(lambda: board.version("tick_data"))
        await self.knows_digits()
        return agent

    async def trades(self) -> ScriptedBroker:
        """Connect an agent that trades, and let the key `trader` trade."""
        self.put_account(enabled=True)
        self.put_keys([OWN, TRADER])
        self.look()
        agent = self.new_agent()
        broker = ScriptedBroker(agent)
        await self.connected(agent)
        await eventually(lambda: self.context.office.desk.ready)
        return broker

    async def trade(self, method: str, path: str, key: str | None = None, **options: Any) -> Answer:
        headers = {"Idempotency-Key": key} if key else {}
        return await self.request(method, path, key=api_key("trader"), headers=headers, **options)

    async def knows_digits(self) -> None:
        asking = self.context.feed.contracts._asking
        await eventually(lambda: not asking)

    async def request(
        self, method: str, path: str, *, key: str | None = KEY, **options: Any
    ) -> Answer:
        headers = ({"X-API-Key": key} if key else {}) | options.pop("headers", {})
        port = options.pop("port", self.sidecar.api_port)
        url = f"http://127.0.0.1:{port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, headers=headers, **options) as answer,
        ):
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.request("GET", path, **options)

    async def ops(self, path: str, **options: Any) -> Answer:
        return await self.request("GET", path, key=None, port=self.sidecar.ops_port, **options)

    async def ws(
        self, path: str = "/ws", *, key: str | None = KEY, bearer: str = "", **options: Any
    ) -> Any:
        headers = {"X-API-Key": key} if key else {"Authorization": f"Bearer {bearer}"}
        url = f"ws://127.0.0.1:{self.sidecar.api_port}{path}"
        socket = await websockets.asyncio.client.connect(
            url, additional_headers=headers, proxy=None, create_connection=Checked, **options
        )
        self._sockets.append(socket)
        return socket

    def _defaults(self) -> dict[str, Any]:
        return {
            "account_id": "10001",
            "login": 10001,
            "server": "Simulator-Demo",
            "pod_uid": POD_UID,
            "api_host": "127.0.0.1",
            "ops_host": "127.0.0.1",
            "api_port": 0,
            "ops_port": 0,
            "agent_port": 0,
            "agent_token_file": self.folder / "agent/token",
            "credentials_file": self.folder / "credentials/password",
            "account_file": self.folder / "account/account.json",
            "keys_file": self.folder / "access/keys.json",
            "operator_jwks_file": self.folder / "access/operator.jwks.json",
            "settings_file": self.folder / "access/mt5_bridge.yaml",
            "journal_dir": self.folder / "journal",
            # The journal of a test knows every key that there is.
            "order_newborn_s": 0,
            "file_poll_interval_s": NEVER_S,
            # The scripted agent's clock stands still.
            "stale_after_s": 1e9,
            "ws_interval_ms": 0,
            "drain_jitter_s": 0,
        }


async def eventually(condition: Callable[[], object], *, timeout_s: float = 5.0) -> None:
    """Return once `condition` holds; fail if it does not within the time."""
    began_s = time.monotonic()
    while not condition():
        assert time.monotonic() - began_s < patience_s(timeout_s), "the condition never held"
        await asyncio.sleep(0.002)


async def heard(socket: Any, type_: str, *, timeout_s: float = 5.0) -> dict[str, Any]:
    """Return the next message of a type, and pass over the others."""
    async with asyncio.timeout(patience_s(timeout_s)):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if message["type"] == type_:
                return message


async def closed(socket: Any, *, timeout_s: float = 5.0) -> tuple[int, str]:
    """Return code and reason of the close that comes, and pass over messages before it."""
    async with asyncio.timeout(patience_s(timeout_s)):
        while True:
            try:
                await socket.recv()
            except websockets.exceptions.ConnectionClosed:
                return socket.close_code, socket.close_reason

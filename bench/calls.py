# SPDX-License-Identifier: Apache-2.0
"""P5: a call through sidecar and agent, without the package's own time, against RPyC as mt5linux
uses it. Natively, in the Python of this checkout; and where that can be run in the Wine image: in
its Python 3.13, and with the package's side in Windows Python under Wine.

Both ways end with 20 positions, all 19 fields of each read by the client. Cores do not halt
meanwhile (`bench.awake`); what a call takes where they do is told beside.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final, Protocol

from bench.awake import awake
from bench.cores import SERVER, on
from bench.findings import Finding
from bench.processes import Started
from bench.rounds import Effort
from bench.sidecar import until
from bench.stub.MetaTrader5 import LOGIN, POSITIONS
from cluster.paths import REPOSITORY
from cluster.ports import free_port
from mt5_agent.protocol import SOCKET_NAME, Position
from mt5_sidecar.metrics import Metrics
from mt5_sidecar.settings_model import Settings
from mt5_sidecar.terminal.terminal import Terminal

OURS_CALLS: Final = 400
BATCH: Final = 20
"""The median of so many calls in a row counts; the least disturbed batch is told beside it."""
RPYC_CALLS: Final = 3
START_S: Final = 60.0
AGENT_UID: Final = 65532  # of tests/contract_wine/pod.sh
STUB: Final = Path(__file__).with_name("stub")
WAY: Final = Path(__file__).with_name("rpyc_way.py")
OURS: Final = "opt/mt5/bench"
"""The stub, and the way of RPyC, in the image."""


class Place(Protocol):
    """Where the package's side runs: this machine, or an image on it."""

    name: str
    target_us: float

    def shared(self, folder: Path) -> Path:
        """Return what sidecar and agent both see: the token, and the sidecar's socket."""

    def agent(self, terminal: Terminal, folder: Path) -> Any:
        """Run our agent there while the context lasts."""

    def rpyc(self, port: int, folder: Path) -> Any:
        """Run RPyC's server there while the context lasts."""


class Native:
    """Plain processes."""

    name, target_us = "natively", 200.0

    def shared(self, folder: Path) -> Path:
        """Return any folder: nothing is hidden from plain processes."""
        return folder

    @contextmanager
    def agent(self, terminal: Terminal, folder: Path) -> Iterator[None]:
        """Run our agent."""
        paths = [STUB, REPOSITORY / "sidecar"]
        environment = _agent_settings(terminal.agent_port) | {
            "MT5_AGENT_TOKEN_FILE": folder / "token",
            "MT5_AGENT_DATA_DIR": folder,
            "MT5_AGENT_TERMINAL_PATH": WAY,  # any file: nothing starts it
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
        }
        argv = [sys.executable, "-m", "mt5_agent"]
        process = Started(argv, folder / "agent.log", core=SERVER, env=environment)
        try:
            yield
        finally:
            process.end()

    @contextmanager
    def rpyc(self, port: int, folder: Path) -> Iterator[None]:
        """Run RPyC's server."""
        environment = {"PYTHONPATH": STUB}
        argv = [_bench_python(), WAY, "serve", port]
        process = Started(argv, folder / "rpyc.log", core=SERVER, env=environment)
        try:
            yield
        finally:
            process.end()


@dataclass
class InImage:
    """The Wine image's files, restricted as in a pod."""

    pod: Any
    name: str
    target_us: float
    python: str
    """Runs the package's side: the worker, or RPyC's server."""
    files: str
    """Our folder, as that Python names it."""

    def shared(self, folder: Path) -> Path:
        """Return the volume of the token, where the image has it."""
        place, link = self.pod.path("run/mt5/agent"), folder / "agent"
        place.mkdir(parents=True, exist_ok=True)
        link.symlink_to(place)  # its own name is too long for a socket's
        return link

    @contextmanager
    def agent(self, terminal: Terminal, folder: Path) -> Iterator[None]:
        """Run our agent in the image's own Python, its worker in `python`."""
        shared = [folder / "agent" / name for name in ("token", SOCKET_NAME)]
        for file in shared:
            os.chown(file, AGENT_UID, AGENT_UID)  # whose both are in a pod
        # Windows Python takes no PYTHONPATH.
        worker = (
            f"import sys, runpy; sys.path.insert(0, '{self.files}'); "
            "sys.argv = ['worker', sys.argv[-1]]; "
            "runpy.run_module('mt5_agent.worker', run_name='__main__')"
        )
        environment = _agent_settings(terminal.agent_port) | {
            "MT5_AGENT_WORKER_COMMAND": json.dumps([self.python, "-c", worker]),
            "MT5_AGENT_TERMINAL_PATH": f"{self.files}/MetaTrader5.py",
        }
        with on(SERVER):
            process = self.pod.start(**environment)
        try:
            yield
        finally:
            self.pod.end(process)
            for file in shared:
                file.unlink()

    @contextmanager
    def rpyc(self, port: int, folder: Path) -> Iterator[None]:
        """Run RPyC's server in `python`."""
        del folder
        code = f"import sys; sys.path.insert(0, '{self.files}'); import rpyc_way; "
        argv = [self.python, "-c", code + f"rpyc_way.serve({port})"]
        with on(SERVER):
            process = self.pod.start(argv)
        try:
            yield
        finally:
            self.pod.end(process)


async def measure(folder: Path, effort: Effort) -> list[Finding]:
    """Return P5; without root or the image's tools only natively."""
    found = await _compared(Native(), folder / "native", effort)
    with _image() as pod:
        if pod is not None:
            linux = InImage(pod, "natively, in the image", 200.0, "/usr/bin/python3", f"/{OURS}")
            wine = InImage(pod, "under Wine", 400.0, "/opt/mt5/bin/windows-python", f"Z:/{OURS}")
            found += await _compared(linux, folder / "image", effort)
            found += await _compared(wine, folder / "wine", effort)
    return found


@dataclass
class _Rounds:
    """The middle of each round, in microseconds."""

    ours: list[float] = field(default_factory=list)
    quietest: list[float] = field(default_factory=list)
    """Of each batch in a row, not of each round."""
    halting: list[float] = field(default_factory=list)
    """Ours where cores halt that have nothing to do."""
    theirs: list[float] = field(default_factory=list)


async def _compared(place: Place, folder: Path, effort: Effort) -> list[Finding]:
    folder.mkdir()
    rounds = _Rounds()
    async with AsyncExitStack() as stack:
        call = await stack.enter_async_context(_ours(place, folder))
        ask = await stack.enter_async_context(_rpyc(place, folder))
        for number in range(effort.rounds + 1):
            halting = await _times_us(call)
            with awake():
                ours, theirs = await _times_us(call), await ask(RPYC_CALLS)
            if number:  # the first one warms up
                rounds.ours.append(median(ours))
                rounds.quietest += [median(ours[i : i + BATCH]) for i in range(0, len(ours), BATCH)]
                rounds.halting.append(median(halting))
                rounds.theirs.append(median(theirs))
    return _findings(place, rounds)


def _findings(place: Place, rounds: _Rounds) -> list[Finding]:
    ratio = median(their / our for our, their in zip(rounds.ours, rounds.theirs, strict=True))
    beside = (
        f"least disturbed {BATCH} in a row {min(rounds.quietest):,.0f} us; "
        f"{median(rounds.halting):,.0f} us where idle cores halt; "
        f"RPyC {median(rounds.theirs) / 1000:,.1f} ms"
    )
    what = f"call with 20 positions, {place.name}"
    return [
        Finding(
            target_id="P5",
            what=f"{what}, p50",
            value=median(rounds.ours),
            unit="us",
            sense="<=",
            target=place.target_us,
            beside=beside,
        ),
        Finding(
            target_id="P5", what=f"{what}: faster than RPyC", value=ratio, target=100.0, beside=""
        ),
    ]


async def _times_us(call: Callable[[], Any]) -> list[float]:
    times = []
    for _ in range(OURS_CALLS):
        begin = time.perf_counter()
        positions: list[Position] = await call()
        rows = [
            [getattr(position, name) for name in Position.__struct_fields__]
            for position in positions
        ]
        times.append((time.perf_counter() - begin) * 1e6)
        assert len(rows) == POSITIONS
        assert rows[0][16] == "EURUSD"
    return times


@asynccontextmanager
async def _ours(place: Place, folder: Path) -> AsyncIterator[Callable[[], Any]]:
    (folder / "password").write_text("bench")
    terminal = Terminal(
        Settings(
            account_id="bench",
            login=LOGIN,
            server="Bench",
            agent_port=0,
            agent_token_file=place.shared(folder) / "token",
            credentials_file=folder / "password",
            account_file=folder / "account.json",
        ),
        Metrics(),
    )
    await terminal.start()
    try:
        with place.agent(terminal, folder):
            await until(lambda: _is(terminal.connection.connected))
            yield lambda: terminal.call("positions_get")
    finally:
        await terminal.stop()


@asynccontextmanager
async def _rpyc(place: Place, folder: Path) -> AsyncIterator[Callable[[int], Any]]:
    port = free_port()
    with place.rpyc(port, folder):
        await _listens(port)
        client = await asyncio.create_subprocess_exec(
            *map(str, (_bench_python(), WAY, "ask", port)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert client.stdin is not None
        assert client.stdout is not None
        reader, writer = client.stdout, client.stdin

        async def ask(count: int) -> list[float]:
            writer.write(f"{count}\n".encode())
            times: list[float] = json.loads(await reader.readline())
            return times

        try:
            yield ask
        finally:
            client.kill()
            await client.wait()


async def _listens(port: int) -> None:
    end_s = time.monotonic() + START_S
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert time.monotonic() < end_s, f"nobody listens on {port}"
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


@contextmanager
def _image() -> Iterator[Any]:
    if os.geteuid() or not shutil.which("buildah"):
        yield None
        return
    from contract_wine import wine

    with wine.unpacked(wine.build()) as root:
        place = root.outside / OURS
        try:
            shutil.copytree(STUB, place, dirs_exist_ok=True)
            shutil.copy(WAY, place)
            for name in ("rpyc", "plumbum"):
                shutil.copytree(_site_packages() / name, place / name, dirs_exist_ok=True)
            yield wine.Pod(root)
        finally:
            shutil.rmtree(place)


def _agent_settings(port: int) -> dict[str, str | Path]:
    return {
        "MT5_AGENT_BACKEND": "metatrader5",
        "MT5_AGENT_SIDECAR_ADDRESS": f"127.0.0.1:{port}",
        "MT5_AGENT_TERMINAL_COMMAND": "/usr/bin/sleep 3600",
        "MT5_AGENT_TERMINAL_STOP_COMMAND": "",
        "MT5_AGENT_POLL_INTERVAL_S": "3600",  # the calls that are measured, and no others
        "MT5_AGENT_TICK_INTERVAL_S": "3600",
        "MT5_AGENT_TERMINAL_INI": "",
        "MT5_AGENT_GRACE_S": "1",
    }


def _bench_python() -> str:
    return os.environ["MT5_BRIDGE_BENCH_PYTHON"]


def _site_packages() -> Path:
    code = "import rpyc; print(rpyc.__path__[0])"
    words: Sequence[str] = [_bench_python(), "-c", code]
    return Path(subprocess.run(words, check=True, capture_output=True, text=True).stdout).parent


async def _is(claim: object) -> bool:
    return bool(claim)

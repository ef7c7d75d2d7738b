# SPDX-License-Identifier: Apache-2.0
"""Child processes: none outlives the supervisor.

Each one's stdin is held open here, and it ends when that closes. One that is blocked inside a call
does not look at its stdin, so on Linux the kernel kills it when the supervisor is gone:
`setpriv --pdeathsig`, because the order has to be given between fork and exec (it survives exec,
also into Wine, whose Windows Python could not give it itself), and Python code there is not safe
beside threads. Until setpriv has run, the child was given no call yet, and sees its stdin close.
On Windows a job object does the same (`mt5_agent.job`).
"""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

from mt5_agent.protocol import READ_BYTES


def _found(program: str) -> str | None:  # shutil.which would cost each account half a megabyte
    paths = (os.path.join(folder, program) for folder in ("", *os.get_exec_path()))  # noqa: PTH118
    return next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), None)  # noqa: PTH113


_SETPRIV: Final = _found("setpriv") if sys.platform == "linux" else None
_BOUND: Final = (_SETPRIV, "--pdeathsig", "KILL", "--") if _SETPRIV else ()
_STDIN: Final = 0
_STDOUT: Final = 1
_log = logging.getLogger(__name__)


class _Ears(asyncio.SubprocessProtocol):
    """Hears a process and its end."""

    def __init__(self, heard: Callable[[bytes], None] | None) -> None:
        self._heard = heard
        self._transport: asyncio.SubprocessTransport | None = None
        self.exited = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)  # noqa: S101  asyncio's promise
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        del fd
        if self._heard is not None:
            self._heard(data)

    def process_exited(self) -> None:
        self.exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._transport is not None:
            self._transport.close()


class _Direct(asyncio.Protocol):
    """Takes the place of asyncio's own protocol of a process's stdout, which hands each piece on in
    a turn of the loop of its own: a call's answer comes through here."""

    def __init__(self, heard: Callable[[bytes], None], rest: asyncio.BaseProtocol) -> None:
        self._heard, self._rest = heard, rest

    def data_received(self, data: bytes) -> None:
        self._heard(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard(b"")
        self._rest.connection_lost(exc)  # it counts the pipes


class Child:
    """A process of ours. Nothing secret is ever in `argv`; its environment is the supervisor's
    own."""

    def __init__(self, transport: asyncio.SubprocessTransport, ears: _Ears) -> None:
        """Own the process of `transport`."""
        self._transport, self._ears = transport, ears

    @classmethod
    async def start(
        cls, argv: Sequence[str], *, heard: Callable[[bytes], None] | None = None
    ) -> "Child":
        """Start `argv`; `heard` is called with what it says on stdout, and with b"" at the end.

        Raises:
            OSError: There is no such program.
        """
        if _BOUND and _found(argv[0]) is None:
            raise FileNotFoundError(argv[0])  # setpriv itself would start, and then say so
        transport, ears = await asyncio.get_running_loop().subprocess_exec(
            lambda: _Ears(heard),
            *(*_BOUND, *argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL if heard is None else subprocess.PIPE,
            stderr=None,
        )
        stdout = transport.get_pipe_transport(_STDOUT)
        if heard is not None and stdout is not None:
            _read_modestly(stdout)
            stdout.set_protocol(_Direct(heard, stdout.get_protocol()))
        return cls(transport, ears)

    @property
    def pid(self) -> int:
        """Return the process's number."""
        return self._transport.get_pid()

    @property
    def runs(self) -> bool:
        """Tell whether it has not ended yet."""
        return self._transport.get_returncode() is None

    def tell(self, data: bytes) -> None:
        """Write `data` to its stdin; to one that has ended it is said in vain."""
        stdin = self._transport.get_pipe_transport(_STDIN)
        if isinstance(stdin, asyncio.WriteTransport) and not stdin.is_closing():
            stdin.write(data)

    async def ended(self) -> int:
        """Wait for its end and return the exit code."""
        await self._ears.exited.wait()
        return self._transport.get_returncode() or 0

    async def stop(self, patience_s: float) -> None:
        """Ask it to end by closing its stdin; kill it when it does not."""
        stdin = self._transport.get_pipe_transport(_STDIN)
        if stdin is not None:
            stdin.close()
        try:
            async with asyncio.timeout(patience_s):
                await self.ended()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it now. Under Wine too this is the Linux process, which ends at once (MT5.md 0)."""
        with contextlib.suppress(ProcessLookupError):
            self._transport.kill()
        await self.ended()
        self._transport.close()


def _read_modestly(pipe: asyncio.BaseTransport) -> None:
    # Unix's pipes have this knob, undocumented; Windows' have one buffer of 64 KiB anyway.
    if hasattr(pipe, "max_size"):
        pipe.max_size = READ_BYTES


async def run(argv: Sequence[str], *, within_s: float) -> None:
    """Run a command to its end, or to its kill at `within_s`. That it failed is logged, no more."""
    null = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(*argv, stdin=null, stdout=null)
    except OSError as error:
        _log.error("%s cannot be run: %s", argv[0], error)
        return
    try:
        async with asyncio.timeout(within_s):
            code = await process.wait()
    except TimeoutError:
        _log.warning("%s did not end within %.0f s", argv[0], within_s)
    else:
        _log.info("%s ended with code %d", argv[0], code)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

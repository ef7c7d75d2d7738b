# SPDX-License-Identifier: Apache-2.0
"""Child processes: none outlives the supervisor.

Each one's stdin is held open here, and it ends when that closes. One that is blocked inside a call
does not look at its stdin, so on Linux the kernel kills it when the supervisor is gone:
`setpriv --pdeathsig`, because the order has to be given between fork and exec (it survives exec,
also into Wine, whose Windows Python could not give it itself), and Python code there is not safe
beside threads. Until setpriv has run, the child was given no call yet, and sees its stdin close.
On Windows a job object does the same (`mt5_agent.windows`).
"""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Final


def _found(program: str) -> str | None:  # shutil.which would cost each account half a megabyte
    paths = (os.path.join(folder, program) for folder in ("", *os.get_exec_path()))  # noqa: PTH118
    return next((path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)), None)  # noqa: PTH113


_SETPRIV: Final = _found("setpriv") if sys.platform == "linux" else None
_BOUND: Final = (_SETPRIV, "--pdeathsig", "KILL", "--") if _SETPRIV else ()
_log = logging.getLogger(__name__)


class Child:
    """A process of ours. Nothing secret is ever in `argv`; its environment is the supervisor's
    own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Own `process`."""
        self.process = process

    @classmethod
    async def start(cls, argv: Sequence[str], *, speaks: bool) -> "Child":
        """Start `argv`; `speaks`: its stdout is read.

        Raises:
            OSError: There is no such program.
        """
        if _BOUND and _found(argv[0]) is None:
            raise FileNotFoundError(argv[0])  # setpriv itself would start, and then say so
        stdout = asyncio.subprocess.PIPE if speaks else asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            *_BOUND, *argv, stdin=asyncio.subprocess.PIPE, stdout=stdout
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """Return the process's number."""
        return self.process.pid

    @property
    def runs(self) -> bool:
        """Tell whether it has not ended yet."""
        return self.process.returncode is None

    async def ended(self) -> int:
        """Wait for its end and return the exit code."""
        return await self.process.wait()

    async def stop(self, patience_s: float) -> None:
        """Ask it to end by closing its stdin; kill it when it does not."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            async with asyncio.timeout(patience_s):
                await self.process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it now. Under Wine too this is the Linux process, which ends at once (MT5.md 0)."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


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
            await Child(process).kill()

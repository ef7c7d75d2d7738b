# SPDX-License-Identifier: Apache-2.0
"""Carry TCP connections from a loopback address to another one of this machine.

`python -m demo.forward LISTEN_HOST LISTEN_PORT TARGET_HOST TARGET_PORT`. The node of the local
cluster is a machine of its own on a bridge; a browser or a script is used to loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio import StreamReader, StreamWriter

_CHUNK_BYTES = 64 * 1024


async def forward(listen: tuple[str, int], target: tuple[str, int]) -> None:
    """Carry connections until cancelled."""

    async def carry(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(*target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))

    server = await asyncio.start_server(carry, *listen)
    async with server:
        await server.serve_forever()


async def _copy(reader: StreamReader, writer: StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    here, here_port, there, there_port = sys.argv[1:]
    asyncio.run(forward((here, int(here_port)), (there, int(there_port))))

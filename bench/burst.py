# SPDX-License-Identifier: Apache-2.0
"""Short loads of equal cost: as many requests as take the server so much CPU time.

A second of wrk is a different piece of work each time that a neighbour takes the core away. A burst
is not: it ends when the server has spent its share, however long that takes, and it is so short
that the one it is compared with runs in the same weather.
"""

import asyncio
import socket
import time
from typing import Final
from urllib.parse import urlsplit

from bench.load import Sample, Subject
from bench.processes import cpu_s

CONNECTIONS: Final = 16
# Between two looks at the server's clock.
TURNS: Final = 5
LONGEST_S: Final = 10.0
_END: Final = b"\r\n\r\n"


async def burst(subject: Subject, *, server_cpu_s: float) -> Sample:
    """Return what `subject` did in about so much CPU time of its server.

    Raises:
        ValueError: It answered with an error.
    """
    return await asyncio.to_thread(_burst, subject, server_cpu_s)


def _burst(subject: Subject, server_cpu_s: float) -> Sample:
    connections = [_Connection(subject) for _ in range(CONNECTIONS)]
    try:
        _turn(connections)
        before_s, began_s, requests, spent_s = cpu_s(subject.pids), time.perf_counter(), 0, 0.0
        while spent_s < server_cpu_s and time.perf_counter() - began_s < LONGEST_S:
            for _ in range(TURNS):
                _turn(connections)
            requests += TURNS * CONNECTIONS
            spent_s = cpu_s(subject.pids) - before_s
        return Sample(
            requests=requests, seconds=time.perf_counter() - began_s, cpu_s=max(spent_s, 1e-9)
        )
    finally:
        for connection in connections:
            connection.close()


class _Connection:
    def __init__(self, subject: Subject) -> None:
        url = urlsplit(subject.url)
        path = url.path + (f"?{url.query}" if url.query else "")
        headers = {"Host": url.netloc, **subject.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._name = subject.name
        self._request = f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()
        self._socket = socket.create_connection((url.hostname or "", url.port or 80), LONGEST_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def ask(self) -> None:
        self._socket.sendall(self._request)

    def answer(self) -> None:
        data = self._socket.recv(65_536)
        while _END not in data:
            data += self._more()
        head, _, body = data.partition(_END)
        if head[9:12] not in (b"200", b"304"):
            raise ValueError(f"{self._name}: {head.decode(errors='replace')}")
        missing = _length(head) - len(body)
        while missing > 0:
            missing -= len(self._more())

    def _more(self) -> bytes:
        data = self._socket.recv(65_536)
        if not data:
            raise ValueError(f"{self._name}: hung up")
        return data


def _turn(connections: list[_Connection]) -> None:
    for connection in connections:
        connection.ask()
    for connection in connections:
        connection.answer()


def _length(head: bytes) -> int:
    if head[9:12] == b"304":
        return 0
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0])

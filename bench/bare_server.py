# SPDX-License-Identifier: Apache-2.0
"""The floor of P3 and P7: for each client one `send` of bytes that were made before, and nothing
else: no event loop, no check of a client, no thought of a slow one. What a server costs above
this is its own; this itself is the kernel's.

A line on the control port, and everybody gets the snapshot. Arguments: the port, the control port,
a JSON file with the snapshot.
"""

import json
import selectors
import socket
import sys
from pathlib import Path
from typing import Final

from mt5_sidecar.domain.encoding import encode
from mt5_sidecar.streams.frame import text_frame

_WELCOME: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
)
_HEALTHY: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def serve(port: int, control_port: int, file: str) -> None:
    """Listen on both ports until ended."""
    frame = text_frame(encode(json.loads(Path(file).read_text())))
    clients: list[socket.socket] = []
    with selectors.DefaultSelector() as waiting:
        doors = [socket.create_server(("127.0.0.1", each)) for each in (port, control_port)]
        for door in doors:
            waiting.register(door, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                told = key.fileobj
                assert isinstance(told, socket.socket)
                if told is doors[0]:
                    clients += _let_in(told)
                elif told is doors[1]:
                    waiting.register(told.accept()[0], selectors.EVENT_READ)
                elif told.recv(4096):
                    for client in clients:
                        client.send(frame)
                else:
                    return


def _let_in(door: socket.socket) -> list[socket.socket]:
    """Return the new client; none if it only asks whether we are there."""
    client, _ = door.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    request = b""
    while b"\r\n\r\n" not in request:
        request += client.recv(4096)
    if b"\r\nUpgrade: websocket\r\n" in request:
        client.sendall(_WELCOME)
        return [client]
    client.sendall(_HEALTHY)
    client.close()
    return []


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])

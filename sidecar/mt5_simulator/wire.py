# SPDX-License-Identifier: Apache-2.0
"""Between the package's surface and the simulated terminal: what the named pipe is to the real one.

A call is `[name, arguments]`, its answer `[code, text, value]` with last_error's code and text.
Frames are a 4-byte little-endian length and msgpack. The terminal says where it listens in a file
of its data directory.
"""

import contextlib
import json
import os
import socket
import struct
from pathlib import Path
from typing import Any, Final

import msgspec

_LENGTH: Final = struct.Struct("<I")
_ENDPOINT: Final = "simulator.endpoint.json"
_SOCKET: Final = "simulator.sock"
_UNIX_PATH_BYTES: Final = 100
"""Linux allows 107 bytes in sun_path (unix(7)); longer directories use TCP."""


class Gone(Exception):
    """The other end closed, or never was."""


def send(connection: socket.socket, message: object) -> None:
    """Send one message.

    Raises:
        Gone: Nobody is there.
    """
    body = msgspec.msgpack.encode(message)
    try:
        connection.sendall(_LENGTH.pack(len(body)) + body)
    except OSError as error:
        raise Gone from error


def receive(connection: socket.socket) -> Any:
    """Wait for one message, for ever if need be, as the real pipe does.

    Raises:
        Gone: The other end closed instead.
    """
    (size_bytes,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    return msgspec.msgpack.decode(_exactly(connection, size_bytes))


def listen(data_dir: Path) -> socket.socket:
    """Listen, and write down where: a Unix socket where there are such, else loopback TCP."""
    path = data_dir / _SOCKET
    if hasattr(socket, "AF_UNIX") and len(os.fsencode(path)) < _UNIX_PATH_BYTES:
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        place: dict[str, Any] = {"unix": str(path)}
    else:
        listener = socket.socket(socket.AF_INET)
        listener.bind(("127.0.0.1", 0))
        place = {"tcp": listener.getsockname()[1]}
    listener.listen(8)
    draft = data_dir / f"{_ENDPOINT}.new"
    draft.write_text(json.dumps(place))
    draft.replace(data_dir / _ENDPOINT)
    return listener


def connect(data_dir: Path) -> socket.socket:
    """Connect to the terminal of `data_dir`.

    Raises:
        Gone: None runs there.
    """
    try:
        place = json.loads((data_dir / _ENDPOINT).read_bytes())
        return _connected(place)
    except (OSError, ValueError) as error:
        raise Gone from error


def forget(data_dir: Path) -> None:
    """Remove what `listen` wrote."""
    for name in (_ENDPOINT, _SOCKET):
        with contextlib.suppress(OSError):
            (data_dir / name).unlink()


def _connected(place: dict[str, Any]) -> socket.socket:
    if "tcp" in place:
        return socket.create_connection(("127.0.0.1", place["tcp"]))
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(place["unix"])
    except OSError:
        connection.close()
        raise
    return connection


def _exactly(connection: socket.socket, size_bytes: int) -> bytes:
    data = bytearray()
    while len(data) < size_bytes:
        try:
            part = connection.recv(size_bytes - len(data))
        except OSError as error:
            raise Gone from error
        if not part:
            raise Gone
        data += part
    return bytes(data)

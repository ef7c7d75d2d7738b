# SPDX-License-Identifier: Apache-2.0
"""Stand in for the sidecars of fake pods, which do not run. Knows a pod by its token's audience."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt

CONNECTED = {"state": "Connected", "credentials": "Valid"}
BAD_CREDENTIALS = {
    "state": "Refused",
    "reason": "BadCredentials",
    "message": "the broker refused login or password",
    "credentials": "Invalid",
}
SECRET_MISSING = {"state": "TerminalStarting", "reason": "SecretMissing", "credentials": "Missing"}
SERVER_UNKNOWN = {"state": "Refused", "reason": "ServerUnknown", "message": "no such server"}


class SidecarStub:
    """Says of every pod what a test wants it to say: always the same, or by the pod's uid."""

    def __init__(self) -> None:
        self.says: dict[str, Any] | Callable[[str], dict[str, Any]] = dict(CONNECTED)
        self.tokens: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))

    @property
    def address(self) -> str:
        """Return host:port."""
        return f"127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        """Answer from now on."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, token: str) -> dict[str, Any]:
        """Return what the pod that `token` is for says."""
        uid = jwt.decode(token, options={"verify_signature": False})["aud"]
        self.tokens[uid] = token
        says = self.says(uid) if callable(self.says) else self.says
        return {**says, "pod_uid": uid}


def _handler(stub: SidecarStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers["Authorization"].removeprefix("Bearer ")
            body = json.dumps(stub.answer(token)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    return Handler

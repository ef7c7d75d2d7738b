# SPDX-License-Identifier: Apache-2.0
"""Stand in for the sidecars of fake pods, which do not run. Knows a pod by its token's audience."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
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
NOT_CONNECTED = {"state": "LoggingIn", "credentials": "Unknown"}


@dataclass
class Journal:
    """What a pod's sidecar keeps: as `mt5_sidecar.orders`, without orders."""

    epoch: int = 0
    fenced: bool = False
    keys: list[str] = field(default_factory=list)

    @property
    def active(self) -> bool:
        """Tell whether it trades."""
        return self.epoch > 0 and not self.fenced

    def told(self) -> dict[str, Any]:
        """Return what `/internal/orders` says."""
        return {"epoch": self.epoch, "active": self.active, "ready": self.active, "unknown": 0}


class SidecarStub:
    """Says of every pod what a test wants it to say: always the same, or by the pod's uid.

    It keeps a journal for each.
    """

    def __init__(self) -> None:
        self.says: dict[str, Any] | Callable[[str], dict[str, Any]] = dict(CONNECTED)
        self.says_of: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, str] = {}
        self.journals: dict[str, Journal] = {}
        self.calls: list[tuple[str, str]] = []
        # Called when such a call has done what it asks for, and the caller is not told yet.
        self.done: Callable[[tuple[str, str]], None] = lambda call: None
        # When a pod was told to trade, and who else did at that moment.
        self.activations: list[tuple[float, str, list[str]]] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))

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

    def journal(self, uid: str) -> Journal:
        """Return a pod's journal."""
        return self.journals.setdefault(uid, Journal())

    def active(self) -> list[str]:
        """Return the uids of the pods that trade."""
        with self._lock:
            return self._trading()

    def _trading(self) -> list[str]:
        # Of a copy: tests look journals up, and so make them, beside this.
        return [uid for uid, journal in list(self.journals.items()) if journal.active]

    def answer(self, verb: str, path: str, token: str, raw: bytes) -> tuple[int, dict[str, Any]]:
        """Return what the pod that `token` is for answers."""
        uid = jwt.decode(token, options={"verify_signature": False})["aud"]
        self.tokens[uid] = token
        says = self.says(uid) if callable(self.says) else self.says
        with self._lock:
            if path == "/internal/state":
                orders = self.journal(uid).told()
                return 200, {"orders": orders, **self.says_of.get(uid, says), "pod_uid": uid}
            called = verb != "GET" or path.endswith("/journal")
            if called:
                self.calls.append((uid, f"{verb} {path.rpartition('/')[2]}"))
            before = self.journal(uid).active
            answer = self._orders(self.journal(uid), verb, path, raw)
            if self.journal(uid).active and not before:
                others = [each for each in self._trading() if each != uid]
                self.activations.append((time.monotonic(), uid, others))
            if called:
                self.done(self.calls[-1])
            return answer

    def _orders(
        self, journal: Journal, verb: str, path: str, raw: bytes
    ) -> tuple[int, dict[str, Any]]:
        body = json.loads(raw) if raw else {}
        if path.endswith("/journal") and journal.active:
            return 400, {"detail": "this slot trades"}
        if path.endswith("/journal") and verb == "GET":
            return 200, {"keys": journal.keys}
        if path.endswith("/journal"):
            journal.keys += [key for key in body["keys"] if key not in journal.keys]
        if path.endswith("/fence"):
            journal.fenced = True
        if path.endswith("/activate"):
            epoch = body["epoch"]
            if epoch < max(1, journal.epoch) or (journal.fenced and epoch == journal.epoch):
                return 503, {"detail": f"epoch {epoch} is over"}
            journal.epoch, journal.fenced = epoch, False
        return 200, journal.told()


class _Server(ThreadingHTTPServer):
    # Every pod's looks come to this one listener: no connection may be lost for want of a place.
    request_queue_size = 1024

    def handle_error(self, *_: Any) -> None:
        """Say nothing: a test may let a look fail, and an operator may be killed amid one."""


def _handler(stub: SidecarStub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers["Authorization"].removeprefix("Bearer ")
            status, told = stub.answer(self.command, self.path, token, self._body())
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_GET  # noqa: N815 - http.server's own names

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, *_: Any) -> None:
            return

    return Handler

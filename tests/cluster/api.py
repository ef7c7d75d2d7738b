# SPDX-License-Identifier: Apache-2.0
"""The Kubernetes API over HTTP, for our own programs: ask, and watch."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from cluster.errors import ClusterError


class Refused(ClusterError):
    """Tell that the API answered with an error; `status` is HTTP's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"the API answered {status}: {text}")
        self.status = status


class Api:
    """One cluster's API, as the user of a kubeconfig that `cluster.kubeconfig` wrote."""

    def __init__(self, kubeconfig: Path, *, timeout_s: float = 5) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster = content["clusters"][0]["cluster"]
        self._address = urlsplit(cluster["server"])
        self._context = _context(cluster, content["users"][0]["user"])
        self._timeout_s = timeout_s

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the API's answer; a PATCH is merged into what is there.

        Raises:
            Refused: the answer is an error.
            OSError: there is no answer.
        """
        with self._request(method, path, body) as answer:
            return dict(json.load(answer))

    def answers(self, path: str) -> bool:
        """Tell whether the API answers `path`, and not with an error."""
        try:
            with self._request("GET", path, None):
                return True
        except (Refused, OSError, http.client.HTTPException):
            return False

    def watch(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield the events of a watch until the server ends it; `path` has its own query."""
        with self._request("GET", path, None) as answer:
            for line in answer:
                yield json.loads(line)

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection(
            self._address.netloc, context=self._context, timeout=self._timeout_s
        )
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Content-Type": kind, "Connection": "close"}
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
        finally:
            connection.close()  # the answer keeps the socket until it is closed itself
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            with answer:
                raise Refused(answer.status, answer.read().decode(errors="replace"))
        return answer


def _context(cluster: Mapping[str, str], user: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
    with tempfile.NamedTemporaryFile("w") as file:  # ssl reads a client's pair from a file only
        file.write(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()

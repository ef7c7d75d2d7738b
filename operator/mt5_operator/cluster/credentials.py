# SPDX-License-Identifier: Apache-2.0
"""Where the API server is and who we are: read by the official client, used by ours."""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config


@dataclass(frozen=True)
class Credentials:
    """How to reach the API server. `headers` is called per request: tokens are renewed."""

    host: str
    tls: ssl.SSLContext | bool
    headers: Callable[[], Awaitable[dict[str, str]]]


async def load() -> Credentials:
    """Return the credentials of the pod's service account, or else of the kubeconfig."""
    configuration = Configuration()
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        await load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    return Credentials(configuration.host, _tls(configuration), lambda: _headers(configuration))


async def _headers(configuration: Any) -> dict[str, str]:
    token = await configuration.get_api_key_with_prefix("BearerToken")
    return {"Authorization": token} if token else {}


def _tls(configuration: Any) -> ssl.SSLContext | bool:
    if not configuration.host.startswith("https"):
        return True
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context

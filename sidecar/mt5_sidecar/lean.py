# SPDX-License-Identifier: Apache-2.0
"""The first import of the process: has aiohttp load without what a sidecar does not use.

It reads every CA certificate of the machine as it is imported, for clients: 2 MB. Ours, which reads
a key set, makes its own context when there is one to read (`api.fetch`). More of what need not be
held is in docs/adr/050; `tests/mt5_sidecar/test_lean.py` names what crept in.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _no_certificates() -> Iterator[None]:
    # Whoever forgets to bring a context afterwards is refused, never trusted too much.
    before = {name: os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    os.environ.update(dict.fromkeys(before, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


with _no_certificates():
    import aiohttp  # noqa: F401

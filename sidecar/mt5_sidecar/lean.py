# SPDX-License-Identifier: Apache-2.0
"""The first import of the process: has libraries load without what a sidecar does not use.

aiohttp reads every CA certificate of the machine as it is imported, for clients (2 MB; ours, which
reads a key set, makes its own context when there is one to read: `api.fetch`). zoneinfo, which
pydantic imports, asks how Python was compiled (0.7 MB) where the time zones are; no time here has a
zone but UTC. Measured in docs/benchmarks.md, P13; `tests/mt5_sidecar/test_lean.py` holds it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

TIME_ZONES = "/usr/share/zoneinfo"


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


os.environ.setdefault("PYTHONTZPATH", TIME_ZONES)
with _no_certificates():
    import aiohttp  # noqa: F401

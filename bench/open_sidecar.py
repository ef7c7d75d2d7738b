# SPDX-License-Identifier: Apache-2.0
"""Our sidecar, which asks who calls only if the request says so: what the question costs is the
difference. One process for both: two differ by more than that, whatever they do.

`python -m bench.open_sidecar`, with the settings of `python -m mt5_sidecar`.
"""

from collections.abc import Awaitable
from typing import Final

from aiohttp import web

from mt5_sidecar.__main__ import main
from mt5_sidecar.api.requests import operation
from mt5_sidecar.api.requests.middleware import Handler
from mt5_sidecar.auth.principal import Scope

ASK: Final = "X-Bench-Ask"
_guarded: Final = operation.guarded


def _as_asked(handler: Handler, scope: Scope) -> Handler:
    guard = _guarded(handler, scope)

    def choose(request: web.Request) -> Awaitable[web.StreamResponse]:
        return guard(request) if request.headers[ASK] == "yes" else handler(request)

    return choose


if __name__ == "__main__":
    # Routes are made when the application is: after this line.
    operation.guarded = _as_asked
    raise SystemExit(main())

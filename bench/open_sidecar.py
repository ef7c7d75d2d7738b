# SPDX-License-Identifier: Apache-2.0
"""Our sidecar without the question who calls: what the question costs is the difference.

`python -m bench.open_sidecar`, with the settings of `python -m mt5_sidecar`.
"""

from mt5_sidecar.__main__ import main
from mt5_sidecar.api import operation
from mt5_sidecar.api.middleware import Handler
from mt5_sidecar.auth.principal import Scope


def _unguarded(handler: Handler, scope: Scope) -> Handler:
    del scope
    return handler


if __name__ == "__main__":
    # Routes are made when the application is: after this line.
    operation.guarded = _unguarded
    raise SystemExit(main())

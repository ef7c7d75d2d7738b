# SPDX-License-Identifier: Apache-2.0
"""P5's reference: RPyC as mt5linux uses it. Both ends run in a Python that has rpyc, which ours has
not: `serve PORT` beside the package, `ask PORT` where the client is.

`ask` reads numbers from its stdin and answers each with so many times in microseconds, as JSON.
"""

import json
import sys
import time

POSITIONS = 20


def serve(port: int) -> None:
    """Let anybody on loopback run anything, as mt5linux's server does."""
    from rpyc.core import SlaveService
    from rpyc.utils.server import ThreadedServer

    ThreadedServer(SlaveService, hostname="127.0.0.1", port=port).start()


def ask(port: int) -> None:
    """Read all fields of all positions, again and again."""
    import rpyc

    connection = rpyc.classic.connect("127.0.0.1", port)
    connection._config["sync_request_timeout"] = 300  # as there
    connection.execute("import MetaTrader5 as mt5")
    names = connection.eval("mt5.TradePosition._fields")
    fields = [str(name) for name in names]
    for line in sys.stdin:
        times_us = []
        for _ in range(int(line)):
            begin = time.perf_counter()
            positions = connection.eval("mt5.positions_get()")
            rows = [[getattr(position, name) for name in fields] for position in positions]
            times_us.append((time.perf_counter() - begin) * 1e6)
            assert len(rows) == POSITIONS
            assert rows[0][16] == "EURUSD"
        sys.stdout.write(json.dumps(times_us) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    {"serve": serve, "ask": ask}[sys.argv[1]](int(sys.argv[2]))

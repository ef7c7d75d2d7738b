# SPDX-License-Identifier: Apache-2.0
"""Show the demo: the commands to try, and what they answer."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from pathlib import Path

from cluster import packages
from cluster.command import environment_without_proxies
from cluster.errors import CommandFailed
from cluster.waiting import wait_for
from demo.stream import listen

_LONGEST_LINE = 400


def show(environment: dict[str, str]) -> None:
    """Run each command of the tour as a user would, and print it with its answer."""
    packages.ensure(packages.CURL)
    account = '"$MT5_URL/accounts/10001/api/account"'
    commands = [
        "kubectl get mt5accounts",
        f'curl -s -H "X-API-Key: $MT5_API_KEY" {account}',
        'curl -s -H "X-API-Key: $MT5_API_KEY" "$MT5_URL/api/positions?account_id=10002"',
        'curl -s -H "X-API-Key: $MT5_API_KEY" "$MT5_URL/accounts/10003/api/account"',
        f"curl -s {account}",
    ]
    print('\neval "$(make -s demo-env)"        # for your own shell; then:\n')
    for command in commands:
        print(f"$ {command}\n{shortened(_answer(command, environment))}\n")
    show_stream(environment)


def show_stream(environment: dict[str, str]) -> None:
    """Print the first messages of account 10001's stream."""
    url = environment["MT5_URL"].replace("http", "ws", 1) + "/ws/account/10001"
    print(f"# {url}, with the same header, first messages:")
    for message in listen(url, environment["MT5_API_KEY"]):
        print(shortened(message))
    print("\nRemove it all: make demo-down")


def shortened(text: str) -> str:
    """Return `text` with its lines cut to a readable length."""
    lines = text.strip().splitlines()
    return "\n".join(
        line if len(line) <= _LONGEST_LINE else line[:_LONGEST_LINE] + " ..." for line in lines
    )


def write_environment(path: Path, environment: dict[str, str]) -> None:
    """Keep what `make demo-env` prints, for its owner's eyes only."""
    path.touch(mode=0o600)
    path.write_text(json.dumps(environment))


def wait_for_answer(environment: dict[str, str], path: str) -> None:
    """Wait until the router answers this path with 200: it knows the route, the pod the key."""

    def look() -> bool:
        request = urllib.request.Request(  # noqa: S310 - our own http address
            environment["MT5_URL"] + path, headers={"X-API-Key": environment["MT5_API_KEY"]}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310
                return bool(reply.status == 200)
        except OSError:
            return False

    wait_for(look, what=f"{path} to be answered", timeout_s=60)


def _answer(command: str, environment: dict[str, str]) -> str:
    everything = environment_without_proxies() | environment
    everything["PATH"] = f"{environment['PATH']}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], env=everything, capture_output=True, text=True, timeout=30
    )
    if done.returncode != 0:
        raise CommandFailed(f"{command} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout

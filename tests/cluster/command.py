# SPDX-License-Identifier: Apache-2.0
"""Run a program to its end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.errors import CommandFailed, Unsupported

# A proxy never leads to a cluster on this machine, and one in the environment breaks kubectl.
_PROXIES = {"http_proxy", "https_proxy", "all_proxy"}


def run(
    argv: Sequence[str | Path],
    *,
    stdin: str | None = None,
    stdin_file: int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float | None = None,
) -> str:
    """Run `argv` and return what it printed.

    Raises:
        CommandFailed: it ended with an error, or not within `timeout_s`.
        Unsupported: there is no such program.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            **({"stdin": stdin_file} if stdin is None else {"input": stdin}),
            env=env,
            cwd=cwd,
            timeout=timeout_s,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError as error:
        raise Unsupported(f"no program {words[0]!r}: install it and try again") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{_shown(words)} did not end within {timeout_s} s") from error
    if done.returncode != 0:
        raise CommandFailed(
            f"{_shown(words)} ended with {done.returncode}: {(done.stderr or done.stdout).strip()}"
        )
    return done.stdout


def succeeds(argv: Sequence[str | Path]) -> bool:
    """Tell whether `argv` runs without an error."""
    try:
        run(argv)
    except CommandFailed:
        return False
    return True


def environment_without_proxies() -> dict[str, str]:
    """Return this process's environment without its proxies."""
    return {key: value for key, value in os.environ.items() if key.lower() not in _PROXIES}


def _shown(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text if len(text) <= 200 else text[:200] + "..."

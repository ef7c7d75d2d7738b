# SPDX-License-Identifier: Apache-2.0
"""Reads the settings in a process of its own, which takes pydantic with it when it ends."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from mt5_sidecar.settings import BadSettings, Settings

_ARGV: Final = (sys.executable, "-m", "mt5_sidecar.settings_model")
# A path is text on the way; these are all that are one.
_ENDINGS: Final = ("_file", "_dir")


class Reading:
    """Settings that are being read while this process gets ready for them."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603  our own words
            _ARGV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )

    def end(self) -> Settings:
        """Return the settings.

        Raises:
            BadSettings: They cannot be used.
        """
        told, _ = self._process.communicate()
        return settings_of(told)


async def read_again() -> Settings:
    """Return what files and environment amount to now; nobody waits for it.

    Raises:
        BadSettings: They cannot be used.
    """
    process = await asyncio.create_subprocess_exec(
        *_ARGV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    told, _ = await process.communicate()
    return settings_of(told)


def settings_of(told: bytes) -> Settings:
    """Return the settings that `settings_model` told of.

    Raises:
        BadSettings: They cannot be used, or whoever read them was ended.
    """
    try:
        answer = json.loads(told)
    except ValueError as error:
        raise BadSettings(["the process that reads the settings was ended"]) from error
    if "faults" in answer:
        raise BadSettings(answer["faults"])
    return _held({name: _value(name, value) for name, value in answer["values"].items()})


def _held(values: dict[str, Any]) -> Settings:
    made: Any = Settings  # for mypy it is the model, whose arguments these are not
    held: Settings = made(values)
    return held


def _value(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if isinstance(value, str) and name.endswith(_ENDINGS) else value

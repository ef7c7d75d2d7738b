# SPDX-License-Identifier: Apache-2.0
"""What an image found about itself before the agent started: a file
`{"ok": bool, "findings": [{"name", "ok", "detail"}]}`."""

import logging
from pathlib import Path

import msgspec

_log = logging.getLogger(__name__)


class _Finding(msgspec.Struct):
    name: str
    ok: bool
    detail: str = ""


class _Report(msgspec.Struct):
    ok: bool
    findings: list[_Finding] = []


def trouble(path: Path) -> str:
    """Return what does not work here, empty when all does or nothing is known."""
    try:
        report = msgspec.json.decode(path.read_bytes(), type=_Report)
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("no self-test: %s", error)
        return ""
    bad = [f"{found.name} ({found.detail})" for found in report.findings if not found.ok]
    return "" if report.ok else ", ".join(bad) or "no detail"

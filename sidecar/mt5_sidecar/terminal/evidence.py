# SPDX-License-Identifier: Apache-2.0
"""Feeds the evidence from what the terminal shows, and keeps it in a file beside the journal."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from mt5_agent import protocol
from mt5_sidecar.domain.clock import now_ms, utc_iso
from mt5_sidecar.domain.evidence import VERSION, EvidenceWindow, Record
from mt5_sidecar.domain.plausible import account_is_plausible, ticks_are_plausible
from mt5_sidecar.files import write_private
from mt5_sidecar.logs import logger
from mt5_sidecar.settings import Settings
from mt5_sidecar.terminal.terminal import Terminal

FILE_NAME: Final = "evidence.json"


class EvidenceKeeper:
    """The account's evidence, over all lives of this sidecar."""

    def __init__(
        self, settings: Settings, terminal: Terminal, *, clock: Callable[[], int] = now_ms
    ) -> None:
        self._settings, self._terminal, self._clock = settings, terminal, clock
        self._file = settings.journal_dir / FILE_NAME
        self._window = EvidenceWindow(
            self._remembered(),
            window_s=settings.evidence_window_s,
            steady_s=settings.evidence_steady_s,
        )
        self._unsaved = False
        self._saved_ms = self._ticks_looked_ms = 0
        self._saving: asyncio.Future[None] | None = None
        self._failing = False
        terminal.tell(self)

    # What the terminal tells (terminal.terminal.Audience).

    def snapshot(self, snapshot: protocol.Snapshot) -> None:
        """Judge account and ticks; ticks come often, so only now and then."""
        if snapshot.kind in {"positions", "orders"}:
            return
        if snapshot.kind == "ticks" and not self._ticks_are_due():
            return
        match protocol.decode_snapshot(snapshot):
            case protocol.AccountInfo() as account:
                valid = account_is_plausible(account, login=self._settings.login)
                self._window.note_data(self._clock(), "account", valid=valid)
                allowed = bool(account.trade_allowed and account.trade_expert)
                self._window.note_rights(allowed=allowed)
            case dict() as ticks:
                valid = ticks_are_plausible(ticks)
                self._window.note_data(self._clock(), "ticks", valid=valid)

    def connection_changed(self) -> None:
        """Count what became of the connection."""
        self.look()

    def look(self) -> None:
        """Let time pass; what was counted is saved at once, mere time now and then."""
        now = self._clock()
        terminal = self._terminal
        if self._window.look(now, terminal.connection, terminal.agent_epoch):
            self._unsaved = True
        if self._unsaved or now - self._saved_ms >= self._settings.evidence_save_interval_s * 1000:
            self._save(now)

    async def stop(self) -> None:
        """Save what there is."""
        if self._saving is not None:
            await asyncio.gather(self._saving, return_exceptions=True)
        self._write(msgspec.json.encode(self._window.record).decode())

    def answer(self) -> dict[str, Any]:
        """Return the evidence as docs/internals.md has it."""
        settings = self._settings
        wants_ticks = bool(self._terminal.symbols)
        seen = self._window.summary(self._clock(), wants_ticks=wants_ticks)
        told = msgspec.structs.asdict(seen)
        begin_ms, healthy_ms = told.pop("begin_ms"), told.pop("last_healthy_ms")
        return {
            "platform": settings.platform,
            "window_s": settings.evidence_window_s,
            "steady_s": settings.evidence_steady_s,
            "since": utc_iso(begin_ms),
            **told,
            "last_healthy": utc_iso(healthy_ms) if healthy_ms else None,
        }

    def _ticks_are_due(self) -> bool:
        now, before = self._clock(), self._ticks_looked_ms
        if now - before < self._settings.evidence_tick_interval_s * 1000:
            return False
        self._ticks_looked_ms = now
        return True

    def _remembered(self) -> Record:
        settings = self._settings
        fresh = Record(
            login=settings.login,
            server=settings.server,
            platform=settings.platform,
            begun_ms=self._clock(),
        )
        try:
            record = msgspec.json.decode(self._file.read_bytes(), type=Record)
        except FileNotFoundError:
            return fresh
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            logger.warning("evidence_unreadable", error=type(error).__name__)
            return fresh
        about = (record.version, record.login, record.server, record.platform)
        same = about == (VERSION, fresh.login, fresh.server, fresh.platform)
        return record if same else fresh

    def _save(self, now: int) -> None:
        if self._saving is not None and not self._saving.done():
            return  # a slow disk gets one write at a time; the next look tries again
        self._unsaved, self._saved_ms = False, now
        content = msgspec.json.encode(self._window.record).decode()
        loop = asyncio.get_running_loop()
        self._saving = loop.run_in_executor(None, self._write, content)

    def _write(self, content: str) -> None:
        try:
            write_private(self._file, content)
        except OSError as error:
            if not self._failing:
                logger.warning("evidence_not_kept", error=str(error))
            self._failing = True
        else:
            self._failing = False

# SPDX-License-Identifier: Apache-2.0
"""The one poll of the agent: looks at the terminal at its intervals and puts what it saw on the
board."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from mt5_agent.board import Board
from mt5_agent.broker_clock import BrokerClock
from mt5_agent.calls import Calls
from mt5_agent.pipe import SELECT, TICKS, Job
from mt5_agent.protocol import AccountInfo, Priority, SnapshotKind, TerminalInfo, Tick
from mt5_agent.report import Report, monotonic_ms, utc_ms
from mt5_agent.rights import no_trading
from mt5_agent.settings import Settings
from mt5_agent.wanted import Wanted

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_KINDS: Final[tuple[tuple[SnapshotKind, str], ...]] = (
    ("account", "account_info"),
    ("positions", "positions_get"),
    ("orders", "orders_get"),
)
_TICKS = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_TICK = msgspec.msgpack.Decoder(Tick)
_ACCOUNT = msgspec.msgpack.Decoder(AccountInfo)
_TERMINAL = msgspec.msgpack.Decoder(TerminalInfo)


class Unfit(Exception):
    """Nothing of what the terminal shows may be shown; its text says why."""


class WrongAccount(Unfit):
    """The terminal is on another account than the wanted one."""


class Unreadable(Unfit):
    """The package answered something else than what it is known to answer."""


class Poller:
    """Looks while a worker serves."""

    def __init__(
        self,
        *,
        calls: Calls,
        board: Board,
        report: Report,
        wanted: Wanted,
        settings: Settings,
        link_moved: Callable[[bool], None],
    ) -> None:
        """Tell `link_moved` whether the terminal has its broker, at every look."""
        self._calls, self._board, self._report = calls, board, report
        self._wanted, self._settings, self._link_moved = wanted, settings, link_moved
        self._selected: tuple[str, ...] = ()
        self.forget_clock()

    def forget_clock(self) -> None:
        """Know nothing of the broker's clock: it is another broker's."""
        interval_ms = int(self._settings.tick_interval_s * 1000)
        self._clock = BrokerClock(interval_ms=interval_ms)

    async def run(self) -> None:
        """Look until cancelled.

        Raises:
            WrongAccount, Unreadable: as `look`.
        """
        self._selected = ()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_each(self._settings.poll_interval_s, self.look))
                tasks.create_task(_each(self._settings.tick_interval_s, self._look_at_ticks))
        except* Unfit as group:
            unfit = group.exceptions[0]
        else:
            return
        raise unfit

    async def look(self) -> None:
        """Look once at the link, the account, positions and orders.

        Raises:
            WrongAccount: what was seen is not the wanted account's; none of it was shown.
            Unreadable: nobody can say what was seen.
        """
        seen = [(kind, await self._ask(Job(call))) for kind, call in _KINDS]
        # Once more at the end: the terminal may have changed accounts in between.
        before = self._checked(seen[0][1])
        account = self._checked(await self._ask(Job("account_info")))
        # Rows say of no account whose they are: only between two looks at it are they known.
        known = before is not None and account is not None
        for kind, data in seen:
            if known and data is not None:
                self._board.put(kind, data)
        self._tell_unshown()
        whole = known and all(data is not None for _, data in seen)
        await self._look_at_link(account or before, synchronised=whole)

    def _tell_unshown(self) -> None:
        unshown = self._board.unshown
        if unshown and unshown != self._report.state.unshown:
            _log.warning("too large to be shown: %s", ", ".join(unshown))
        self._report.set(unshown=unshown)

    def _checked(self, data: msgspec.Raw | None) -> AccountInfo | None:
        if data is None:
            return None
        # The login only: a server may be wanted by address and shown by name.
        account, login = _read(_ACCOUNT, data), self._wanted.login
        if account.login == 0:
            return None  # it is on none yet
        if login is not None and account.login != login.login:
            raise WrongAccount("it went to another account, and the wanted one is logged in again")
        return account

    async def _look_at_link(self, account: AccountInfo | None, *, synchronised: bool) -> None:
        data = await self._ask(Job("terminal_info"))
        if data is None:
            return
        info = _read(_TERMINAL, data)
        self._report.contact()
        why_not = no_trading(info, account)
        self._report.set(trade_allowed=not why_not, trade_message=why_not)
        self._report.versions(terminal_build=info.build)
        self._link_moved(info.connected and synchronised)

    async def _look_at_ticks(self) -> None:
        symbols = self._wanted.symbols
        if symbols != self._selected and await self._ask(Job(SELECT, symbols)) is not None:
            self._selected = symbols
        data = await self._ask(Job(TICKS, symbols))
        if data is None:
            return
        # What nobody watches by now was forgotten meanwhile, and may not come back with this look.
        wanted = frozenset(self._wanted.symbols)
        ticks = {name: raw for name, raw in _read(_TICKS, data).items() if name in wanted}
        # Only a tick that was seen to come is fresh: a first look may show one of Friday.
        if moved := self._board.put_ticks(ticks):
            self._note_clock(max(_read(_TICK, ticks[name]).time_msc for name in moved))

    def _note_clock(self, tick_ms: int) -> None:
        zone = self._clock.ticked(tick_ms, utc_ms=utc_ms(), monotonic_ms=monotonic_ms())
        self._report.set(utc_offset_s=zone.offset_s, utc_offset_sure=zone.sure)

    async def _ask(self, job: Job) -> msgspec.Raw | None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        ending = await self._calls.ask(job, Priority.READ, within_s=self._settings.poll_deadline_s)
        if ending.outcome != "not_sent":
            self._report.polled(job.call, took_s=loop.time() - began_s)
        return ending.done.value if ending.outcome == "done" and ending.done else None


def _read(decoder: "msgspec.msgpack.Decoder[_T]", data: msgspec.Raw) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"it answered what nobody can read ({error})") from error


async def _each(interval_s: float, look: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + interval_s
        await look()
        await asyncio.sleep(max(0.0, due_s - loop.time()))

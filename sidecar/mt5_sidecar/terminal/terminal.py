# SPDX-License-Identifier: Apache-2.0
"""The terminal as the rest of the sidecar sees it: ask it, and be told what it does."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from mt5_agent import protocol
from mt5_sidecar.domain.account_file import AccountFile, Trading, parse_account_file
from mt5_sidecar.domain.clock import now_ms, utc_iso
from mt5_sidecar.domain.connection import Connection, connection
from mt5_sidecar.domain.secret import Secret
from mt5_sidecar.errors import TerminalRefused, TerminalTimeout, TerminalUnavailable
from mt5_sidecar.files import WatchedFile
from mt5_sidecar.logs import logger
from mt5_sidecar.metrics import Metrics
from mt5_sidecar.settings import Settings
from mt5_sidecar.terminal.credentials import parse_password
from mt5_sidecar.terminal.link import Link
from mt5_sidecar.terminal.session import Session
from mt5_sidecar.tracing import Tracing


class Audience(Protocol):
    """Who is told what became of the account. Must return at once, and not raise."""

    def snapshot(self, snapshot: protocol.Snapshot) -> None:
        """A part of the account is different now."""

    def connection_changed(self) -> None:
        """`Terminal.connection` is another one."""


class Terminal:
    """The account's terminal, whether or not an agent is there to reach it."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        tracing: Tracing | None = None,
        *,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._tracing = tracing or Tracing()
        self._clock = clock
        self._link = Link(settings, self)
        self._session: Session | None = None
        self._readers = asyncio.Semaphore(settings.agent_reads_in_flight)
        self._agent: protocol.State | None = None
        self._audience: list[Audience] = []
        self._login_id = 1
        self._logged_out = False
        self._wanted: tuple[str, ...] = ()
        self._password: WatchedFile[Secret | None] = WatchedFile(
            settings.credentials_file, parse_password
        )
        self._account: WatchedFile[AccountFile] = WatchedFile(
            settings.account_file, parse_account_file
        )
        self.connection: Connection = self._seen()
        self.since_ms = clock()
        self.agent_epoch = ""
        self.agents = 0
        """How many agents have connected: each tells all that it knows anew."""
        self._agent_since_ms = 0
        metrics.agent.waiting.set_function(lambda: self._session.waiting if self._session else 0)
        metrics.account.watched_symbols.set_function(lambda: len(self.symbols))

    @property
    def agent_port(self) -> int:
        """The loopback port that the agent connects to."""
        return self._link.port

    @property
    def account_file(self) -> AccountFile:
        """What `account.json` says now."""
        return self._account.value

    @property
    def file_versions(self) -> dict[str, str]:
        """Tokens of the files that are in use, for the operator."""
        return {"credentials": self._password.version, "account": self._account.version}

    def tell(self, audience: Audience) -> None:
        """Tell `audience` from now on."""
        self._audience.append(audience)

    async def start(self) -> None:
        """Read the files and wait for an agent."""
        self.refresh()
        await self._link.start()

    async def stop(self) -> None:
        """Let go of the agent; the terminal itself is the agent's to end."""
        await self._link.stop()

    def refresh(self) -> None:
        """Look at the files again; a changed password logs in again."""
        # A clock that was set back: a connection of the future would never be old enough.
        self.since_ms = min(self.since_ms, self._clock())
        if self._account_changed() and self._session is not None:
            self._send_watch()
        if self._password_changed():
            self._login_id += 1
            logger.info("credentials_changed", mounted=self._password.value is not None)
            self._log_in()
        self._review()

    def log_in(self) -> None:
        """Log in again, also where an earlier login was refused or somebody has logged out."""
        self._logged_out = False
        self._login_id += 1
        if self._session is not None and self._agent is not None and self._agent.state == "Refused":
            # The agent does not try refused credentials again, unless they were taken back.
            self._session.send(protocol.Logout())
        self._log_in()
        self._review()

    def log_out(self) -> None:
        """Log out, and stay so until `log_in` or the end of this sidecar."""
        self._logged_out = True
        self._log_in()
        self._review()

    def watch(self, symbols: tuple[str, ...]) -> None:
        """Have ticks of `symbols` polled, besides those of the account's spec."""
        if symbols != self._wanted:
            self._wanted = symbols
            self._send_watch()

    @property
    def symbols(self) -> tuple[str, ...]:
        """All symbols that are watched."""
        return tuple(dict.fromkeys((*self._account.value.symbols, *self._wanted)))

    async def call(self, call: str, *args: Any, **kwargs: Any) -> Any:
        """Return what `MetaTrader5.<call>` returned in the terminal.

        Raises:
            TerminalUnavailable: the call was not made.
            TerminalRefused: the package answered None or False.
            TerminalTimeout: made or not, no answer came: the outcome is unknown.
        """
        if self._session is None:
            raise self.unavailable()
        started_s = time.perf_counter()
        outcome = "unknown"
        try:
            with self._tracing.call(call):
                answer = await self._session.request(
                    call,
                    args,
                    kwargs,
                    timeout_s=self._settings.call_timeout_s,
                    traceparent=self._tracing.here(),
                )
                outcome = answer.outcome
                return self._result(call, answer)
        except TimeoutError as error:
            raise TerminalTimeout(f"{call}: the agent did not answer") from error
        except protocol.ProtocolError as error:
            # It may have happened: what cannot be read is no answer.
            raise TerminalTimeout(f"{call}: the answer is none of this call") from error
        finally:
            self._metrics.agent.called(call, outcome, seconds=time.perf_counter() - started_s)

    async def read(self, call: str, *args: Any, **kwargs: Any) -> Any:
        """Return the same, for who can wait: a crowd of readers is not lined up before a trade.

        Raises:
            TerminalUnavailable, TerminalRefused, TerminalTimeout: as `call`.
        """
        try:
            async with asyncio.timeout(self._settings.call_timeout_s):
                await self._readers.acquire()
        except TimeoutError as error:
            raise TerminalTimeout(f"{call}: too many others ask") from error
        try:
            return await self.call(call, *args, **kwargs)
        finally:
            self._readers.release()

    def unavailable(self) -> TerminalUnavailable:
        """Return the error that says why the account is not connected."""
        seen = self.connection
        return TerminalUnavailable(
            seen.message or "the account is not connected",
            reason=seen.reason or seen.state,
            since=utc_iso(self.since_ms),
        )

    # What the link tells us (terminal.link.Listener).

    def arrived(self, session: Session) -> None:
        """Log in on every connection: an agent that is logged in already changes nothing."""
        self._session = session
        self._agent = protocol.State(state="TerminalStarting")
        self.agent_epoch = session.epoch
        self.agents += 1
        self._metrics.agent.connections.inc()
        logger.info("agent_connected", epoch=session.epoch)
        self._log_in()
        self._review()

    def said(self, message: protocol.FromAgent) -> None:
        """Take in a state or a snapshot; a goodbye is followed by the end of the connection."""
        if isinstance(message, protocol.State):
            self._agent = message
            self._metrics.agent.polled(message.polls)
            self._review()
        elif isinstance(message, protocol.Snapshot):
            for audience in self._audience:
                audience.snapshot(message)

    def left(self) -> None:
        """Be without an agent until the next one connects."""
        self._session = self._agent = None
        logger.warning("agent_gone")
        self._review()

    def _log_in(self) -> None:
        if self._session is None:
            return
        password = self._password.value
        if password is None or self._logged_out:
            self._session.send(protocol.Logout())
            return
        self._session.send(
            protocol.Login(
                login_id=self._login_id,
                login=self._settings.login,
                server=self._settings.server,
                password=password.reveal(),
                symbols=self.symbols,
            )
        )

    def _send_watch(self) -> None:
        if self._session is not None:
            self._session.send(protocol.Watch(symbols=self.symbols))

    def _password_changed(self) -> bool:
        try:
            return self._password.refresh()
        except OSError as error:
            # Nobody took it away: the one of before stays, and the session with it.
            logger.error("password_not_read", error=type(error).__name__)
            return False

    def _account_changed(self) -> bool:
        try:
            changed = self._account.refresh()
        except (msgspec.MsgspecError, ValueError, OSError) as error:
            logger.error("account_file_unreadable", error=type(error).__name__)
            self._metrics.files.account_unreadable.set(1)
            # Trading may have been switched off, or limited, in it; prices harm nobody.
            self._account.value = msgspec.structs.replace(self._account.value, trading=Trading())
            return False
        if changed:
            self._metrics.files.account_unreadable.set(0)
        return changed

    def _result(self, call: str, answer: protocol.Answer) -> Any:
        fault = answer.fault or protocol.Fault(0)
        match answer.outcome:
            case "done":
                return protocol.decode_result(call, answer)
            case "failed":
                raise TerminalRefused(fault.text or call, code=fault.code)
            case "not_sent":
                raise TerminalUnavailable(fault.text or f"{call} was not made", reason="NotSent")
            case _:
                raise TerminalTimeout(fault.text or f"{call}: the outcome is unknown")

    def _seen(self) -> Connection:
        mounted = self._password.value is not None
        return connection(
            self._agent,
            password_mounted=mounted,
            login_id=self._login_id,
            logged_out=self._logged_out,
            utc_offset_s=self._settings.broker_utc_offset_s,
        )

    def _moved(self, before: Connection) -> bool:
        now, since_ms = self.connection, self._agent.since_ms if self._agent else 0
        again, self._agent_since_ms = since_ms != self._agent_since_ms, since_ms
        # A break that was over before we could be told of it was one all the same.
        unseen = again and before.connected and now.connected
        return unseen or (before.state, before.reason) != (now.state, now.reason)

    def _review(self) -> None:
        before, self.connection = self.connection, self._seen()
        if self._moved(before):
            self.since_ms = self._clock()
            logger.info("connection", state=self.connection.state, reason=self.connection.reason)
        for kind in ("logins", "drops", "worker_restarts", "terminal_restarts"):
            counted = getattr(self.connection.evidence, kind)
            self._metrics.agent.events.labels(kind).set(counted)
        if before != self.connection:
            for audience in self._audience:
                audience.connection_changed()
